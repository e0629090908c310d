"""What was judged goes up: as fast as upstream takes it, and never past a client that left."""

from collections.abc import Callable

import pytest

from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.testing.play import Stage

Make = Callable[..., Stage]
OURS = "354 end data with <CR><LF>.<CR><LF>"


class Whole:
    @hookimpl
    def message(self, message: Message) -> None:
        message.headers.get("subject")


class Head:
    @hookimpl
    def message_head(self, message: Message) -> None:
        message.headers.get("subject")


def test_upstream_refuses_what_was_judged(smtp: Make) -> None:
    smtp(Whole(), upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||c|.|NOOP
        U< DATA
        U> 554 5.7.1 no
        C< 554 5.7.1 no
        U< NOOP
    """)


@pytest.mark.parametrize("reply", ["334 what", "250 ok"])
def test_upstream_is_out_of_step_at_data(smtp: Make, reply: str) -> None:
    """What is sent next might be taken for a text: nothing is."""
    smtp(Whole(), upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||c|.|NOOP
        U< DATA
        U> {reply}
        U. aborted
        C< 451 4.3.0 local error, try again later (s1)
        C< 250 2.0.0 ok
    """)


def test_upstream_refuses_what_was_judged_by_its_head(smtp: Make) -> None:
    smtp(Head(), upto="mail").play(rf"""
        C> DATA
        C< {OURS}
        C> A: b||c|\
        U< DATA
        C> more\
        U> 554 5.7.1 no
        C> |.|NOOP
        C< 554 5.7.1 no
        U< NOOP
    """)


def test_client_leaves_while_the_text_goes_up(smtp: Make) -> None:
    stage = smtp(Whole(), upto="mail").play(f"""
        C> DATA
        C< {OURS}
    """)
    stage.upstream.full = True
    stage.play("""
        C> A: b||c|.
        U< DATA
        U> 354 go
        U< A: b|
        C! gone
        U. aborted
    """)
    stage.relay.upstream_drained()
    assert stage.upstream.heard == b""


def test_a_text_goes_up_as_fast_as_upstream_takes_it(smtp: Make) -> None:
    stage = smtp(Whole(), upto="mail").play(f"""
        C> DATA
        C< {OURS}
    """)
    stage.upstream.full = True
    stage.play("""
        C> A: b||c|.
        U< DATA
        U> 354 go
        U< A: b|
    """)
    stage.relay.upstream_drained()
    assert stage.upstream.heard == b"c\r\n"
    stage.upstream.full = False
    stage.upstream.heard = b""
    stage.relay.upstream_drained()
    stage.play("""
        U< .
        U> 250 ok
        C< 250 ok
    """)
