"""The loop of tests: asyncio on a clock that stands still."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from mailweir.testing.loop import clock_driver


class Run:
    """One coroutine, and how it ended."""

    def __init__(self, coroutine: Awaitable[Any]) -> None:
        self.clock = Clock()
        self.ended: list[tuple[object, BaseException | None]] = []
        self.cancel = clock_driver(self.clock).start(coroutine, lambda *how: self.ended.append(how))


def test_what_waits_for_nothing_is_over_at_once() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 3

    assert Run(work()).ended == [(3, None)]


def test_time_is_the_clocks() -> None:
    async def work() -> float:
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(asyncio.sleep(1), asyncio.sleep(3))
        return asyncio.get_running_loop().time() - begun

    run = Run(work())
    run.clock.pump([1, 1])
    assert not run.ended
    run.clock.advance(1)
    assert run.ended == [(3.0, None)]


def test_tasks_locks_and_queues() -> None:
    async def work() -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        lock = asyncio.Lock()

        async def put() -> None:
            for number in range(3):
                async with lock:
                    await queue.put(number)

        async with asyncio.TaskGroup() as group:
            group.create_task(put())
            return [await queue.get() for _ in range(3)]

    assert Run(work()).ended == [([0, 1, 2], None)]


def test_a_timer_that_was_cancelled_stays_silent() -> None:
    async def work() -> str:
        async with asyncio.timeout(5):
            await asyncio.sleep(1)
        return "in time"

    run = Run(work())
    run.clock.advance(10)
    assert run.ended == [("in time", None)]


def test_threads_are_done_on_the_spot() -> None:
    async def work() -> list[object]:
        loop = asyncio.get_running_loop()
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        woken = asyncio.Event()
        loop.call_soon_threadsafe(woken.set)
        await woken.wait()
        return [await asyncio.to_thread(abs, -3)]

    assert Run(work()).ended == [([3], None)]


def test_cancelling() -> None:
    async def work() -> None:
        await asyncio.sleep(60)

    run = Run(work())
    run.cancel()
    ((result, error),) = run.ended
    assert result is None
    assert isinstance(error, asyncio.CancelledError)


def test_a_callback_that_raises_is_the_tests_error() -> None:
    async def work() -> None:
        asyncio.get_running_loop().call_later(1, fail)

    def fail() -> None:
        raise ZeroDivisionError

    run = Run(work())
    with pytest.raises(AssertionError):
        run.clock.advance(1)


@pytest.mark.parametrize("inside", [asyncio.run, lambda coroutine: coroutine.send(None)])
def test_works_inside_another_loop_and_outside(inside: Callable[[Any], Any]) -> None:
    async def work() -> int:
        return 3

    async def main() -> None:
        assert Run(work()).ended == [(3, None)]

    try:
        inside(main())
    except StopIteration:
        pass
