"""How long silence is borne: one lazily re-armed timer a session."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailweir.session import Leg

TICK = 30.0
"""Seconds at most between two looks. What is borne changes with the state, so the next look can't be later."""


class Patience:
    """Looks now and then whether somebody has been silent for longer than is borne.

    `borne` says how many seconds that is now, and whose silence it is; 0 seconds: any. Octets only have to
    call `touch`, which costs one look at the clock.
    """

    __slots__ = ("_borne", "_clock", "_lost", "_timer", "_touched")

    def __init__(
        self, clock: IReactorTime, borne: Callable[[], tuple[float, Leg]], lost: Callable[[Leg], None]
    ) -> None:
        self._clock = clock
        self._borne = borne
        self._lost = lost
        self._touched = clock.seconds()
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        self.touch()
        self._timer = self._clock.callLater(TICK, self._look)

    def touch(self) -> None:
        """Somebody said something."""
        self._touched = self._clock.seconds()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        limit, leg = self._borne()
        left = limit - (self._clock.seconds() - self._touched)
        if limit and left <= 0:
            self.touch()
            left = TICK
            self._timer = self._clock.callLater(TICK, self._look)
            self._lost(leg)
        else:
            self._timer = self._clock.callLater(min(left, TICK) if limit else TICK, self._look)
