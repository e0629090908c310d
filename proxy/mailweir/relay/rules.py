"""What the configuration of a listener and of its upstream tells a relay. Frozen, shared by sessions."""

from dataclasses import dataclass, field
from typing import Literal

from mailweir.session import Session
from mailweir.spool import Spool


@dataclass(frozen=True, slots=True)
class Rules:
    """One listener's rules.

    `starttls`: offered to clients. `upstream_tls`: what the relay must bring about before anything else
    goes up ("starttls"), or what `net` has done already ("implicit"). `refuse_unknown`: the listener's
    `unknown`, resolved (`auto` is "refuse" once an enforcing plugin listens to an ask hook). Limits are
    octets and seconds; `message_size` 0 means that only upstream's own rules.
    """

    starttls: bool = False
    require_tls: bool = False
    allow_plaintext: bool = False
    upstream_tls: Literal["none", "starttls", "implicit"] = "none"
    refuse_unknown: bool = False
    upstream: str = ""
    hostname: str = "localhost"
    message_size: int = 0
    command_line: int = 4096
    client_idle: float = 0.0
    before_login: float = 60.0
    upstream_reply: float = 600.0
    spool: Spool = field(default_factory=Spool)

    def secure(self, session: Session) -> bool:
        """A login, and all that follows it, may be on the client's connection as it is now."""
        return session.client_tls is not None or not self.require_tls

    def plaintext(self, session: Session) -> bool:
        """A secret that whoever taps the client's connection could read may be on it as it is now."""
        return session.client_tls is not None or (
            not self.require_tls and (self.allow_plaintext or session.loopback)
        )
