"""An asyncio loop for tests: its time is a Twisted clock's, and what is ready runs at once.

So a plugin may await asyncio's and Twisted's things alike, and the test that asked it has the answer when
the call comes back, or after `clock.advance`. No sockets, no threads: what a plugin would hand to an
executor (`asyncio.to_thread`) is done on the spot.
"""

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from twisted.internet.task import Clock

from mailweir.chain.driver import Driver

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")


def clock_driver(clock: Clock) -> Driver:
    """What runs the awaitables of a chain under test."""
    return Driver(ClockLoop(clock))  # type: ignore[abstract]


class ClockLoop(asyncio.AbstractEventLoop):
    """The part of a loop that tasks, futures, sleeping and asyncio's locks and queues need; the rest is
    asyncio's `NotImplementedError`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[asyncio.Handle] = deque()
        self._busy = False

    def time(self) -> float:
        return self._clock.seconds()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._busy

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[[*_Args], object], *args: *_Args, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        self._run()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*_Args], object], *args: *_Args, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*_Args], object], *args: *_Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._clock.callLater(max(0.0, when - self.time()), self._due, handle)
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **more: Any) -> "asyncio.Task[Any]":
        busy, self._busy = self._busy, True  # a task must not run before it is made
        try:
            task = asyncio.Task(coro, loop=self, **more)
        finally:
            self._busy = busy
        self._run()
        return task

    def run_in_executor(
        self, executor: object, func: Callable[[*_Args], _Result], *args: *_Args
    ) -> "asyncio.Future[_Result]":
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if "exception" in context:  # a task that a test leaves behind is no matter
            raise AssertionError(context["message"]) from context["exception"]

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio tells its loops; here the clock skips it."""

    def _due(self, handle: asyncio.Handle) -> None:
        self._ready.append(handle)
        self._run()

    def _run(self) -> None:
        """Run what is ready, and what that makes ready."""
        if self._busy:
            return
        self._busy = True
        outer = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            events._set_running_loop(outer)
            self._busy = False
