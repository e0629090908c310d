"""Who is talking, and about what: the nouns that plugins are handed.

`net` makes the session, the relay drives it, `app` keeps the register. What belongs to one message lives
in a `Transaction` that dies with it. Plugins may read all of it, and write `notes`, the envelope and a
command's arguments.
"""

import base64
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from mailweir.envelope import Envelope
from mailweir.verdict import Decision

if TYPE_CHECKING:
    from mailweir.message import Message

_DIGITS = "0123456789abcdefghijklmnopqrstuv"

Protocol = Literal["smtp", "lmtp", "pop3", "imap"]
Leg = Literal["client", "upstream"]
Outcome = Literal["accepted", "rejected", "deferred", "discarded", "aborted"]


@dataclass(frozen=True, slots=True)
class Address:
    """A socket's address; `host` is the path and `port` 0 for a unix socket."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        if not self.port:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the other side showed. Subject and issuer as RFC 4514 writes them ("CN=joe,O=Example").

    `names` are the host names, addresses and mailboxes it is for, `fingerprint` the SHA-256 of it in lower
    case hexadecimal, `expires` a time in UTC. It proves something only where it was verified: a client's
    always, an upstream's unless `verify: false`.
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    fingerprint: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Tls:
    """What a finished handshake agreed on. `version` as OpenSSL names it ("TLSv1.3").

    `sni` is the host name that the client asked for, `resumed` says that keys of an earlier connection were
    used again, `certificate` is the other side's, if it showed one.
    """

    version: str
    cipher: str
    sni: str = ""
    resumed: bool = False
    certificate: Certificate | None = None


@dataclass(slots=True, eq=False)
class Transaction:
    """One message on its way, from the first command about it to the final reply.

    `size` counts octets of the text as the client or the server sent it, without stuffing. `reply` is the
    final answer that the client got, one line without CRLF. Times are seconds of the session's clock;
    `asked` is what of the duration plugins took.
    """

    id: str
    stage: str
    started: float
    envelope: Envelope = field(default_factory=Envelope)
    message: "Message | None" = None
    size: int = 0
    outcome: Outcome = "aborted"
    decision: Decision | None = None
    reply: str = ""
    duration: float = 0.0
    asked: float = 0.0


class Credentials:
    """What a client logs in with. The secret is never printed: ask for it by `secret()`."""

    __slots__ = ("_secret", "authzid", "mechanism", "user")

    def __init__(self, mechanism: str, user: str, secret: str, authzid: str = "") -> None:
        self.mechanism = mechanism
        self.user = user
        self.authzid = authzid
        self._secret = secret

    def secret(self) -> str:
        """The password or token in clear."""
        return self._secret

    def __repr__(self) -> str:
        return f"Credentials({self.mechanism}, user={self.user!r})"


@dataclass(slots=True, eq=False, repr=False)
class Command:
    """Any command that has no hook of its own. A plugin may change it by assigning to it.

    `name` is the verb in capitals ("VRFY", "STAT", "UID FETCH"), `arguments` the octets behind it without
    CRLF; of an IMAP command with literals, those up to the first literal.

    What IMAP's and POP3's arguments say stands in the others. `mailbox` is the one that the command is
    about, as people write it ("INBOX" always in capitals, "Entwürfe"), None if there is none; `target` the
    one that RENAME, COPY and MOVE put something into. `numbers` is a sequence set ("1:*"), in POP3 the
    number of a message. `items` are what FETCH and STATUS ask for, the patterns of LIST, the keys of SEARCH, SORT and THREAD;
    `flags` those of STORE and APPEND; `how` is STORE's "+FLAGS.SILENT". `readable` False: the arguments are
    not what the grammar allows, so nobody knows what a server makes of them, and who guards something
    should refuse.

    The relay sends the command on octet for octet but for what was changed: `arguments`, or in IMAP any of
    `mailbox`, `target`, `numbers`, `items`, `flags`, and `name` where another command takes the same
    arguments (SELECT and EXAMINE). What can't be said so is an error of the plugin: CR, LF and NUL, names
    that are none.
    """

    name: str
    arguments: bytes
    mailbox: str | None = None
    target: str | None = None
    numbers: str = ""
    items: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    how: str = ""
    readable: bool = True

    def __repr__(self) -> str:
        """Without what it doesn't have."""
        shown = [f"name={self.name!r}", f"arguments={self.arguments!r}"]
        rest = ("mailbox", "target", "numbers", "items", "flags", "how")
        shown += [f"{name}={value!r}" for name in rest if (value := getattr(self, name))]
        return f"Command({', '.join(shown)})"


@dataclass(slots=True, eq=False)
class Session:
    """One client connection and the upstream one behind it.

    `client` and `local` are the two ends of the client's connection, `upstream_address` the far end of the
    other one, and `upstream` that one's name in the configuration. `login` and `mechanism` are set once
    upstream has accepted a login, `helo` an EHLO, HELO or LHLO. `state` says where the conversation stands,
    in words of its protocol, for people to read; `closed` why it ended ("client quit", "client idle",
    "closed by PLUGIN" ...), empty until then. `transaction` is the message that is under way now, and
    `transactions` how many there were. Octets are those received from each leg, TLS taken off. `opened` is
    a time of the session's clock; `duration`, in seconds, is 0 until both legs are closed.
    """

    id: str
    listener: str
    protocol: Protocol
    client: Address
    local: Address
    opened: float
    upstream: str = ""
    upstream_address: str = ""
    client_tls: Tls | None = None
    upstream_tls: Tls | None = None
    helo: str = ""
    login: str = ""
    mechanism: str = ""
    closed: str = ""
    state: str = "connected"
    transaction: Transaction | None = None
    transactions: int = 0
    octets_from_client: int = 0
    octets_from_upstream: int = 0
    duration: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    def begin(self, stage: str, now: float) -> Transaction:
        """Start the next transaction; `now` is the session clock's time."""
        self.transactions += 1
        self.transaction = Transaction(f"{self.id}.{self.transactions}", stage, now)
        if stage not in ("smtp", "lmtp"):
            self.transaction.envelope.fix()
        return self.transaction

    @property
    def loopback(self) -> bool:
        """The client reached us over loopback or a unix socket."""
        return (
            not self.client.port
            or self.client.host in ("::1", "127.0.0.1")
            or self.client.host.startswith("127.")
        )


def session_ids() -> Iterator[str]:
    """Ids that sort by time and are unique among processes: 13 characters of base32.

    Eight of them are the second, five a count that begins anywhere.
    """
    seed = int.from_bytes(os.urandom(2)) << 8
    for count in itertools.count(seed):
        low = (count & 0xFFFFFF) << 1
        yield _second(int(time.time())) + "".join([_DIGITS[low >> bits & 31] for bits in (20, 15, 10, 5, 0)])


@lru_cache(1)
def _second(now: int) -> str:
    return base64.b32hexencode(now.to_bytes(5)).decode().lower()
