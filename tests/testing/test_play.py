"""The player: each kind of row, and that it fails when it should."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.relay.meeting import Meeting
from mailweir.relay.side import Side
from mailweir.session import Tls
from mailweir.testing import play
from mailweir.testing.play import TLS, Stage, octets, shown


class Parrot:
    """A relay that carries everything to the other side, and writes down what it is told."""

    def __init__(self, meeting: Meeting) -> None:
        self.session, self.rules = meeting.session, meeting.rules
        self.clock, self.client = meeting.clock, meeting.client
        self._dial: Any = meeting.dial
        self.told: list[str] = []
        self.upstream: Any = None

    def arrived(self) -> None:
        self._dial(self, "server")

    def upstream_ready(self, side: Side, tls: Tls | None) -> None:
        self.upstream = side
        self.told.append(f"ready {bool(tls)}")

    def upstream_failed(self, reason: str, *, insecure: bool = False) -> None:
        self.client.write(b"no server I trust\r\n" if insecure else b"no server\r\n")
        self.client.close()

    def client_octets(self, data: bytes) -> None:
        if data == b"later\r\n":
            self.clock.callLater(30, self.client.write, b"now\r\n")
        elif data == b"tls\r\n":
            self.client.start_tls()
            self.upstream.start_tls()
        elif data == b"bye\r\n":
            self.client.close()
            self.upstream.abort()
        else:
            self.upstream.write(data)

    def upstream_octets(self, data: bytes) -> None:
        self.client.write(data)

    def client_gone(self, reason: str) -> None:
        self.told.append(f"client gone {reason}")

    def upstream_gone(self, reason: str) -> None:
        self.told.append(f"upstream gone {reason}")

    def client_secured(self, tls: Tls) -> None:
        self.told.append(f"client {tls.version}")

    def upstream_secured(self, tls: Tls) -> None:
        self.told.append(f"upstream {tls.version}")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(play, "relay_for", lambda protocol: Parrot)
    return Stage("smtp")


GOOD = {
    "both speak": "U> 220 hi\nC< 220 hi\nC> NOOP\nU< NOOP",
    "two lines": "C> a|b\nU< a|b",
    "two lines, heard one by one": "C> a|b\nU< a\nU< b",
    "one line, said in two pieces": "C> a\\\nU< a\\\nC> b\nU< b",
    "escapes": "C> \\r\\n\\0\\t\\|\\\\\\x7f\nU< \\x0d\\x0a\\x00\\x09\\x7c\\x5c\\x7f",
    "remarks and blank lines": "# nothing\n\nC> a\n   # more\nU< a",
    "time": "C> later\nT+ 30\nC< now",
    "closed and aborted": "C> bye\nC. closed\nU. aborted",
    "open": "C. open",
    "unreachable": "U! unreachable\nC< no server\nC. closed",
    "TLS": "C> tls\nC. tls\nU. tls",
    "nothing at all": "",
}
BAD = {
    "another line": (
        "C> a\nU< b",
        "upstream should hear  b\nupstream heard        a\n                      ^",
    ),
    "too short": ("C> a\\\nU< ab\\", "--> U< ab"),
    "nothing heard": ("C< a", "client heard        (nothing)"),
    "the wrong side": ("C> a\nC< a", "--> C< a"),
    "something unheard at the end": ("C> a", "at the end: upstream heard 'a' and nobody expected it"),
    "something unheard before somebody speaks": ("C> a\nC> b\nU< a|b", "--> C> b"),
    "something unheard before somebody leaves": ("C> a\nC! gone", "--> C! gone"),
    "more than expected": ("C> a|b\nU< a", "upstream heard 'b'"),
    "too early": ("C> later\nT+ 29\nC< now", "--> C< now"),
    "not closed": ("C. closed", "client is open, not closed"),
    "not TLS": ("C. tls", "client was not switched to TLS"),
    "TLS once": ("C> tls\nC. tls\nC. tls", "client was not switched to TLS"),
    "no such row": ("X> a", "no such row: X>"),
    "no such escape": ("C> \\q", "no such escape: \\q"),
    "written after the end": ("C> bye\nU> more", "written after closed: b'more\\r\\n'"),
}


@pytest.mark.parametrize("script", GOOD.values(), ids=GOOD.keys())
def test_goes_through(stage: Stage, script: str) -> None:
    assert stage.play(script) is stage


@pytest.mark.parametrize(("script", "says"), BAD.values(), ids=BAD.keys())
def test_fails(stage: Stage, script: str, says: str) -> None:
    with pytest.raises(AssertionError) as caught:
        stage.play(script)
    assert says in str(caught.value)
    assert "--> " in str(caught.value)


def test_the_failing_row_is_marked(stage: Stage) -> None:
    with pytest.raises(AssertionError) as caught:
        stage.play("C> a\nU< a\nC> b\nU< c\nC> d")
    assert "    C> b\n--> U< c\n    C> d\n" in str(caught.value)


def test_who_leaves_is_told_with_the_reason(stage: Stage) -> None:
    relay: Any = stage.play("C! gone\nU! reset by peer").relay
    assert relay.told == ["ready False", "client gone ", "upstream gone reset by peer"]


def test_handshakes_are_told(stage: Stage) -> None:
    relay: Any = stage.play("C> tls\nC. tls\nU. tls").relay
    assert relay.told == ["ready False", f"client {TLS.version}", f"upstream {TLS.version}"]


def test_goes_on_where_it_stopped(stage: Stage) -> None:
    stage.play("C> a\nU< a").play("U> b\nC< b")
    assert stage.dialled == ["server"]


@given(st.binary())
def test_what_is_shown_can_be_played(data: bytes) -> None:
    text = shown(data)
    assert octets(text) == data
    assert "\n" not in text
