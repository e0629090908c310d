r"""Trace: the Received field that we put on top of a message (RFC 5321 4.4).

    Received: from client.example ([192.0.2.1]) by weir.example (mailweir)
    \twith ESMTPSA id 6n0d1hvk2s4fo.1 for <bob@example.net>
    \ttls TLS_AES_256_GCM_SHA384; Tue, 24 Nov 2026 17:00:00 +0000

Nothing that a client says gets into it but a host's name and an address in their plainest forms.
"""

import re
from datetime import UTC, datetime
from email.utils import format_datetime

from mailweir.message import Message
from mailweir.relay.carry import Way, way
from mailweir.relay.smtp.hops import Hops
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.talk import Talk
from mailweir.session import Session, Tls
from mailweir.wire.smtp_path import parameters

LINE = 77
"""Characters of a line at most, without CRLF, where one word is not longer (RFC 5322 2.1.1 says 78)."""

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?")
_LITERAL = re.compile(r"\[[A-Za-z0-9:.]{2,60}\]")
_MAILBOX = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,255}")
_SUITE = re.compile(r"((?:EC)?DHE)-(ECDSA|RSA)-(?:AES(128|256)-GCM-(SHA256|SHA384)|CHACHA20-POLY1305)")


def hops(talk: Talk) -> Hops | None:
    """For a new message; None where nobody looks at messages, and we neither."""
    topped = _wanted(talk)
    if not topped and way(talk.chain) is Way.PASS:
        return None
    return Hops(_by(talk.rules.hostname).lower().encode(), topped=topped)


def field(talk: Talk, mail: Mail) -> bytes:
    """The field in octets with its CRLF, or nothing where none is wanted."""
    return b"Received: %s\r\n" % _value(talk, mail).encode() if _wanted(talk) else b""


def stamp(talk: Talk, mail: Mail, message: Message) -> None:
    """Put the field on top of a message that is judged, below what plugins will add."""
    if _wanted(talk):
        message.headers.add("Received", _value(talk, mail))


def _wanted(talk: Talk) -> bool:
    return talk.rules.smtp.trace == "received"


def _value(talk: Talk, mail: Mail) -> str:
    session, envelope = talk.session, mail.transaction.envelope
    utf8 = "SMTPUTF8" in parameters(envelope.parameters)
    units = [
        *_from(session),
        _by(talk.rules.hostname),
        f"with {_with(talk, utf8)}",
        f"id {mail.transaction.id}",
    ]
    served = [recipient for recipient in envelope.recipients if not recipient.refused_by]
    if len(served) == 1 and _is_plain(served[0].address, utf8):
        units.append(f"for <{served[0].address}>")  # of several, each would learn who the others are
    suite = _suite(session.client_tls)
    if suite:
        units.append(f"tls {suite}")
    units[-1] += ";"
    units.append(format_datetime(datetime.now(UTC)))
    return _folded(units, len("Received: "))


def _is_plain(address: str, utf8: bool) -> bool:
    """A mailbox without quotes and comments; beyond ASCII only in a message that may be so (RFC 6531 3.3)."""
    if utf8 and address.isprintable():
        address = re.sub(r"[^\x00-\x7f]", "x", address)
    return _MAILBOX.fullmatch(address) is not None


def _from(session: Session) -> list[str]:
    """The name that the client gave itself, and its address (Extended-Domain). A socket file has none."""
    client = session.client
    host = client.host.partition("%")[0]  # the zone of a link-local address is of no use to others
    literal = (f"[IPv6:{host}]" if ":" in host else f"[{host}]") if client.port else ""
    name = session.helo
    if not _HOST.fullmatch(name) and not _LITERAL.fullmatch(name):
        name = literal or "localhost"
    return [f"from {name}", f"({literal})"] if literal else [f"from {name}"]


def _by(host: str) -> str:
    return f"by {host if _HOST.fullmatch(host) else 'localhost'} (mailweir)"


def _with(talk: Talk, utf8: bool) -> str:
    """RFC 3848, RFC 6531 4.3; HELO knows neither TLS nor AUTH."""
    lmtp = talk.dialect.stage == "lmtp"
    if not lmtp and not talk.offer.keywords:
        return "SMTP"
    name = ("UTF8" if utf8 else "" if lmtp else "E") + ("LMTP" if lmtp else "SMTP")
    return name + ("S" if talk.session.client_tls else "") + ("A" if talk.session.mechanism else "")


def _suite(tls: Tls | None) -> str:
    """The registered name of a cipher suite (RFC 8314 4.3), of which OpenSSL has its own before TLS 1.3."""
    if tls is None:
        return ""
    if re.fullmatch("TLS_[A-Z0-9_]{1,60}", tls.cipher):
        return tls.cipher
    match = _SUITE.fullmatch(tls.cipher)
    if match is None:
        return ""
    cipher = f"AES_{match[3]}_GCM_{match[4]}" if match[3] else "CHACHA20_POLY1305_SHA256"
    return f"TLS_{match[1]}_{match[2]}_WITH_{cipher}"


def _folded(units: list[str], used: int) -> str:
    """The units in lines; one that is longer than a line has one for itself."""
    text = ""
    for unit in units:
        if not text:
            text, used = unit, used + len(unit)
        elif used + 1 + len(unit) > LINE:
            text, used = f"{text}\r\n\t{unit}", 1 + len(unit)
        else:
            text, used = f"{text} {unit}", used + 1 + len(unit)
    return text
