"""What answers and failures come to: counted, logged, and said as the keeper wants it."""

from typing import Any

import pytest

from mailweir import Decision, Defer, Reject, Route, Verdict, metrics

NO = Reject("no")


def test_a_verdict_derived_from_one_counts_as_that_one(bench: Any) -> None:
    class Spam(Reject):
        """Ours."""

    assert bench.ask(bench.helo("a", Spam("spam"))) == Decision(Spam("spam"), "a")
    assert metrics.VERDICTS.cell("mx", "a", "helo", "reject", "enforce").value == 1


@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        ("helo", True),
        ("helo", "no"),
        ("helo", Route("a")),
        ("helo", Verdict("?")),
        ("route", NO),
        ("route", "a"),
    ],
)
def test_an_answer_of_the_wrong_type_is_a_failure(bench: Any, hook: str, answer: object) -> None:
    chain = bench.chain(bench.plug("p", hooks={hook: lambda: answer}))
    facts = {"session": bench.session} | ({"name": "me"} if hook == "helo" else {})
    found = chain.route(bench.session) if hook == "route" else chain.ask(hook, **facts)
    assert found == Decision(Defer("local error"), "p", failed=True)
    assert metrics.PLUGIN_ERRORS.cell("p", hook, "type").value == 1
    assert "TypeError" in bench.logged("plugin failed")[0]["error"]
    assert not metrics.VERDICTS.cells


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), GeneratorExit(), RecursionError()])
def test_an_exception_is_the_keepers_answer(bench: Any, error: BaseException) -> None:
    failed = Decision(Defer("local error"), "a", failed=True)
    assert bench.ask(bench.helo("a", error), bench.helo("b", NO)) == failed
    failed = Decision(Reject("local error"), "a", failed=True)
    assert bench.ask(bench.helo("a", error, on_error="reject"), bench.helo("b", NO)) == failed
    assert bench.heard == ["a", "a"]
    assert bench.ask(bench.helo("a", error, on_error="pass"), bench.helo("b", NO)) == Decision(NO, "b")
    assert metrics.PLUGIN_ERRORS.cell("a", "helo", "exception").value == 3


def test_the_keeper_at_his_keyboard_is_not_a_failure(bench: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.ask(bench.helo("a", KeyboardInterrupt()))


def test_the_log_shows_the_plugins_own_line_first(bench: Any) -> None:
    def helo() -> None:
        int("x")

    bench.ask(bench.plug("p", hooks={"helo": helo}))
    (entry,) = bench.logged("plugin failed")
    line = helo.__code__.co_firstlineno + 1
    assert entry["at"] == f"{__file__}:{line}"
    assert entry["exc_info"][2].tb_frame.f_code is helo.__code__
    assert entry | {"plugin": "p", "hook": "helo", "listener": "mx", "session": "s1"} == entry
    assert entry["error"] == "ValueError: invalid literal for int() with base 10: 'x'"


def test_a_hook_that_holds_the_loop_is_named(bench: Any) -> None:
    bench.ask(
        bench.helo("a", lambda: bench.clock.advance(0.06)), bench.helo("b", lambda: bench.clock.advance(0.04))
    )
    (entry,) = bench.logged("plugin held the loop")
    assert (entry["plugin"], entry["hook"], entry["seconds"]) == ("a", "helo", 0.06)


def test_time_taken_is_observed_and_charged_to_the_transaction(bench: Any) -> None:
    transaction = bench.session.begin("smtp", 0.0)
    bench.ask(
        bench.helo("a", lambda: bench.clock.advance(0.03)), bench.helo("b", lambda: bench.clock.advance(0.04))
    )
    assert metrics.HOOK_SECONDS.cell("a", "helo").sum == pytest.approx(0.03)
    assert transaction.asked == pytest.approx(0.07)
