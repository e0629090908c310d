"""How late the event loop is: what a plugin that blocks it costs everybody.

A scrape comes each 15 or 60 seconds, and a loop that stood still for two is on time again the moment after. So
the worst of the last half minute to a minute is what is shown.
"""

from twisted.internet.interfaces import IReactorTime

from mailweir import metrics

LOOK = 0.1
"""Seconds between two looks at the clock: what is shown is wrong by so much at most."""

SPAN = 30.0
"""Seconds after which a delay begins to be forgotten; it is forgotten after twice that."""


class Lag:
    """Looks at the clock for as long as the program lives."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._worst = self._worst_before = 0.0
        self._since = clock.seconds()

    def begin(self) -> None:
        self._look_again()

    def _look_again(self) -> None:
        self._clock.callLater(LOOK, self._look, self._clock.seconds() + LOOK)

    def _look(self, due: float) -> None:
        now = self._clock.seconds()
        if now - self._since >= SPAN:
            self._worst_before, self._worst, self._since = self._worst, 0.0, now
        self._worst = max(self._worst, now - due)
        metrics.LOOP_LAG.cell().set(max(self._worst, self._worst_before))
        self._look_again()
