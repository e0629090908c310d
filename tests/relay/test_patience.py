"""Silence is noticed when it has lasted, not before, and whatever the limit was before."""

from twisted.internet.task import Clock

from mailweir.relay.patience import Patience
from mailweir.session import Leg


class Waiting:
    """A clock, what is borne now, and whose silence was complained of when."""

    def __init__(self, limit: float, leg: Leg = "client") -> None:
        self.clock = Clock()
        self.borne: tuple[float, Leg] = (limit, leg)
        self.complaints: list[tuple[float, Leg]] = []
        self.patience = Patience(self.clock, lambda: self.borne, self.complain)
        self.patience.start()

    def complain(self, leg: Leg) -> None:
        self.complaints.append((self.clock.seconds(), leg))

    def pass_(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)


def test_silence_is_noticed_to_the_second() -> None:
    waiting = Waiting(100)
    waiting.pass_(99)
    assert waiting.complaints == []
    waiting.pass_(1)
    assert waiting.complaints == [(100, "client")]


def test_words_count() -> None:
    waiting = Waiting(100)
    waiting.pass_(99)
    waiting.patience.touch()
    waiting.pass_(99)
    assert waiting.complaints == []
    waiting.pass_(1)
    assert waiting.complaints == [(199, "client")]


def test_a_new_limit_is_seen_within_a_tick() -> None:
    waiting = Waiting(0)
    waiting.pass_(500)
    assert waiting.complaints == []
    waiting.borne = (10, "upstream")
    waiting.pass_(30)
    assert [leg for _, leg in waiting.complaints] == ["upstream"]


def test_stop() -> None:
    waiting = Waiting(10)
    waiting.patience.stop()
    waiting.pass_(100)
    assert waiting.complaints == []
    assert waiting.clock.getDelayedCalls() == []
