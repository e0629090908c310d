"""One call of a hook that takes time: in line, then thinking, then over.

It is over in one of four ways, and the first one counts: *answered*, *failed*, *late* (its deadline), and
*left* (nobody waits for it any more). The last two stop the work, and are told apart by who called, not by
the exception that the work ends with. Whatever comes after is ignored; the room in the gate is given back
when the work has really ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from inspect import isawaitable, iscoroutine
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailweir.chain.driver import Cancel, Driver
from mailweir.chain.plug import Gate

BROKEN = (Exception, SystemExit, GeneratorExit, asyncio.CancelledError)
"""Everything that a plugin may raise without being the keeper at his keyboard."""

Over = Callable[[object, BaseException | None], None]
"""Called once unless the call was left: the answer, or what went wrong (`Late` is the deadline)."""


class Late(Exception):
    """No answer within the plugin's timeout."""


class State(Enum):
    """How far a call is."""

    NEW = "new"
    IN_LINE = "in line"
    THINKING = "thinking"
    OVER = "over"


class Call:
    """One call. The deadline, `timeout` seconds, runs from here on, so it includes the time in line."""

    __slots__ = ("_cancel", "_driver", "_function", "_gate", "_over", "_timeout", "_timer", "state")

    def __init__(self, gate: Gate, driver: Driver, clock: IReactorTime, timeout: float, over: Over) -> None:
        self.state = State.NEW
        self._gate = gate
        self._driver = driver
        self._over = over
        self._timeout = timeout
        self._timer: IDelayedCall = clock.callLater(timeout, self._late)
        self._function: Callable[[], Any] | None = None
        self._cancel: Cancel | None = None

    def line_up(self, function: Callable[[], Any]) -> None:
        """Wait for room, then call `function`, whose answer may be awaitable or not."""
        self.state = State.IN_LINE
        self._function = function
        self._gate.line_up(self._turn)

    def think(self, awaitable: Awaitable[Any]) -> None:
        """The function was called and is on its way; it has entered the gate."""
        self.state = State.THINKING
        try:
            self._cancel = self._driver.start(awaitable, self._done)
        except RuntimeError as error:  # there is no loop
            discard(awaitable)
            self._done(None, error)

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        self._stop()

    def _turn(self) -> None:
        assert self._function is not None
        try:
            answer = self._function()
        except BROKEN as error:
            self._done(None, error)
            return
        if isawaitable(answer):
            self.think(answer)
        else:
            self._done(answer, None)

    def _done(self, answer: object, error: BaseException | None) -> None:
        try:
            if self.state is not State.OVER:
                self.state = State.OVER
                self._timer.cancel()
                self._over(answer, error)
        finally:
            self._gate.leave()

    def _late(self) -> None:
        self._stop()
        self._over(None, Late(f"no answer within {self._timeout:g} seconds"))

    def _stop(self) -> None:
        state, self.state = self.state, State.OVER
        if self._timer.active():
            self._timer.cancel()
        if state is State.IN_LINE:
            self._gate.step_out(self._turn)
        elif self._cancel is not None:
            self._cancel()


def discard(awaitable: Awaitable[Any]) -> None:
    """Nobody will await this."""
    if iscoroutine(awaitable):
        awaitable.close()
    elif hasattr(awaitable, "cancel"):
        with suppress(*BROKEN):
            awaitable.cancel()
