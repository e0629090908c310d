"""A side that keeps what it is told."""

import pytest

from mailweir.relay.side import Side
from mailweir.testing.sides import HeardSide


def test_keeps_what_it_is_told() -> None:
    heard = HeardSide()
    side: Side = heard
    side.write(b"a")
    side.write(b"b")
    side.pause("x")
    side.pause("y")
    side.resume("x")
    side.start_tls()
    assert (heard.heard, heard.paused, heard.secured, heard.state) == (b"ab", {"y"}, 1, "open")


@pytest.mark.parametrize(("how", "state"), [("close", "closed"), ("abort", "aborted")])
def test_nothing_is_written_after_the_end(how: str, state: str) -> None:
    side = HeardSide()
    getattr(side, how)()
    assert side.state == state
    with pytest.raises(AssertionError, match=f"written after {state}"):
        side.write(b"a")


def test_abort_overrules_close_and_not_the_reverse() -> None:
    side = HeardSide()
    side.close()
    side.abort()
    side.close()
    assert side.state == "aborted"
