"""What clients are offered: a function of what upstream says now, of the client's connection, and the rules.

Nothing is remembered from one CAPA to the next: the list differs by state and after STLS (RFC 2449 5).
"""

from enum import Enum

from mailweir.relay import sasl
from mailweir.relay.pop3.exchange import Collected
from mailweir.relay.pop3.talk import Talk
from mailweir.wire.pop3 import Reply


class Offer(Enum):
    """What becomes of a capability."""

    PASS = "as upstream says"
    STRIP = "not offered"
    OWN = "ours, whatever upstream says"
    LOGIN = "only where a secret may be said"
    MECHANISMS = "those that work through a proxy"


CAPABILITIES = {
    "CAPA": Offer.PASS,  # Dovecot lists it
    "TOP": Offer.PASS,
    "USER": Offer.LOGIN,
    "SASL": Offer.MECHANISMS,
    "RESP-CODES": Offer.PASS,
    "AUTH-RESP-CODE": Offer.PASS,
    "LOGIN-DELAY": Offer.PASS,
    "EXPIRE": Offer.PASS,
    "PIPELINING": Offer.OWN,
    "UIDL": Offer.PASS,
    "STLS": Offer.OWN,
    "UTF8": Offer.PASS,
    "LANG": Offer.PASS,
    "IMPLEMENTATION": Offer.PASS,
    "XCLIENT": Offer.STRIP,
}


def advertise(lines: list[bytes], talk: Talk) -> list[bytes]:
    """Upstream's capabilities, each with its CRLF, as this client may see them now.

    Lines that stay keep their octets. PIPELINING is offered always: we keep it for servers that can't.
    """
    own = {"PIPELINING": True, "STLS": talk.starttls}
    offered = []
    for line in lines:
        words = line.split()
        name = words[0].upper().decode("latin-1") if words else ""
        offer = CAPABILITIES.get(name, Offer.STRIP if talk.rules.refuse_unknown else Offer.PASS)
        if offer is Offer.OWN:
            kept = own.pop(name, False)
        elif offer is Offer.LOGIN:
            kept = talk.plaintext
        elif offer is Offer.MECHANISMS:
            line = _mechanisms(line, words[1:], talk)
            kept = bool(line)
        else:
            kept = offer is Offer.PASS
        if kept:
            offered.append(line)
    return offered + [name.encode() + b"\r\n" for name, ours in own.items() if ours]


def usable(talk: Talk, mechanism: str) -> bool:
    """Tell whether this client may use a SASL mechanism now."""
    return talk.confidential and sasl.usable(
        mechanism,
        plaintext=talk.plaintext,
        refuse_unknown=talk.rules.refuse_unknown,
        asked=talk.chain.listens("login"),
    )


class Capabilities(Collected):
    """The reply to CAPA. Tells us, too, whether upstream may be spoken to ahead of its replies."""

    __slots__ = ()

    def replied(self, reply: Reply) -> None:
        if not reply.ok:
            self.talk.pipelining = False
        super().replied(reply)

    def rewritten(self, lines: list[bytes]) -> list[bytes]:
        talk = self.talk
        talk.pipelining = any(line.strip().upper() == b"PIPELINING" for line in lines)
        talk.promised = not talk.pipelining
        return advertise(lines, talk)


class Mechanisms(Collected):
    """The reply to AUTH without an argument: a mechanism a line."""

    __slots__ = ()

    def rewritten(self, lines: list[bytes]) -> list[bytes]:
        return [line for line in lines if usable(self.talk, line.strip().decode("latin-1"))]


def _mechanisms(line: bytes, names: list[bytes], talk: Talk) -> bytes:
    """The SASL line with what remains of it; empty if nothing does."""
    kept = [name for name in names if usable(talk, name.decode("latin-1"))]
    if kept == names:
        return line
    return b" ".join([line.split()[0], *kept]) + b"\r\n" if kept else b""
