"""How long silence is borne: one lazily re-armed timer a session."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailweir.session import Leg

TICK = 30.0
"""Seconds at most between two looks. What is borne changes with the state, so the next look can't be later."""

SHORTEST = 1.0
"""Seconds at least between two looks that nobody's silence asks for."""


class Patience:
    """Looks now and then whether somebody has been silent for longer than is borne.

    `borne` says how many seconds that is now, and whose silence it is; 0 seconds: any. Octets only have to
    call `touch`, which costs one look at the clock. `tick` is how often it looks at least.
    """

    __slots__ = ("_borne", "_clock", "_lost", "_timer", "_touched", "tick")

    def __init__(
        self, clock: IReactorTime, borne: Callable[[], tuple[float, Leg]], lost: Callable[[Leg], None]
    ) -> None:
        self._clock = clock
        self._borne = borne
        self._lost = lost
        self._touched = clock.seconds()
        self.tick = TICK
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        self.touch()
        self._timer = self._clock.callLater(self._longest(), self._look)

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
            self._timer = self._clock.callLater(self._longest(), self._look)
            self._lost(leg)
        else:
            longest = self._longest()
            self._timer = self._clock.callLater(min(left, longest) if limit else longest, self._look)

    def _longest(self) -> float:
        return max(min(self.tick, TICK), SHORTEST)
