"""What all families share: our words between upstream's, and an end that leaves nothing half done."""

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred

from mailweir import Close, Reject, Verdict, hookimpl
from mailweir.testing.play import Stage

Make = Callable[..., Stage]


def test_what_we_say_waits_for_the_end_of_a_response(imap: Make) -> None:
    imap(logged_in=True).play(r"""
        U> * 1 FETCH (BODY[] {4}|ab\
        C< * 1 FETCH (BODY[] {4}|ab\
        C> + NOOP|* NOOP
        U> cd FLAGS ({1}|\
        C< cd FLAGS ({1}|\
        U> x))
        C< x))|* BAD invalid tag|* BAD invalid tag
    """)


def test_within_a_response_the_end_is_a_cut(imap: Make) -> None:
    imap(logged_in=True).play(r"""
        U> * 1 FETCH (BODY[] {4}|ab\
        C< * 1 FETCH (BODY[] {4}|ab\
        C> a SEARCH x{3+}
        C. aborted
        U. aborted
    """)


def test_half_a_command_is_not_left_with_upstream(imap: Make) -> None:
    imap(logged_in=True).play(r"""
        C> a SEARCH TEXT {9+}|abc\
        U< a SEARCH TEXT {9}
        U> + go
        U< abc\
        C! gone
        U. aborted
    """)


@pytest.mark.parametrize("verdict", [None, Reject("no"), Close("away")])
@pytest.mark.parametrize("end", ["U! gone", "U> garbage"])
@pytest.mark.parametrize(
    ("hook", "line"),
    [
        ("command", "a NOOP"),
        ("login", "a LOGIN ann secret"),
        ("login", "a AUTHENTICATE PLAIN AGFubgBzZWNyZXQ="),
        ("message", "a APPEND x {1+}|y"),
    ],
)
def test_a_plugin_that_answers_when_all_is_over_is_not_heard(
    imap: Make, hook: str, line: str, end: str, verdict: Verdict | None
) -> None:
    answer: Deferred[Verdict | None] = Deferred()

    class Slow:
        pass

    def think() -> Deferred[Verdict | None]:
        return answer

    setattr(Slow, hook, staticmethod(hookimpl(think)))
    bye = "* BYE [UNAVAILABLE] server not available, try again later (s1)"
    stage = imap(Slow()).play(f"C> {line}\n{end}\nC< {bye}\nC. closed")
    answer.callback(verdict)
    stage.clock.advance(0)
    stage.play("C. closed")
