"""MAIL and RCPT with what plugins changed, and what RFC 3461 asks for then."""

import pytest

from mailweir.envelope import Envelope, Recipient
from mailweir.relay.smtp.requests import added_line, mail_line, original_recipient, rcpt_line, wants_success

MAILS: dict[str, tuple[bytes, str, str, bytes]] = {
    "nothing": (b"mail from: <a@b>  SIZE=1\r\n", "a@b", "SIZE=1", b"mail from: <a@b>  SIZE=1\r\n"),
    "a sender": (b"MAIL From:<a@b> SIZE=1\r\n", "c@d", "SIZE=1", b"MAIL From:<c@d> SIZE=1\r\n"),
    "nobody": (b"MAIL FROM:<a@b>\r\n", "", "", b"MAIL FROM:<>\r\n"),
    "parameters": (b"MAIL FROM:<a@b> X\r\n", "a@b", "X SMTPUTF8", b"MAIL FROM:<a@b> X SMTPUTF8\r\n"),
    "what was not read": (b"MAIL FROM:<a\r\n", "a@b", "", b"MAIL FROM:<a@b>\r\n"),
}


@pytest.mark.parametrize(("raw", "sender", "given", "line"), MAILS.values(), ids=MAILS.keys())
def test_mail(raw: bytes, sender: str, given: str, line: bytes) -> None:
    assert mail_line(raw, Envelope(sender, given)) == line


RCPTS: dict[str, tuple[bytes, str | None, str | None, bool, bytes]] = {
    "nothing": (b"rcpt to: <a@b>  X\r\n", None, None, True, b"rcpt to: <a@b>  X\r\n"),
    "an address": (b"RCPT TO:<a@b>\r\n", "c@d", None, True, b"RCPT TO:<c@d> ORCPT=rfc822;a@b\r\n"),
    "no DSN": (b"RCPT TO:<a@b> X\r\n", "c@d", None, False, b"RCPT TO:<c@d> X\r\n"),
    "xtext": (b"RCPT TO:<a+=b@c> X\r\n", "c@d", None, True, b"RCPT TO:<c@d> X ORCPT=rfc822;a+2B+3Db@c\r\n"),
    "UTF-8": (
        "RCPT TO:<é@c>\r\n".encode(),
        "c@d",
        None,
        True,
        b"RCPT TO:<c@d> ORCPT=utf-8;\\x{E9}@c\r\n",
    ),
    "it has one": (
        b"RCPT TO:<a@b> orcpt=rfc822;x@y\r\n",
        "c@d",
        None,
        True,
        b"RCPT TO:<c@d> orcpt=rfc822;x@y\r\n",
    ),
    "what else was asked stays": (
        b"RCPT TO:<a@b> RRVS=2014-04-03T23:01:00Z;C NOTIFY=NEVER\r\n",
        "c@d",
        None,
        True,
        b"RCPT TO:<c@d> RRVS=2014-04-03T23:01:00Z;C NOTIFY=NEVER ORCPT=rfc822;a@b\r\n",
    ),
    "parameters alone": (b"RCPT TO:<a@b> X\r\n", None, "Y", True, b"RCPT TO:<a@b> Y\r\n"),
}


@pytest.mark.parametrize(("raw", "address", "given", "dsn", "line"), RCPTS.values(), ids=RCPTS.keys())
def test_rcpt(raw: bytes, address: str | None, given: str | None, dsn: bool, line: bytes) -> None:
    said, _, rest = raw[:-2].decode().partition("<")[2].partition(">")
    recipient = Recipient(said, rest.strip())
    recipient.address = address or said
    if given is not None:
        recipient.parameters = given
    assert rcpt_line(raw, recipient, dsn=dsn) == line


ADDED: dict[str, tuple[str, bool, bytes]] = {
    "the sender hears nothing": ("", True, b"RCPT TO:<a@b> NOTIFY=NEVER\r\n"),
    "but what the plugin says": ("NOTIFY=FAILURE", True, b"RCPT TO:<a@b> NOTIFY=FAILURE\r\n"),
    "other parameters": ("X=1", True, b"RCPT TO:<a@b> X=1 NOTIFY=NEVER\r\n"),
    "no DSN": ("", False, b"RCPT TO:<a@b>\r\n"),
}


@pytest.mark.parametrize(("given", "dsn", "line"), ADDED.values(), ids=ADDED.keys())
def test_added(given: str, dsn: bool, line: bytes) -> None:
    assert added_line(Envelope().add("a@b", given), dsn=dsn) == line


@pytest.mark.parametrize(
    ("given", "wants"),
    [("", False), ("NOTIFY=NEVER", False), ("notify=failure,success", True), ("ORCPT=rfc822;SUCCESS", False)],
)
def test_wants_success(given: str, wants: bool) -> None:
    assert wants_success(Recipient("a@b", given)) is wants


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("a@b", "rfc822;a@b"),
        ('"a b+"@c', 'rfc822;"a+20b+2B"@c'),
        ('"é\\"="@c', 'utf-8;"\\x{E9}\\x{5C}"\\x{3D}"@c'),
    ],
)
def test_original_recipient(address: str, value: str) -> None:
    assert original_recipient(address) == value
