"""SMTP in front of a real LMTP server, and LMTP in front of a real MTA."""

import smtplib

import pytest

from end2end.clients import SENDER, delivered
from end2end.fakes import connect
from end2end.house import House
from end2end.test_journey import MESSAGE
from end2end.weir import Mailweir, Start

pytestmark = pytest.mark.real


@pytest.fixture
def front(start: Start, house: House) -> Mailweir:
    """SMTP, with Dovecot's LMTP behind."""
    server = {"address": f"127.0.0.1:{house.dovecot.ports['lmtp']}", "protocol": "lmtp"}
    weir: Mailweir = start(
        {"in": {"protocol": "smtp", "trace": "received", "upstream": "box"}}, {"box": server}
    )
    return weir


@pytest.mark.parametrize("hello", ["ehlo", "helo"])
def test_smtp_before_dovecot(front: Mailweir, house: House, user: str, hello: str) -> None:
    """Who comes with two recipients comes twice."""
    users = [f"{user}-one", f"{user}-two"]
    with smtplib.SMTP("127.0.0.1", front.port) as client:
        getattr(client, hello)("client.example")
        refused = client.sendmail(SENDER, users, MESSAGE)
        assert list(refused) == users[1:] and refused[users[1]][0] == 452
        assert client.sendmail(SENDER, users[1:], MESSAGE) == {}
    for name in users:
        (message,) = house.wait_for_mail(name)
        assert delivered(message) == MESSAGE
        assert b"from client.example ([127.0.0.1])" in message


def test_smtp_before_dovecot_by_bdat(front: Mailweir, house: House, user: str) -> None:
    client = connect(front.port)
    client.reply()
    for command in ("EHLO client.example", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{user}@example.org>"):
        client.say(command.encode() + b"\r\n")
        assert client.reply().startswith(b"250")
    middle = len(MESSAGE) // 2
    for part, last in ((MESSAGE[:middle], b""), (MESSAGE[middle:], b" LAST")):
        client.say(b"BDAT %d%s\r\n" % (len(part), last) + part)
        assert client.reply().startswith(b"250")
    (message,) = house.wait_for_mail(user)
    assert delivered(message) == MESSAGE
    assert f"for <{user}@example.org>".encode() in message.replace(b"\n\t", b" ")


def test_lmtp_before_postfix(start: Start, house: House, user: str) -> None:
    """Each accepted recipient hears Postfix's one reply."""
    server = {"address": f"127.0.0.1:{house.mx.ports['smtp']}", "protocol": "smtp"}
    weir = start({"in": {"protocol": "lmtp", "upstream": "next"}}, {"next": server})
    users = [f"{user}-one", f"{user}-two"]
    with smtplib.LMTP("127.0.0.1", weir.port) as client:
        client.ehlo()
        assert client.mail(SENDER)[0] == 250
        assert client.rcpt("stranger@example.net")[0] == 554
        for name in users:
            assert client.rcpt(f"{name}@direct.example.org")[0] == 250
        assert client.docmd("DATA")[0] == 354
        client.send(smtplib._quote_periods(MESSAGE) + b".\r\n")  # type: ignore[attr-defined]
        first, second = client.getreply(), client.getreply()
        assert first[0] == 250 and first == second
        assert client.noop()[0] == 250
    for name in users:
        (message,) = house.wait_for_mail(name)
        assert delivered(message) == MESSAGE
