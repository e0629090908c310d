"""The loop's delay, as a scraper sees it."""

import pytest
from twisted.internet.task import Clock

from mailweir import metrics
from mailweir.app.lag import LOOK, SPAN, Lag


class Blocked(Clock):
    """A clock whose loop can stand still."""

    def turn(self, seconds: float) -> None:
        """The loop turns all the time."""
        for _ in range(round(seconds / LOOK)):
            self.advance(LOOK)


def shown() -> float:
    return metrics.LOOP_LAG.cell().value


def test_a_delay_is_shown_for_as_long_as_a_scraper_may_need() -> None:
    clock = Blocked()
    Lag(clock).begin()
    clock.turn(5)
    assert shown() < 0.001
    clock.advance(2)
    assert shown() == pytest.approx(2 - LOOK)
    clock.turn(SPAN - 8)
    clock.advance(0.5)
    assert shown() == pytest.approx(2 - LOOK)
    clock.turn(SPAN)
    assert shown() == pytest.approx(2 - LOOK)
    clock.turn(SPAN)
    assert shown() < 0.001
