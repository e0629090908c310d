"""Whole conversations however they are cut, and what happens when a side fails."""

from collections.abc import Callable

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from mailweir import hookimpl, metrics
from mailweir.chain.chain import Plug
from mailweir.relay.rules import Rules
from mailweir.session import Address, Leg
from mailweir.spool import Spool
from mailweir.testing.play import Stage

Make = Callable[..., Stage]

BYE = "* BYE [UNAVAILABLE] server not available, try again later (s1)"
CAPABLE = b"IMAP4rev1 LITERAL+ SASL-IR LOGIN-REFERRALS ID ENABLE IDLE AUTH=PLAIN"
BODY = b"Subject: {3}\r\n\r\n)\r\na4 OK x\r\n\0\xff"
RECORDED: list[tuple[Leg, bytes]] = [
    ("upstream", b"* OK [CAPABILITY " + CAPABLE + b"] Dovecot ready.\r\n"),
    ("client", b"a1 CAPABILITY\r\n"),
    ("upstream", b"* CAPABILITY " + CAPABLE + b"\r\na1 OK Pre-login capabilities listed.\r\n"),
    ("client", b'a2 ID ("name" "x")\r\n'),
    ("upstream", b'* ID ("name" "Dovecot")\r\na2 OK ID completed.\r\n'),
    ("client", b"a3 AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=\r\n"),
    ("upstream", b"a3 OK [CAPABILITY IMAP4rev1 LITERAL+ IDLE MOVE QRESYNC] Logged in\r\n"),
    ("client", b"a4 SELECT INBOX\r\na5 UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n"),
    (
        "upstream",
        b"* FLAGS (\\Answered \\Seen)\r\n* 1 EXISTS\r\n* OK [UIDNEXT 2] {3}\r\na4 OK [READ-WRITE] x\r\n"
        b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%s FLAGS ())\r\na5 OK done {5}\r\n" % (len(BODY), BODY),
    ),
    ("client", b"a6 APPEND Sent (\\Seen) {%d}\r\n" % len(BODY)),
    ("upstream", b"+ OK\r\n"),
    ("client", BODY + b"\r\n"),
    ("upstream", b"* 2 EXISTS\r\na6 OK [APPENDUID 1 2] done\r\n"),
    ("client", b"a7 IDLE\r\n"),
    ("upstream", b"+ idling\r\n* 3 EXISTS\r\n"),
    ("client", b"DONE\r\n"),
    ("upstream", b"a7 OK x\r\n"),
    ("client", b"a8 XFOO {3}\r\n"),
    ("upstream", b"a8 BAD x\r\n"),
    ("client", b"a9 LOGOUT\r\n"),
    ("upstream", b"* BYE Logging out\r\na9 OK x\r\n"),
]


def pass_through(cut: Callable[[bytes], list[bytes]]) -> None:
    """Play the recorded conversation, each turn in the pieces that `cut` makes of it."""
    stage = Stage("imap", [], Rules(upstream="server"), client=Address("127.0.0.1", 4000))
    stage.begin()
    for leg, octets in RECORDED:
        other = stage.upstream if leg == "client" else stage.client
        for piece in cut(octets):
            stage.say(leg, piece)
        heard, other.heard = other.heard, b""
        assert heard == octets.replace(b" LOGIN-REFERRALS", b"")
    assert (stage.client.state, stage.session.login, stage.session.closed) == (
        "closed",
        "ann",
        "client quit",
    )


def test_recorded_whole() -> None:
    pass_through(lambda octets: [octets])


def test_recorded_octet_by_octet() -> None:
    pass_through(lambda octets: [bytes([octet]) for octet in octets])


@given(st.floats(0, 1), st.floats(0, 1))
def test_recorded_cut_anywhere(first: float, second: float) -> None:
    low, high = sorted((first, second))

    def cut(octets: bytes) -> list[bytes]:
        one, two = int(low * len(octets)), int(high * len(octets))
        return [piece for piece in (octets[:one], octets[one:two], octets[two:]) if piece]

    pass_through(cut)


FAULTS = {
    "upstream closes": f"U! gone\nC< {BYE}\nC. closed",
    "upstream closes under a command": f"C> a NOOP\nU< a NOOP\nU! reset\nC< {BYE}\nC. closed",
    "upstream closes within a literal": r"U> * 1 FETCH (BODY[] {9}|ab\|C< * 1 FETCH (BODY[] {9}|ab\|U! gone|C. aborted",
    "upstream says BYE": "U> * BYE shutting down\nC< * BYE shutting down\nU! gone\nC. closed",
    "upstream breaks the rules": f"U> hello\nU. aborted\nC< {BYE}\nC. closed",
    "upstream is silent": f"C> a NOOP\nU< a NOOP\nT+ 70\nU. aborted\nC< {BYE}\nC. closed",
    "client is silent": "T+ 1860\nC< * BYE idle for too long\nC. closed\nU. closed",
    "client closes": "C! gone\nU. closed",
    "client closes under a command": "C> a NOOP\nU< a NOOP\nC! gone\nU. closed",
    "client closes within a literal": (
        "C> a SEARCH TEXT {5+}\nU< a SEARCH TEXT {5}\nU> + x\nC! gone\nU. aborted"
    ),
    "logout": "C> a LOGOUT|b NOOP\nU< a LOGOUT\nU> * BYE x|a OK x\nC< * BYE x|a OK x\nC. closed\nU. closed",
}


@pytest.mark.parametrize("script", FAULTS.values(), ids=FAULTS.keys())
def test_fault(imap: Make, script: str) -> None:
    if "\n" not in script:
        script = script.replace("\\|C", "\\\nC").replace("\\|U!", "\\\nU!").replace("|C. ", "\nC. ")
    imap(logged_in=True, upstream_reply=60.0).play(script)


def test_before_login_silence_is_short(imap: Make) -> None:
    imap(before_login=30.0).play("T+ 31\nC< * BYE idle for too long\nC. closed")


def test_retire_waits_for_the_border(imap: Make) -> None:
    stage = imap(logged_in=True)
    stage.play("C> a NOOP\nU< a NOOP")
    stage.relay.retire()
    stage.play("U> a OK x\nC< a OK x\nC< * BYE [UNAVAILABLE] server is shutting down\nC. closed\nU. closed")


def test_retire_does_not_wait_for_idle(imap: Make) -> None:
    stage = imap(logged_in=True)
    stage.play("C> a IDLE\nU< a IDLE\nU> + x\nC< + x")
    stage.relay.retire()
    stage.play("C< * BYE [UNAVAILABLE] server is shutting down\nC. closed")


def test_commands_are_counted_by_names_we_know(imap: Make) -> None:
    cells = [metrics.COMMANDS.cell("test", "imap", name) for name in ("UID FETCH", "other")]
    before = [cell.value for cell in cells]
    imap(logged_in=True).play("C> a uid fetch 1 ALL|b XFOO|c XBAR\nU< a uid fetch 1 ALL|b XFOO|c XBAR")
    assert [cell.value - value for cell, value in zip(cells, before, strict=True)] == [1, 2]


class Everything:
    """Wants to see all there is, and has no opinion."""

    @hookimpl
    def message(self) -> None: ...

    @hookimpl
    def command(self) -> None: ...

    @hookimpl
    def login(self) -> None: ...


TURNS: list[tuple[Leg, bytes]] = [
    ("client", b"a1 NOOP\r\n"),
    ("client", b"a2 APPEND x {3+}\r\nabc\r\n"),
    ("client", b"a2 APPEND x {3}\r\n"),
    ("client", b"a3 LOGIN a {1}\r\n"),
    ("client", b"a3 LOGIN a b\r\n"),
    ("client", b"a4 IDLE\r\n"),
    ("client", b"DONE\r\n"),
    ("client", b"a5 STARTTLS\r\n"),
    ("client", b"a6 AUTHENTICATE PLAIN\r\n"),
    ("client", b"AGEAYg==\r\n"),
    ("client", b"a7 XFOO {3+}\r\n"),
    ("client", b"abc"),
    ("client", b"\r\n"),
    ("client", b"\xff\0"),
    ("upstream", b"+ go\r\n"),
    ("upstream", b"a1 OK x\r\n"),
    ("upstream", b"a2 NO x\r\n"),
    ("upstream", b"a3 OK x\r\n"),
    ("upstream", b"a4 OK x\r\n"),
    ("upstream", b"a6 OK x\r\n"),
    ("upstream", b"a7 BAD x\r\n"),
    ("upstream", b"* 1 X {3}\r\n"),
    ("upstream", b"abc"),
    ("upstream", b"\r\n"),
    ("upstream", b"* BYE\r\n"),
]


@given(st.lists(st.sampled_from(TURNS)))
@pytest.mark.parametrize("plugged", [True, False])
def test_no_order_of_events_is_an_internal_error(plugged: bool, said: list[tuple[Leg, bytes]]) -> None:
    plugs, spool = [Plug("all", Everything())] if plugged else [], Spool()
    stage = Stage(
        "imap", plugs, Rules(upstream="server", starttls=True, spool=spool), client=Address("127.0.0.1", 4000)
    )
    with structlog.testing.capture_logs() as logs:
        stage.begin()
        stage.say("upstream", b"* OK hi\r\n")
        for leg, octets in said:
            if (stage.client if leg == "client" else stage.upstream).state == "open":
                stage.say(leg, octets)
        for leg in ("client", "upstream"):
            (stage.relay.client_gone if leg == "client" else stage.relay.upstream_gone)("")
    assert not [log for log in logs if log["event"] == "internal error"]
    assert spool.used == 0
