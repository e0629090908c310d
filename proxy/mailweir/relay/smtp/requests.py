"""MAIL and RCPT as upstream is asked: the client's octets, and in them what plugins changed.

Who rewrites a recipient answers for what was asked about it (RFC 3461 5.2.7.2): notifications name the
address that the sender wrote (ORCPT), and of recipients that he never wrote he shall hear nothing
(5.2.7.4). Where upstream offers no DSN, nobody was promised any.
"""

import re

from mailweir.envelope import Envelope, Recipient
from mailweir.wire.smtp_path import edit, parameters, path

_XTEXT = re.compile(r"[^!-*,-<>-~]")
_UTF8 = re.compile(r"[^!-*,-<>-\[\]-~]")


def mail_line(raw: bytes, envelope: Envelope) -> bytes:
    """MAIL for this envelope; `raw` is the client's own line."""
    arguments = raw[5:-2]
    said = path(arguments, b"FROM:")
    sender = None if said is not None and said.address == envelope.sender else envelope.sender
    given = None if said is not None and said.parameters == envelope.parameters else envelope.parameters
    return raw[:5] + edit(arguments, b"FROM:", sender, given) + b"\r\n"


def rcpt_line(raw: bytes, recipient: Recipient, *, dsn: bool) -> bytes:
    """RCPT for this recipient; `raw` is the client's own line, `dsn`: upstream offers it."""
    arguments = raw[5:-2]
    said = path(arguments, b"TO:")
    address = None if said is not None and said.address == recipient.address else recipient.address
    given = None if said is not None and said.parameters == recipient.parameters else recipient.parameters
    original = recipient.original
    if dsn and address is not None and original and "ORCPT" not in parameters(recipient.parameters):
        given = f"{recipient.parameters} ORCPT={original_recipient(original)}".lstrip()
    return raw[:5] + edit(arguments, b"TO:", address, given) + b"\r\n"


def added_line(recipient: Recipient, *, dsn: bool) -> bytes:
    """RCPT for a recipient that a plugin added."""
    given = recipient.parameters
    if dsn and "NOTIFY" not in parameters(given):
        given = f"{given} NOTIFY=NEVER".lstrip()
    return b"RCPT " + edit(b"", b"TO:", recipient.address, given) + b"\r\n"


def wants_success(recipient: Recipient) -> bool:
    """The sender asked to be told of the delivery (RFC 3461 4.1)."""
    return "SUCCESS" in parameters(recipient.parameters).get("NOTIFY", "").upper().split(",")


def original_recipient(address: str) -> str:
    """The value of ORCPT: xtext (RFC 3461 4), for addresses beyond ASCII the one of RFC 6533 3.

    >>> original_recipient("a+b@example.org"), original_recipient("é@example.org")
    ('rfc822;a+2Bb@example.org', 'utf-8;\\\\x{E9}@example.org')
    """
    if address.isascii():
        return "rfc822;" + _XTEXT.sub(lambda match: f"+{ord(match[0]):02X}", address)
    return "utf-8;" + _UTF8.sub(lambda match: f"\\x{{{ord(match[0]):X}}}", address)
