"""Awaitables of both worlds: what a plugin returned becomes one call when it is over.

A coroutine runs as an asyncio task in which Deferreds may be awaited too: a Deferred that the coroutine
yields becomes a future of the loop. A Deferred that the plugin returned is simply listened to.

Tasks and futures are touched only from within the loop, by `call_soon`: a test's loop runs at once what is
handed to it, and must not be entered from inside one of its own futures.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

Done = Callable[[object, BaseException | None], None]
"""Called once, when the work is over for good: with its result, or with what it raised."""

Cancel = Callable[[], object]


class Driver:
    """Runs awaitables on `loop`, or on the one that is running when they come."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop

    def start(self, awaitable: Awaitable[Any], done: Done) -> Cancel:
        """Run it; the function returned asks it to stop, after which `done` is called all the same."""
        if isinstance(awaitable, Deferred):
            awaitable.addBoth(_fired, done)
            return awaitable.cancel
        loop = self._loop or asyncio.get_running_loop()
        task = loop.create_task(_both_worlds(_result(awaitable), loop))
        task.add_done_callback(partial(_ended, done))
        return partial(loop.call_soon, task.cancel)


def _fired(result: object, done: Done) -> None:
    if isinstance(result, Failure):
        done(None, result.value)
    else:
        done(result, None)


def _ended(done: Done, task: "asyncio.Task[Any]") -> None:
    if task.cancelled():
        done(None, asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        done(None, error)
    else:
        done(task.result(), None)


async def _result(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as error:  # asyncio would end the whole program
        raise RuntimeError("the plugin asked the program to exit") from error


@coroutine
def _both_worlds(
    steps: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop
) -> Generator[Any, Any, Any]:
    """`await steps`, but that each Deferred on the way is replaced by a future of the loop."""
    step: Callable[[Any], Any] = steps.send
    value: Any = None
    while True:
        try:
            awaited = step(value)
        except StopIteration as end:
            return end.value
        try:
            value = yield from _until(awaited, loop) if isinstance(awaited, Deferred) else _pass(awaited)
            step = steps.send
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:
            step, value = steps.throw, error


def _pass(awaited: Any) -> Generator[Any, Any, Any]:
    return (yield awaited)


def _until(deferred: "Deferred[Any]", loop: asyncio.AbstractEventLoop) -> Generator[Any, Any, None]:
    """Wait until it has fired. Its result stays in it, for whoever awaits it; a failure is raised."""
    future: asyncio.Future[None] = loop.create_future()

    def fired(result: object) -> object:
        if not future.done():
            loop.call_soon(_wake, future, result)
        return None if isinstance(result, Failure) else result

    deferred.addBoth(fired)
    try:
        yield from future
    finally:
        if not future.done() or future.cancelled():
            future.cancel()
            deferred.cancel()


def _wake(future: "asyncio.Future[None]", result: object) -> None:
    if future.done():
        return
    if isinstance(result, Failure) and result.value is not None:
        future.set_exception(result.value)
    else:
        future.set_result(None)
