"""Commands of ours: what upstream hears, and that the client hears nothing of it."""

from collections.abc import Callable

import pytest

from mailweir.relay.smtp.errand import Errand
from mailweir.relay.smtp.relay import SmtpRelay
from mailweir.testing.play import Stage
from mailweir.wire.smtp import Reply

Make = Callable[..., Stage]
ASKED = [("NOOP", b"NOOP 1\r\n"), ("NOOP", b"NOOP 2\r\n"), ("NOOP", b"NOOP 3\r\n")]


def sent(stage: Stage) -> list[Reply]:
    """Send an errand; the list is filled once it is done."""
    said: list[Reply] = []
    assert isinstance(stage.relay, SmtpRelay)
    Errand(stage.relay, ASKED, said.extend)
    return said


def test_in_one_group(smtp: Make) -> None:
    stage = smtp()
    said = sent(stage)
    stage.play("""
        U< NOOP 1|NOOP 2|NOOP 3
        C> VRFY x
        U> 250 ok|550-no|550 no
    """)
    assert said == [] and stage.client.paused
    stage.play("""
        U> 250 ok
        U< VRFY x
        U> 252 x
        C< 252 x
    """)
    assert [reply.code for reply in said] == [250, 550, 250] and not stage.client.paused


def test_one_at_a_time(smtp: Make) -> None:
    stage = smtp(offer="PIPELINING", upto="greeted").play("""
        C> EHLO me
        U< EHLO me
        U> 250 x
        C< 250-x|250-PIPELINING|250 CHUNKING
    """)
    said = sent(stage)
    stage.play("""
        U< NOOP 1
        U> 250 a
        U< NOOP 2
        U> 250 b
        U< NOOP 3
        U> 250 c
    """)
    assert [reply.raw for reply in said] == [b"250 a\r\n", b"250 b\r\n", b"250 c\r\n"]
    assert not stage.client.paused


def test_nothing_to_ask(smtp: Make) -> None:
    stage = smtp()
    said: list[list[Reply]] = []
    assert isinstance(stage.relay, SmtpRelay)
    Errand(stage.relay, [], said.append)
    assert said == [[]] and not stage.client.paused


@pytest.mark.parametrize("way", ["U! gone", "U> 421 bye"])
def test_upstream_leaves(smtp: Make, way: str) -> None:
    stage = smtp()
    said = sent(stage)
    stage.play("U< NOOP 1|NOOP 2|NOOP 3")
    stage.play(f"""
        {way}
        C< {"421 bye" if "421" in way else "421 4.3.0 lost the server, try again later (s1)"}
        C. closed
    """)
    assert said == []


def test_a_reply_that_is_early(smtp: Make) -> None:
    stage = smtp()
    stage.say("upstream", b"250 ")
    assert sent(stage) == []
    assert stage.upstream.state == "aborted"
