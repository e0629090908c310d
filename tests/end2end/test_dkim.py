"""Mail that the proxy signed verifies with dkimpy and with OpenDKIM after its transit, in ten shapes."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from end2end.fakes import SmtpFake, connect
from end2end.machine import locate, run
from end2end.weir import Mailweir, Start

HEAD = b"From: Ann <ann@example.net>\r\nTo: bob@example.org\r\nSubject: x\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n"

SHAPES = {  # name: (message, by BDAT)
    "no final CRLF": (HEAD + b"\r\nhello", True),
    "dots": (HEAD + b"\r\n.\r\n..\r\n.a\r\n", False),
    "very long lines": (HEAD + b"X-Long: " + b"y" * 900 + b"\r\n\r\n" + b"z" * 100_000 + b"\r\n", False),
    "empty body": (HEAD + b"\r\n", False),
    "8-bit": (HEAD.replace(b"Subject: x", "Subject: Grüße".encode()) + "\r\nGrüße\r\n".encode(), False),
    "folded headers": (
        HEAD.replace(b"Subject: x", b"Subject: one\r\n\ttwo\r\n  three ")
        + b"\r\nhello \t there  \r\n\r\n\r\n",
        False,
    ),
    "From alone": (b"From: ann@example.net\r\n\r\nhello\r\n", False),
    "many From-like fields": (
        b"X-From: a@example.com\r\nFrom-Not: b@example.com\r\n" * 20
        + HEAD
        + b"Resent-From: c@example.com\r\nfromage: brie\r\n\r\nFrom: d@example.com\r\n",
        False,
    ),
    "BDAT": (HEAD + b"\r\n.\r\nQUIT\r\n\x80\xff\r\n", True),
    "10 MB": (HEAD + b"\r\n" + b"a line of text with  two blanks\r\n" * 300_000, False),
}


@pytest.fixture
def fake() -> Iterator[SmtpFake]:
    fake = SmtpFake()
    yield fake
    fake.stop()


@pytest.fixture
def signing(start: Start, fake: SmtpFake, key: tuple[Path, bytes]) -> Mailweir:
    """A proxy that signs for example.net what comes from loopback."""
    return start(
        {"in": {"protocol": "smtp", "upstream": "out", "plugins": ["dkim"]}},
        {"out": fake.upstream},
        plugins={
            "dkim": {
                "domain": "example.net",
                "selector": "mail",
                "key": {"file": str(key[0])},
                "networks": ["127.0.0.0/8"],
                "timeout": "60s",
            }
        },
    )


def send(port: int, message: bytes, bdat: bool) -> None:
    client = connect(port)
    client.reply()
    for command in (b"EHLO me", b"MAIL FROM:<ann@example.net>", b"RCPT TO:<bob@example.org>"):
        client.say(command + b"\r\n")
        assert client.reply().startswith(b"250")
    if bdat:
        middle = len(message) // 2
        for part, last in ((message[:middle], b""), (message[middle:], b" LAST")):
            client.say(b"BDAT %d%s\r\n" % (len(part), last) + part)
            assert client.reply().startswith(b"250")
    else:
        client.say(b"DATA\r\n")
        assert client.reply().startswith(b"354")
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        client.say(stuffed + b".\r\n")
        assert client.reply().startswith(b"250")
    client.say(b"QUIT\r\n")
    client.rest()


@pytest.mark.real
@pytest.mark.parametrize(("message", "bdat"), SHAPES.values(), ids=SHAPES.keys())
def test_signed(
    signing: Mailweir, fake: SmtpFake, key: tuple[Path, bytes], tmp_path: Path, message: bytes, bdat: bool
) -> None:
    send(signing.port, message, bdat)
    (received,) = fake.messages
    text = received.text
    assert text.endswith(message) and text.startswith(b"DKIM-Signature:"), text[:2000]
    record = key[1]
    assert dkim.verify(text, dnsfunc=lambda name, timeout=5: record)
    forged = text.replace(b"\r\n\r\n", b"\r\n\r\nforged\r\n", 1)
    assert not dkim.verify(forged, dnsfunc=lambda name, timeout=5: record)

    # OpenDKIM knows whole lines only; a missing CRLF at the end counts as one (RFC 6376 3.4.3, 3.4.4)
    for name, octets in (("message", text), ("forged", forged)):
        (tmp_path / name).write_bytes(octets if octets.endswith(b"\r\n") else octets + b"\r\n")
    (tmp_path / "keys").write_text(f"mail._domainkey.example.net {record.decode()}\n")
    (tmp_path / "conf").write_text(
        f"Mode v\nTestPublicKeys {tmp_path}/keys\nSyslog no\nRequireSafeKeys no\nUserID root\n"
    )
    for name, verdict in (("message", "succeeded"), ("forged", "failed")):
        output = run(locate("opendkim"), "-x", tmp_path / "conf", "-t", tmp_path / name, "-v")
        assert f") {verdict}" in output, output


def test_without_from_it_passes_unsigned_and_logged(signing: Mailweir, fake: SmtpFake) -> None:
    message = b"Subject: nobody wrote this\r\n\r\nhello\r\n"
    send(signing.port, message, False)
    assert [received.text for received in fake.messages] == [message]
    assert signing.wait_for_event("dkim: not signed")["reason"] == "there is no From field"


def test_signing_ten_megabytes_holds_nobody(signing: Mailweir) -> None:
    """Best of five: a busy machine holds us, too."""
    longest: list[float] = []
    for _ in range(5):
        sending = threading.Thread(target=send, args=(signing.port, SHAPES["10 MB"][0], False))
        other = connect(signing.port)
        other.reply()
        waited = [0.0]
        sending.start()
        while sending.is_alive():
            began = time.monotonic()
            other.say(b"NOOP\r\n")
            other.reply()
            waited.append(time.monotonic() - began)
        other.close()
        longest.append(max(waited))
        if longest[-1] < 0.05:
            break
    assert min(longest) < 0.05, f"a NOOP waited {min(longest) * 1000:.0f} ms"
