"""A call that takes time: in line, late, or left by its client."""

import asyncio
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from mailweir import Decision, Defer, Reject, metrics

NO = Reject("no")
FAILED = Decision(Defer("local error"), "a", failed=True)


def errors(kind: str) -> float:
    return metrics.PLUGIN_ERRORS.cell("a", "helo", kind).value


def result(asked: Any) -> Any:
    """The answer, which must be there by now."""
    if not isinstance(asked, Deferred):
        return asked
    got: list[Any] = []
    asked.addCallback(got.append)
    assert got, "not yet"
    return got[0]


class TestDeadline:
    def test_is_a_failure_and_stops_the_plugin(self, bench: Any) -> None:
        stopped = []

        async def answer() -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                stopped.append(bench.clock.seconds())
                raise

        asked = bench.ask(bench.helo("a", answer, timeout=7))
        bench.clock.advance(6.9)
        assert not asked.called
        bench.clock.advance(0.1)
        assert result(asked) == FAILED
        assert stopped == [7]
        assert errors("timeout") == 1
        assert "no answer within 7 seconds" in bench.logged("plugin failed")[0]["error"]

    def test_cancels_a_deferred(self, bench: Any) -> None:
        cancelled: list[object] = []
        asked = bench.ask(bench.helo("a", lambda: Deferred(cancelled.append), on_error="reject"))
        bench.clock.advance(10)
        assert result(asked) == Decision(Reject("local error"), "a", failed=True)
        assert len(cancelled) == 1

    def test_does_not_wait_for_one_that_will_not_stop(self, bench: Any) -> None:
        release: Deferred[None] = Deferred()

        async def answer() -> Reject:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await release
            return NO

        asked = bench.ask(bench.helo("a", answer, on_error="pass"), bench.helo("b", Defer("b")))
        bench.clock.advance(10)
        assert result(asked) == Decision(Defer("b"), "b")
        release.callback(None)
        assert errors("timeout") == 1
        assert not metrics.VERDICTS.cell("mx", "a", "helo", "reject", "enforce").value

    def test_a_shadow_only_costs_its_time(self, bench: Any) -> None:
        asked = bench.ask(bench.helo("a", Deferred, mode="shadow", on_error="reject"), bench.helo("b", NO))
        bench.clock.advance(10)
        assert result(asked) == Decision(NO, "b")
        assert errors("timeout") == 1


class TestTheClientLeaves:
    def test_the_plugin_is_stopped_and_nothing_counted(self, bench: Any) -> None:
        stopped = []

        async def answer() -> Reject:
            try:
                await Deferred()
            finally:
                stopped.append(True)
            return NO

        asked = bench.ask(bench.helo("a", answer), bench.helo("b", NO))
        asked.addErrback(lambda failure: failure.trap(CancelledError) and None)
        asked.cancel()
        assert stopped == [True]
        assert bench.heard == ["a"]
        assert not metrics.PLUGIN_ERRORS.cells
        assert not metrics.VERDICTS.cells
        assert not bench.capture.entries
        assert not bench.clock.getDelayedCalls()

    def test_a_plugin_that_answers_all_the_same_is_not_heard(self, bench: Any) -> None:
        async def answer() -> Reject:
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                pass
            return NO

        asked = bench.ask(bench.helo("a", answer), bench.helo("b"))
        asked.addErrback(lambda failure: None)
        asked.cancel()
        bench.clock.advance(60)
        assert bench.heard == ["a"]
        assert not metrics.VERDICTS.cells

    def test_one_in_line_leaves_it(self, bench: Any) -> None:
        first: Deferred[None] = Deferred()
        plug = bench.helo("a", lambda: first, max_concurrency=1)
        bench.ask(plug)
        asked = bench.ask(plug)
        asked.addErrback(lambda failure: None)
        asked.cancel()
        first.callback(None)
        assert bench.heard == ["a"]
        assert plug.gate.open


class TestMaxConcurrency:
    def test_others_wait_in_line(self, bench: Any) -> None:
        work: list[Deferred[Reject]] = []

        def answer() -> Deferred[Reject]:
            work.append(Deferred())
            return work[-1]

        plug = bench.helo("a", answer, max_concurrency=2)
        asked = [bench.ask(plug) for _ in range(4)]
        assert len(work) == 2
        work[1].callback(Reject("1"))
        assert len(work) == 3
        assert result(asked[1]) == Decision(Reject("1"), "a")
        work[2].callback(Reject("2"))
        work[3].callback(Reject("3"))
        work[0].callback(Reject("0"))
        found = [result(each).verdict.text for each in (asked[0], asked[2], asked[3])]
        assert found == ["0", "2", "3"]

    def test_the_line_is_inside_the_deadline(self, bench: Any) -> None:
        plug = bench.helo("a", Deferred, max_concurrency=1)
        bench.ask(plug)
        bench.clock.advance(4)
        asked = bench.ask(plug)
        bench.clock.advance(6)  # the first one is late, and the second one's turn comes
        assert len(bench.heard) == 2
        assert not asked.called
        bench.clock.advance(4)
        assert result(asked) == FAILED
        assert errors("timeout") == 2

    def test_one_that_will_not_stop_keeps_its_room(self, bench: Any) -> None:
        release: Deferred[None] = Deferred()

        async def answer() -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await release

        plug = bench.helo("a", answer, max_concurrency=1)
        bench.ask(plug)
        bench.clock.advance(10)
        asked = bench.ask(plug)
        assert len(bench.heard) == 1
        release.callback(None)
        assert len(bench.heard) == 2
        assert not asked.called

    def test_a_long_line_of_quick_answers(self, bench: Any) -> None:
        first: Deferred[None] = Deferred()
        answers = iter([first])
        plug = bench.helo("a", lambda: next(answers, None), max_concurrency=1)
        asked = [bench.ask(plug) for _ in range(1500)]
        first.callback(None)
        assert [result(each) for each in asked] == [None] * 1500

    def test_an_exception_in_line_is_a_failure(self, bench: Any) -> None:
        first: Deferred[None] = Deferred()

        def answer() -> Deferred[None]:
            if len(bench.heard) > 1:
                raise ValueError
            return first

        plug = bench.helo("a", answer, max_concurrency=1)
        bench.ask(plug)
        asked = bench.ask(plug)
        first.callback(None)
        assert result(asked) == FAILED
        assert plug.gate.open
