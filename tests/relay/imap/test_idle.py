"""IDLE: DONE is no command; it may come early, in lower case, or not at all."""

from collections.abc import Callable

import pytest

from mailweir.testing.play import Stage

Make = Callable[..., Stage]

PLAYS = {
    "in good order": """
        C> a1 IDLE
        U< a1 IDLE
        U> + idling|* 3 EXISTS
        C< + idling|* 3 EXISTS
        C> done
        U< done
        U> a1 OK x
        C< a1 OK x
        C> a2 NOOP
        U< a2 NOOP
    """,
    "pipelined": """
        C> a1 IDLE|DONE|a2 NOOP
        U< a1 IDLE
        U> + idling
        C< + idling
        U< DONE
        U> a1 OK x
        C< a1 OK x
        U< a2 NOOP
        U> a2 OK x
        C< a2 OK x
    """,
    "refused": """
        C> a1 IDLE
        U< a1 IDLE
        U> a1 NO x
        C< a1 NO x
        C> a2 NOOP
        U< a2 NOOP
    """,
    "refused, DONE is there": """
        C> a1 IDLE|DONE
        U< a1 IDLE
        U> a1 NO x
        C< a1 NO x|DONE BAD invalid command
    """,
    "not DONE passes, and nothing behind it": """
        C> a1 IDLE
        U< a1 IDLE
        U> + idling
        C< + idling
        C> a2 NOOP|a3 COMPRESS DEFLATE
        U< a2 NOOP
        U> a1 BAD expected DONE
        C< a1 BAD expected DONE|a3 BAD COMPRESS is not available
    """,
    "ended by the server": """
        C> a1 IDLE
        U< a1 IDLE
        U> + idling|a1 OK enough
        C< + idling|a1 OK enough
        C> a2 NOOP
        U< a2 NOOP
    """,
    "twice idling": """
        C> a1 IDLE
        U< a1 IDLE
        U> + idling|+ idling
        C< + idling
        U. aborted
        C< * BYE [UNAVAILABLE] server not available, try again later (s1)
    """,
    "a literal": """
        C> a1 IDLE {3+}|abc|a2 NOOP
        U< a2 NOOP
        C< a1 BAD IDLE takes no arguments
    """,
    "patient for half an hour": """
        C> a1 IDLE
        U< a1 IDLE
        U> + idling
        C< + idling
        T+ 1790
        C> DONE
        U< DONE
    """,
    "not for ever": """
        C> a1 IDLE
        U< a1 IDLE
        U> + idling
        C< + idling
        T+ 1860
        C< * BYE idle for too long
        C. closed
    """,
}


@pytest.mark.parametrize("script", PLAYS.values(), ids=PLAYS.keys())
def test_play(imap: Make, script: str) -> None:
    imap(logged_in=True, client_idle=60.0).play(script)
