"""`check --probe`: which upstreams are asked, what a keeper is warned of, and how long it may take."""

import datetime
import re
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from end2end.fakes import Fake, Peer, SmtpFake
from end2end.weir import once, write
from mailweir.app.config import Configuration, Upstream
from mailweir.app.probe import SOON, WARNINGS, Finding, _wanted
from mailweir.testing.play import TLS

MX = {"protocol": "smtp", "listen": "127.0.0.1:2525", "upstream": "mta"}


def ending_in(days: int) -> x509.Certificate:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=1)
    pem = trustme.CA().issue_cert("mx.example.org", not_after=end).cert_chain_pems[0]
    return x509.load_pem_x509_certificate(pem.bytes())


SOUND = ("8BITMIME", "SMTPUTF8")
WARNED = {
    "all is well": (Finding("mta", "smtp", "a:25", "192.0.2.1:25", TLS, ending_in(90), SOUND), {}, []),
    "ends soon": (
        Finding("mta", "smtp", "a:25", "192.0.2.1:25", TLS, ending_in(SOON - 1), SOUND),
        {},
        ["its certificate ends in 20 days"],
    ),
    "anybody": (
        Finding("mta", "imap", "a:143", "192.0.2.1:143", TLS),
        {"verify": False},
        ["verify: false believes anybody"],
    ),
    "in clear": (
        Finding("mta", "imap", "a:143", "192.0.2.1:143"),
        {},
        ["passwords and mail go there in clear"],
    ),
    "in clear, needlessly": (
        Finding("mta", "pop3", "a:110", "[2001:db8::1]:110", None, None, ["STLS"]),
        {},
        ["it offers STARTTLS, and tls: none"],
    ),
    "in clear on this machine": (Finding("mta", "imap", "a:143", "127.0.0.1:143"), {}, []),
    "in clear by a socket": (Finding("mta", "imap", "unix:/s", "unix:/s"), {}, []),
    "channel binding": (
        Finding("mta", "imap", "a:143", "[::1]:143", None, None, ["AUTH=SCRAM-SHA-1-PLUS", "IDLE"]),
        {},
        ["AUTH=SCRAM-SHA-1-PLUS: channel binding can't pass"],
    ),
    "seven bits": (
        Finding("mta", "lmtp", "a:24", "127.0.0.1:24", None, None, ["8BITMIME"]),
        {},
        ["no SMTPUTF8: mail that needs it"],
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_warnings(case: str) -> None:
    finding, rest, said = WARNED[case]
    made = Upstream.model_validate({"address": "a:25", **rest})
    found = [text for warn in WARNINGS if (text := warn(finding, made))]
    assert [text[: len(start)] for text, start in zip(found, said, strict=True)] == said


def test_each_address_in_each_protocol_that_is_spoken_there() -> None:
    def listener(protocol: str, upstream: str) -> dict[str, object]:
        return {"protocol": protocol, "listen": "127.0.0.1:1", "upstream": upstream}

    configuration = Configuration.model_validate(
        {
            "listeners": {
                "a": listener("smtp", "mta"),
                "b": listener("lmtp", "mta"),
                "c": listener("imap", "route"),
                "d": listener("smtp", "mda"),
            },
            "upstreams": {
                "mta": {"address": ["one:25", "two:25"]},
                "mda": {"address": "mda:24", "protocol": "lmtp"},
            },
        }
    )
    asked = [(finding.upstream, finding.protocol, finding.address) for finding, _ in _wanted(configuration)]
    both = [("mta", name, address) for name in ("smtp", "lmtp", "imap") for address in ("one:25", "two:25")]
    assert asked == [*both, ("mda", "lmtp", "mda:24")]


def probed(folder: Path, upstream: dict[str, object], protocol: str = "smtp") -> tuple[int, str]:
    listeners = {"mx": {**MX, "protocol": protocol}}
    file = write(folder, {"listeners": listeners, "upstreams": {"mta": upstream}})
    return once("check", file, "--probe")


def test_a_server_that_is_there(tmp_path: Path) -> None:
    fake = SmtpFake()
    code, said = probed(tmp_path, {**fake.upstream})
    fake.stop()
    assert code == 0, said
    assert re.search(r"(?m)^mta +smtp +127\.0\.0\.1:\d+ +none +PIPELINING, 8BITMIME, CHUNKING", said)
    assert "warning: no SMTPUTF8" in said
    assert fake.said[-1] == b"QUIT\r\n" and len(fake.said) == 2


def test_a_server_that_refuses_one_that_is_away_and_one_that_is_silent(tmp_path: Path) -> None:
    def refuse(peer: Peer) -> None:
        peer.say(b"554 no mail from you\r\n")

    def say_nothing(peer: Peer) -> None:
        peer.rest()

    refusing, silent = Fake(refuse), Fake(say_nothing)
    addresses = [f"127.0.0.1:{refusing.port}", "127.0.0.1:1", f"127.0.0.1:{silent.port}"]
    code, said = probed(tmp_path, {"address": addresses, "tls": "implicit", "connect_timeout": "1s"})
    assert code == 1
    assert "127.0.0.1:1: connection refused" in said and "no answer within 1 seconds" in said
    assert "no TLS is spoken" in said or "handshake" in said
    code, said = probed(tmp_path, {"address": addresses[0]})
    assert code == 1 and "it refuses us in its greeting: 554 no mail from you" in said
    refusing.stop()
    silent.stop()
