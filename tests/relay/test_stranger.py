"""Clients that speak another protocol are told so once, in all relays, and nothing of theirs goes up."""

import pytest
from structlog.testing import capture_logs

from mailweir import metrics
from mailweir.relay.stranger import LOOKED_AT, found_out
from mailweir.session import Protocol
from mailweir.testing.play import Stage

HTTP = "client speaks HTTP"
TLS = "client speaks TLS on a clear port"
GREETINGS: dict[Protocol, str] = {"smtp": "220 hi", "lmtp": "220 hi", "pop3": "+OK hi", "imap": "* OK hi"}
ANSWERS: dict[Protocol, str] = {
    "smtp": "500 {} (s1)",
    "lmtp": "500 {} (s1)",
    "pop3": "-ERR {}",
    "imap": "* BYE {}",
}
STRANGERS = {
    "GET": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP),
    "POST with commands in it": (b"POST /x HTTP/1.1\r\n\r\nMAIL FROM:<a@b>\r\nNOOP\r\na NOOP\r\n", HTTP),
    "CONNECT": (b"CONNECT mx.example:25 HTTP/1.1\r\n\r\n", HTTP),
    "OPTIONS": (b"OPTIONS * HTTP/1.1\r\n\r\n", HTTP),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP),
    "HTTP/0.9": (b"GET /\r\n", HTTP),
    "a long URL": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nNOOP\r\na NOOP\r\n", HTTP),
    "a proxy's request": (b"GET http://mx.example/ HTTP/1.1\r\n\r\n", HTTP),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", TLS),
}


@pytest.mark.parametrize("protocol", GREETINGS)
@pytest.mark.parametrize(("said", "what"), STRANGERS.values(), ids=STRANGERS.keys())
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("size", [1, 10**6])
def test_strangers(protocol: Protocol, said: bytes, what: str, early: bool, size: int) -> None:
    said = said[: 2000 if size == 1 else None]
    greeting = f"U> {GREETINGS[protocol]}\nC< {GREETINGS[protocol]}"
    broken = metrics.PROTOCOL_ERRORS.cell("test", protocol, "client")
    before = broken.value
    stage = Stage(protocol)
    stage.begin()
    with capture_logs() as logs:
        if not early:
            stage.play(greeting)
        for at in range(0, len(said), size):
            stage.say("client", said[at : at + size])
        if early:
            stage.play(f"U> {GREETINGS[protocol]}\nC< {GREETINGS[protocol]}|{ANSWERS[protocol].format(what)}")
        else:
            assert stage.client.heard == f"{ANSWERS[protocol].format(what)}\r\n".encode()
            stage.client.heard = b""
    stage.play("C. closed\nU. closed")
    assert stage.session.closed == what
    assert [line["event"] for line in logs] == [what]
    assert (logs[0]["client"], broken.value) == ("192.0.2.1", before + 1)


OURS: dict[str, tuple[Protocol, str]] = {
    "a tag like a method": ("imap", "GET NOOP"),
    "a tag like a method, in lower case": ("imap", "get NOOP"),
    "a tag that begins like one": ("imap", "P NOOP"),
    "a verb that begins like one": ("smtp", "HELP"),
    "a verb that we don't know": ("pop3", "OPTIONS"),
}


@pytest.mark.parametrize(("protocol", "line"), OURS.values(), ids=OURS.keys())
def test_what_only_looks_like_http_goes_up(protocol: Protocol, line: str) -> None:
    greeting = GREETINGS[protocol]
    stage = Stage(protocol).play(f"U> {greeting}\nC< {greeting}")
    for octet in f"{line}\r\n".encode():
        stage.say("client", bytes([octet]))
    stage.play(f"U< {line}")


def test_only_the_first_line_is_looked_at() -> None:
    Stage("pop3").play(
        "U> +OK hi\nC< +OK hi\nC> NOOP\nU< NOOP\nU> +OK\nC< +OK\nC> GET / HTTP/1.1\nU< GET / HTTP/1.1"
    )


def test_a_long_line_that_begins_like_http_is_let_go() -> None:
    assert found_out(b"GET " + b"x" * LOOKED_AT) == ""
    assert found_out(b"GET " + b"x" * 10) is None


def test_nothing_was_said_yet() -> None:
    assert found_out(b"") is None
