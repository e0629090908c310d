"""Answers in order, one at a time where upstream wants it so, and within bounds."""

from collections.abc import Callable

import pytest

from mailweir.relay.ledger import LIMIT
from mailweir.testing.play import Stage

Make = Callable[..., Stage]


def test_one_at_a_time_until_upstream_offers_more(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> STAT|CAPA|NOOP|NOOP
        U< STAT
        U> +OK 0 0
        C< +OK 0 0
        U< CAPA
        U> +OK|PIPELINING|.
        C< +OK|PIPELINING|.
        U< NOOP|NOOP
        U> +OK|+OK
        C< +OK|+OK
    """)


@pytest.mark.parametrize("barrier", ["QUIT", "UTF8", "XFOO", "AUTH"])
def test_nothing_passes_a_barrier(pop3: Make, barrier: str) -> None:
    stage = pop3(pipelining=True).play(f"""
        C> NOOP|{barrier}|NOOP
        U< NOOP|{barrier}
        U> +OK
        C< +OK
    """)
    assert stage.client.paused
    stage.play("U> -ERR\nC< -ERR" + ("" if barrier == "QUIT" else "\nU< NOOP\nU> -ERR\nC< -ERR"))


def test_a_client_is_not_read_beyond_a_thousand_open_commands(pop3: Make) -> None:
    stage = pop3(logged_in=True, pipelining=True, refuse_unknown=True)
    stage.say("client", b"NOOP\r\n" * LIMIT * 3)
    assert stage.upstream.heard == b"NOOP\r\n" * LIMIT and stage.client.paused
    stage.upstream.heard = b""
    stage.say("upstream", b"+OK\r\n" * LIMIT)
    assert stage.upstream.heard == b"NOOP\r\n" * LIMIT
    stage.say("upstream", b"+OK\r\n" * LIMIT * 2)
    assert stage.client.heard == b"+OK\r\n" * LIMIT * 3 and not stage.client.paused


def test_our_own_answers_are_bounded_too(pop3: Make) -> None:
    stage = pop3(logged_in=True, pipelining=True, refuse_unknown=True)
    stage.say("client", b"NOOP\r\n" + b"XFOO\r\n" * LIMIT * 3)
    assert len(stage.relay.ledger) == LIMIT and stage.client.paused  # type: ignore[attr-defined]
    stage.upstream.heard = b""
    stage.say("upstream", b"+OK\r\n")
    assert stage.client.heard == b"+OK\r\n" + b"-ERR unknown command\r\n" * LIMIT * 3


def test_answers_equal_commands(pop3: Make) -> None:
    stage = pop3(logged_in=True, pipelining=True, refuse_unknown=True)
    stage.say("client", b"NOOP\r\nXFOO\r\nSTAT\r\n\0\r\n" * 100)
    stage.say("upstream", b"+OK\r\n" * 200)
    answers = b"+OK\r\n-ERR unknown command\r\n+OK\r\n-ERR CR or NUL in a line\r\n"
    assert stage.client.heard == answers * 100
