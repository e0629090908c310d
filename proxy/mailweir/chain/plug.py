"""One plugin as the configuration names it, and what guards it: the gate and the fuse.

There is one `Plug` for each entry under `plugins:` and process, shared by the chains of all listeners that
name it, so its limits hold over all of them.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

from twisted.internet.defer import Deferred

Mode = Literal["enforce", "shadow", "off"]
OnError = Literal["defer", "pass", "reject"]

TELLS_AT_ONCE = 8
"""How many tells of one plugin may be under way; more would crowd out its asks on whatever they share."""

TELLS_WAITING = 1000
"""How many wait behind them: a few seconds of a busy proxy, a few hundred KiB."""


@dataclass(slots=True, eq=False)
class Plug:
    """A plugin under its name, with the keeper's word on it.

    `timeout` and `breaker_pause` are seconds. `breaker` is how many failures of one hook in a row make the
    chain answer `on_error` at once for `breaker_pause`; 0 is never.
    """

    name: str
    plugin: object
    mode: Mode = "enforce"
    timeout: float = 10.0
    on_error: OnError = "defer"
    max_concurrency: int = 100
    breaker: int = 0
    breaker_pause: float = 30.0
    gate: "Gate" = field(init=False, repr=False)
    tells: "Gate" = field(init=False, repr=False)
    _fuses: dict[str, "Fuse"] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.gate = Gate(self.max_concurrency)
        self.tells = Gate(min(self.max_concurrency, TELLS_AT_ONCE))

    def fuse(self, hook: str) -> "Fuse | None":
        """What watches that hook, if the keeper set a threshold."""
        if not self.breaker:
            return None
        return self._fuses.setdefault(hook, Fuse(self.breaker, self.breaker_pause))


KEEPERS = tuple(one.name for one in fields(Plug) if one.init and one.name not in ("name", "plugin"))
"""The keys of a plugin's entry in the configuration that are the keeper's; all others are its own."""


class Gate:
    """Lets so many calls through at a time; the others wait in line, first come, first served."""

    __slots__ = ("_idle", "_limit", "_line", "_running", "_serving")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._line: deque[Callable[[], None]] = deque()
        self._serving = False
        self._idle: list[Deferred[None]] = []

    @property
    def open(self) -> bool:
        """There is room, and nobody in line."""
        return self._running < self._limit and not self._line

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def enter(self) -> None:
        """One more runs."""
        self._running += 1

    def line_up(self, turn: Callable[[], None]) -> None:
        """`turn` is called when there is room; it has entered then."""
        self._line.append(turn)

    def step_out(self, turn: Callable[[], None]) -> None:
        """Leave the line."""
        self._line.remove(turn)

    def leave(self) -> None:
        """One has ended, so the next may begin."""
        self._running -= 1
        if self._serving:  # a turn that ended at once; the loop below sees to the next one
            return
        self._serving = True
        try:
            while self._line and self._running < self._limit:
                self.enter()
                self._line.popleft()()
        finally:
            self._serving = False
        if not self._running:
            idle, self._idle = self._idle, []
            for deferred in idle:
                deferred.callback(None)

    def idle(self) -> "Deferred[None]":
        """Fires when nothing runs and nobody waits."""
        deferred: Deferred[None] = Deferred()
        if self._running:
            self._idle.append(deferred)
        else:
            deferred.callback(None)
        return deferred


class Fuse:
    """Opens after so many failures in a row; then one call in each pause is let through, to see."""

    __slots__ = ("_failures", "_pause", "_threshold", "_until")

    def __init__(self, threshold: int, pause: float) -> None:
        self._threshold = threshold
        self._pause = pause
        self._failures = 0
        self._until = 0.0

    def blown(self, now: float) -> bool:
        """Don't ask: it would fail again."""
        if self._failures < self._threshold:
            return False
        if now < self._until:
            return True
        self._until = now + self._pause
        return False

    def failed(self, now: float) -> bool:
        """A call failed; true if this is the one that opens the fuse."""
        self._failures += 1
        if self._failures == self._threshold:
            self._until = now + self._pause
            return True
        return False

    def worked(self) -> bool:
        """A call did not fail; true if that closes the fuse."""
        was_blown = self._failures >= self._threshold
        self._failures = 0
        return was_blown
