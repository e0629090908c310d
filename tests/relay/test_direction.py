"""Reading stops while something holds it, and goes on where it stopped."""

from typing import Any

from mailweir.relay.direction import Direction
from mailweir.testing.sides import HeardSide
from mailweir.wire.errors import ProtocolError


class Letters:
    """A reader whose events are single octets; `!` is an error, `X` a fatal one, `?` a mistake of ours."""

    def __init__(self) -> None:
        self.octets = b""

    def feed(self, data: bytes) -> None:
        self.octets += data

    def next(self) -> bytes | None:
        octet, self.octets = self.octets[:1], self.octets[1:]
        if octet in (b"!", b"X"):
            raise ProtocolError(octet.decode(), fatal=octet == b"X")
        if octet == b"?":
            raise ZeroDivisionError
        return octet or None

    def rest(self) -> bytes:
        return self.octets


class Heard:
    """A direction, and all that came out of it."""

    def __init__(self) -> None:
        self.said = b""
        self.side = HeardSide()
        self.direction = Direction(Letters(), self.event, self.error, self.broken, self.side)

    def event(self, event: Any) -> None:
        self.said += event
        if event == b"h":
            self.direction.hold("h")
        if event == b"e":
            self.direction.end()

    def error(self, error: ProtocolError) -> None:
        self.said += b"(" + error.text.encode() + b")"

    def broken(self) -> None:
        self.said += b"(broken)"


def test_holds_and_goes_on() -> None:
    heard = Heard()
    heard.direction.feed(b"ahbc")
    assert (heard.said, heard.side.paused) == (b"ah", {"held"})
    heard.direction.hold("other")
    heard.direction.release("h")
    assert heard.said == b"ah"
    heard.direction.feed(b"d")
    heard.direction.release("nobody held for this")
    heard.direction.release("other")
    assert (heard.said, heard.side.paused) == (b"ahbcd", set())


def test_errors_go_on_unless_fatal() -> None:
    heard = Heard()
    heard.direction.feed(b"a!bXc")
    assert heard.said == b"a(!)b(X)"


def test_our_mistake_ends_it_once() -> None:
    heard = Heard()
    heard.direction.feed(b"a?b")
    assert heard.said == b"a(broken)"


def test_over_is_over() -> None:
    heard = Heard()
    heard.direction.feed(b"aeb")
    heard.direction.release("h")
    assert heard.said == b"ae"


def test_nothing_is_kept_once_it_is_over() -> None:
    heard = Heard()
    heard.direction.end()
    heard.direction.feed(b"abc")
    assert heard.direction.reader.rest() == b""
