"""One question on its way along the plugins of a chain.

Goes on in one call as long as the plugins answer at once. The first one that needs time makes `go` answer
with a Deferred, and from then on the answers of plugins drive it.
"""

from functools import partial
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mailweir.chain.call import BROKEN, Call
from mailweir.chain.driver import Driver
from mailweir.chain.judge import SLOW, Found, Judge, kind_of
from mailweir.chain.links import Link
from mailweir.chain.shadow import shadowed
from mailweir.message import Message


class Asking:
    """One question. `links` are asked in order until one has a verdict."""

    __slots__ = (
        "_answer",
        "_at",
        "_begun",
        "_call",
        "_clock",
        "_driver",
        "_facts",
        "_found",
        "_judge",
        "_links",
        "_sealed",
        "_starting",
    )

    def __init__(
        self, links: list[Link], facts: dict[str, Any], judge: Judge, driver: Driver, clock: IReactorTime
    ) -> None:
        self._links = links
        self._facts = facts
        self._judge = judge
        self._driver = driver
        self._clock = clock
        self._at = 0
        self._begun = 0.0
        self._call: Call | None = None
        self._sealed = "", False
        self._starting = False
        self._found: Found = None
        self._answer: Deferred[Found] | None = None

    def go(self) -> "Found | Deferred[Found]":
        """Ask; a Deferred if somebody needs time. Cancelling it says that the client has left."""
        found = self._walk()
        if self._call is None:
            return found
        self._answer = Deferred(self._left)
        return self._answer

    def _walk(self) -> Found:
        """Ask on, until there is a verdict, or nobody left, or somebody thinks: `_call` is set then."""
        links, facts, judge, seconds = self._links, self._facts, self._judge, self._clock.seconds
        while self._at < len(links):
            link = links[self._at]
            self._at += 1
            self._begun = seconds()
            if link.fuse is not None and link.fuse.blown(self._begun):
                found = judge.fail(link, facts, "breaker", None, self._begun)
            else:
                found = self._ask(link)
                if self._call is not None:
                    return None
            if found is not None:
                return found
        return None

    def _ask(self, link: Link) -> Found:
        """Ask one plugin, or let it line up."""
        if not link.edits:
            self._seal(self._facts["message"], f"{link.plug.name} said edits=False", True)
        if not link.plug.gate.open:
            self._new_call(link).line_up(partial(invoke, link, self._facts))
            return None
        facts = arguments(link, self._facts)
        answer, error = None, None
        try:
            answer = link.call(*facts)
        except BROKEN as raised:
            error = raised
        now = self._clock.seconds()
        if now - self._begun > SLOW:
            self._judge.held(link, self._facts, now - self._begun)
        if answer is None or not isawaitable(answer):
            return self._judged(link, answer, error, now)
        link.plug.gate.enter()
        self._starting = True
        self._new_call(link).think(answer)
        self._starting = False
        return self._found

    def _seal(self, message: Message, why: str, fixed: bool) -> None:
        """Nobody may edit the message now, or, with what was before, whoever might before."""
        self._sealed = message.headers.seal(why), message.envelope.fix(fixed)

    def _new_call(self, link: Link) -> Call:
        plug = link.plug
        over = partial(self._over, link)
        self._call = Call(plug.gate, self._driver, self._clock, plug.timeout, over)
        return self._call

    def _over(self, link: Link, answer: object, error: BaseException | None) -> None:
        """The plugin that needed time has ended, perhaps before `think` came back."""
        self._call = None
        self._found = self._judged(link, answer, error, self._clock.seconds())
        if self._starting:
            return
        found = self._found or self._walk()
        if self._call is None:
            assert self._answer is not None
            self._answer.callback(found)

    def _judged(self, link: Link, answer: object, error: BaseException | None, now: float) -> Found:
        self._judge.timed(link, self._facts, now - self._begun)
        if not link.edits:
            self._seal(self._facts["message"], *self._sealed)
        if link.singles:
            self._judge.singled(link, self._facts)
        if error is not None:
            return self._judge.fail(link, self._facts, kind_of(error), error, now)
        return self._judge.weigh(link, self._facts, answer, now)

    def _left(self, _: "Deferred[Found]") -> None:
        if self._call is not None:
            self._call.leave()


def arguments(link: Link, facts: dict[str, Any]) -> list[Any]:
    """What the function wants, in its order; copies if it is in shadow mode."""
    if link.shadow:
        facts = shadowed({name: facts[name] for name in link.wants})
    return [facts[name] for name in link.wants]


def invoke(link: Link, facts: dict[str, Any]) -> Any:
    """Call the function now, with the facts as they are now."""
    return link.call(*arguments(link, facts))
