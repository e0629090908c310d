"""The examples in conf/, but for their addresses and certificates: mail goes through each as it says there."""

import imaplib
import poplib
import smtplib
import ssl
from pathlib import Path
from typing import Any

import dkim
import pytest
from ruamel.yaml import YAML

from end2end.clients import SENDER, delivered
from end2end.dovecot import PASSWORD
from end2end.house import House
from end2end.machine import ROOT, free_port, wait_until
from end2end.test_journey import MESSAGE
from end2end.tls import Papers
from end2end.weir import Mailweir, Start, program

pytestmark = pytest.mark.real

AUTHOR = "ann@example.org"
SIGNED = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: x\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <one@example.org>\r\n\r\nhello\r\n"
)
PROGRAM = MESSAGE.replace(
    b"Content-Type: text/plain; charset=utf-8\r\n",
    b'Content-Type: application/octet-stream; name="invoice.exe"\r\n',
)


def example(name: str, papers: Papers) -> dict[str, Any]:
    """What conf/NAME says, listening on free ports of ours and with certificates that exist."""
    said: dict[str, Any] = YAML(typ="safe").load(ROOT / "conf" / name)
    for listener in said["listeners"].values():
        listener["listen"] = f"127.0.0.1:{free_port()}"
    said["certificates"] = [{"certificate": str(papers.certificate), "key": str(papers.key)}]
    del said["admin"]
    said.pop("log", None)
    return said


def trusting(papers: Papers) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(papers.authority))


@pytest.fixture
def delivery(start: Start, house: House, papers: Papers) -> Mailweir:
    """conf/lmtp.yaml between the Postfix and the Dovecot of the house."""
    said = example("lmtp.yaml", papers)
    said["listeners"]["delivery"]["listen"] = f"unix:{house.delivery}"
    servers = said["upstreams"]
    servers["dovecot"]["address"] = f"unix:{house.dovecot.folder}/run/lmtp"
    for protocol in ("imap", "pop3"):
        servers[f"dovecot-{protocol}"]["address"] = f"127.0.0.1:{house.dovecot.ports[protocol + 's']}"
        servers[f"dovecot-{protocol}"]["verify"] = str(papers.authority)
    # as the unit's UMask=0000 does, without which only our own user may connect
    command = ["sh", "-c", 'umask 0000 && exec "$0" "$@"', *program()]
    weir: Mailweir = start(said.pop("listeners"), said.pop("upstreams"), command=command, **said)
    return weir


def hand_in(house: House, message: bytes, *users: str) -> None:
    with smtplib.SMTP("127.0.0.1", house.mx.ports["smtp"]) as client:
        assert client.sendmail(SENDER, [f"{user}@delivery.example.org" for user in users], message) == {}


def test_delivery(delivery: Mailweir, house: House, papers: Papers, user: str) -> None:
    users = [f"{user}-one", f"{user}-two"]
    hand_in(house, MESSAGE, *users)
    for name in users:
        (message,) = house.wait_for_mail(name)
        assert delivered(message) == MESSAGE
    assert delivery.metric("mailweir_messages_total", protocol="lmtp", verdict="accepted") >= 1

    context = trusting(papers)
    with imaplib.IMAP4_SSL("127.0.0.1", delivery.ports["imaps"], ssl_context=context) as imap:
        imap.login(users[0], PASSWORD)
        assert imap.select() == ("OK", [b"1"])
    pop3 = poplib.POP3_SSL("127.0.0.1", delivery.ports["pop3s"], context=context)
    pop3.user(users[1])
    pop3.pass_(PASSWORD)
    assert pop3.stat()[0] == 1
    pop3.quit()


def test_what_may_not_be_delivered_bounces(delivery: Mailweir, house: House, user: str) -> None:
    hand_in(house, PROGRAM, user)
    wait_until("a bounce", lambda: f"to=<{user}@delivery.example.org>" in house.mx.log())
    (row,) = [row for row in house.mx.log().splitlines() if f"to=<{user}@delivery.example.org>" in row]
    assert "status=bounced" in row and "attachment invoice.exe is not allowed" in row
    assert house.dovecot.messages(user) == []
    assert delivery.metric("mailweir_messages_total", protocol="lmtp", verdict="rejected") == 1


@pytest.fixture
def submission(start: Start, house: House, papers: Papers, key: tuple[Path, bytes]) -> Mailweir:
    """conf/submission-dkim.yaml in front of the Postfix of the house."""
    said = example("submission-dkim.yaml", papers)
    server = said["upstreams"]["mta"]
    server["address"], server["verify"] = f"127.0.0.1:{house.mta.ports['smtp']}", str(papers.authority)
    said["plugins"]["dkim"]["key"]["file"] = str(key[0])
    weir: Mailweir = start(said.pop("listeners"), said.pop("upstreams"), **said)
    return weir


@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_submission(
    submission: Mailweir, house: House, papers: Papers, key: tuple[Path, bytes], user: str, port: str
) -> None:
    context = trusting(papers)
    if port == "submission":
        client = smtplib.SMTP("localhost", submission.ports[port])
        client.ehlo()
        assert not client.has_extn("auth") and client.docmd(f"MAIL FROM:<{AUTHOR}>")[0] == 530
        client.starttls(context=context)
    else:
        client = smtplib.SMTP_SSL("localhost", submission.ports[port], context=context)
    with client:
        client.login(user, PASSWORD)
        client.sendmail(AUTHOR, [f"{user}@direct.example.org"], SIGNED)
    (message,) = house.wait_for_mail(user)
    text = message.replace(b"\n", b"\r\n")
    assert delivered(message).startswith(b"DKIM-Signature:") and text.endswith(SIGNED)
    assert dkim.verify(text, dnsfunc=lambda name, timeout=5: key[1])
    assert not dkim.verify(text.replace(b"Subject: x", b"Subject: y"), dnsfunc=lambda name, timeout=5: key[1])
