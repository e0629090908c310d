"""What the configuration of a listener and of its upstream tells a relay. Frozen, shared by sessions."""

from dataclasses import dataclass, field
from typing import Literal

from mailweir.session import Session
from mailweir.spool import Spool

BareNewline = Literal["reject", "normalize", "pass"]
Nul = Literal["pass", "reject"]
Trace = Literal["none", "received"]
Verdicts = Literal["strictest", "defer", "single"]
EarlyTalker = Literal["ignore", "reject"]


@dataclass(frozen=True, slots=True)
class SmtpRules:
    """What a listener's configuration says of SMTP and LMTP alone.

    `bare_newline`: CR or LF alone, in commands and in texts; `nul`: NUL in texts. `trace`: whether messages
    get a Received field. `verdicts`: what happens if plugins want different things for the recipients of
    one message and the client hears one reply: the strictest is said for all, recipients of another policy
    are put off to a message of their own, or all but the first. `early_talker`: who speaks before the greeting.
    `upstream_protocol` empty: the listener's own.

    Limits are counts, seconds and octets a second; 0 is none. `recipients`: of one message. `bad_commands`:
    refused by us with 5yz as no command that makes sense; `idle_commands`: between two messages that do
    nothing for one (NOOP, RSET, VRFY ...). `messages`: of one session; `session_time`: its whole length.
    `command_time`: for one line, from its first octet to its end. `text_rate`: of a text, at least.
    """

    bare_newline: BareNewline = "reject"
    nul: Nul = "pass"
    trace: Trace = "none"
    verdicts: Verdicts = "strictest"
    early_talker: EarlyTalker = "ignore"
    upstream_protocol: Literal["", "smtp", "lmtp"] = ""
    recipients: int = 1000
    bad_commands: int = 50
    idle_commands: int = 1000
    messages: int = 0
    session_time: float = 0.0
    command_time: float = 300.0
    text_rate: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """One listener's rules.

    `starttls`: offered to clients. `upstream_tls`: what the relay must bring about before anything else
    goes up ("starttls"), or where it is offered ("opportunistic"), or what `net` has done already
    ("implicit"); `upstream_verified`: whoever answers there has shown a certificate for its name.
    `refuse_unknown`: the listener's `unknown`, resolved (`auto` is "refuse" once an enforcing plugin listens
    to an ask hook). `splice`: POP3 and IMAP sessions of which nobody wants to see more become raw octets once
    logged in. Limits are octets and seconds; `message_size` 0 means that only upstream's own rules.
    """

    starttls: bool = False
    require_tls: bool = False
    allow_plaintext: bool = False
    upstream_tls: Literal["none", "opportunistic", "starttls", "implicit"] = "none"
    upstream_verified: bool = False
    refuse_unknown: bool = False
    splice: bool = False
    upstream: str = ""
    hostname: str = "localhost"
    message_size: int = 0
    command_line: int = 4096
    client_idle: float = 0.0
    before_login: float = 60.0
    upstream_reply: float = 600.0
    spool: Spool = field(default_factory=Spool)
    smtp: SmtpRules = SmtpRules()

    def secure(self, session: Session) -> bool:
        """A login, and all that follows it, may be on the client's connection as it is now."""
        return session.client_tls is not None or not self.require_tls

    def plaintext(self, session: Session) -> bool:
        """A secret that whoever taps the client's connection could read may be on it as it is now."""
        return session.client_tls is not None or (
            not self.require_tls and (self.allow_plaintext or session.loopback)
        )
