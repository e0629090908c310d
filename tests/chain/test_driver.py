"""Awaitables of both worlds, on a test's loop and on real ones."""

import asyncio
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from mailweir import Decision, Defer, Reject, metrics
from mailweir.chain.chain import Chain

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


def test_a_deferred_that_has_fired(bench: Any) -> None:
    fired: Deferred[Reject] = Deferred()
    fired.callback(NO)
    assert bench.ask(bench.helo("a", lambda: fired)) == Decision(NO, "a")


def test_both_worlds_in_one_coroutine(bench: Any) -> None:
    twisted: Deferred[str] = Deferred()
    raising: Deferred[str] = Deferred()

    async def answer() -> Reject:
        async with asyncio.timeout(60):
            await asyncio.sleep(2)
            word = await twisted
            with pytest.raises(ZeroDivisionError):
                await raising
            word += await asyncio.wait_for(asyncio.to_thread(str.upper, "b"), 5)
            (more,) = await asyncio.gather(inner())
        return Reject(word + more)

    async def inner() -> str:
        return "c"

    asked = bench.ask(bench.helo("a", answer, timeout=60))
    bench.clock.advance(2)
    twisted.callback("a")
    assert not asked.called
    raising.errback(ZeroDivisionError())
    assert result(asked) == Decision(Reject("aBc"), "a")


def test_a_future_and_anything_with_await(bench: Any) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            yield from asyncio.sleep(1).__await__()
            return NO

    asked = bench.ask(bench.helo("a", Awaitable))
    bench.clock.advance(1)
    assert result(asked) == Decision(NO, "a")


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), CancelledError()]
)
def test_a_coroutine_that_ends_itself_is_a_failure(bench: Any, error: BaseException) -> None:
    async def answer() -> None:
        raise error

    assert result(bench.ask(bench.helo("a", answer))) == FAILED
    assert errors("exception") == 1


def test_a_deferred_that_fails_is_a_failure(bench: Any) -> None:
    later: Deferred[None] = Deferred()
    asked = bench.ask(bench.helo("a", lambda: later))
    later.errback(CancelledError())
    assert result(asked) == FAILED


def test_without_a_loop_a_coroutine_is_a_failure_and_nothing_worse(bench: Any) -> None:
    async def answer() -> Reject:
        return NO

    chain = Chain("mx", [bench.helo("a", answer)], log=bench.log)
    assert chain.ask("helo", session=bench.session, name="me") == FAILED


@pytest.mark.parametrize("sort", ["asyncio", "uvloop"])
def test_on_a_real_loop(bench: Any, sort: str) -> None:
    import uvloop

    async def answer() -> Reject:
        fired: Deferred[str] = Deferred()
        asyncio.get_running_loop().call_soon(fired.callback, "later")
        await asyncio.sleep(0)
        assert await asyncio.to_thread(str.upper, "x") == "X"
        return Reject(await fired)

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        chain = Chain("mx", [bench.helo("a", answer)], log=bench.log)
        asked: Any = chain.ask("helo", session=bench.session, name="me")
        return await asked.asFuture(loop)

    loop = uvloop.new_event_loop() if sort == "uvloop" else asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(main()) == Decision(Reject("later"), "a")
    finally:
        loop.close()
