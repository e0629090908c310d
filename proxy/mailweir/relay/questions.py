"""The questions of one session that a plugin still thinks about, at most one for each leg."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailweir.session import Leg


class Questions:
    """`broke` is handed what goes wrong in what is done with an answer."""

    __slots__ = ("_broke", "_open")

    def __init__(self, broke: Callable[[Failure], None]) -> None:
        self._broke = broke
        self._open: dict[Leg, Deferred[Any]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, leg: Leg) -> bool:
        return leg in self._open

    def wait(self, leg: Leg, answer: "Deferred[Any]", then: Callable[[Any], None]) -> None:
        """Call `then` with the answer to a question of this leg; not if it is dropped before."""
        self._open[leg] = answer

        def answered(said: Any) -> None:
            self._open.pop(leg, None)
            then(said)

        answer.addCallbacks(answered, lambda failure: None)
        answer.addErrback(self._broke)

    def drop(self) -> None:
        """Nobody waits for an answer any more; who thinks is told so."""
        for answer in list(self._open.values()):
            answer.cancel()
