"""The plugins of one listener, asked and told in the order of the configuration.

Everything about who listens is settled when a chain is made: a hook that nobody implements costs one look
into a dictionary. `asking` has what happens to a question, `judge` what an answer means.
"""

from collections.abc import Sequence
from functools import partial
from inspect import isawaitable
from typing import Any

import structlog
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from mailweir.chain import trace
from mailweir.chain.asking import Asking
from mailweir.chain.call import BROKEN, Call, discard
from mailweir.chain.driver import Driver
from mailweir.chain.judge import SLOW, Judge, Log, kind_of
from mailweir.chain.links import Link, links_of
from mailweir.chain.plug import TELLS_WAITING, Mode, OnError, Plug
from mailweir.hookspecs import HOOKS
from mailweir.metrics import TELLS_DROPPED
from mailweir.session import Session
from mailweir.verdict import Decision, Route

__all__ = ["Chain", "Mode", "OnError", "Plug"]


class Chain:
    """The plugins of one listener; `PluginError` if one of them can't be used.

    `driver` runs awaitables (default: on the asyncio loop that is running), `clock` times plugins and has
    their deadlines (default: time stands still). Plugs of mode `off` take no part.
    """

    def __init__(
        self,
        listener: str,
        plugs: Sequence[Plug],
        *,
        driver: Driver | None = None,
        clock: IReactorTime | None = None,
        log: Log | None = None,
    ) -> None:
        self.listener = listener
        self.plugs = [plug for plug in plugs if plug.mode != "off"]
        self._driver = driver or Driver()
        self._clock: IReactorTime = clock or Clock()
        self._judge = Judge(listener, log or structlog.get_logger())
        links = [link for plug in self.plugs for link in links_of(plug)]
        if trace.wanted():
            links = [trace.traced(listener, link) for link in links]
        table = {hook: [link for link in links if link.hook == hook] for hook in HOOKS}
        self._links = {hook: links for hook, links in table.items() if links}
        self._edited = {link.hook for link in links if link.edits and not link.shadow}
        self.filtered = any(HOOKS[link.hook].kind == "ask" and not link.shadow for link in links)

    def listens(self, hook: str) -> bool:
        """Somebody would be asked or told."""
        return hook in self._links

    def edits(self, hook: str) -> bool:
        """Somebody who listens to `hook` may edit the message; in shadow mode nobody can."""
        return hook in self._edited

    def order(self) -> dict[str, list[str]]:
        """The names of those who are asked or told, in order, by hook, in the order mail meets the hooks."""
        return {hook: [link.plug.name for link in links] for hook, links in self._links.items()}

    def ask(self, hook: str, **facts: Any) -> "Decision | Deferred[Decision | None] | None":
        """The first verdict wins, silence means go on.

        A Deferred only if a plugin needs time; it never fails. Cancel it when the client has left: the
        plugin is stopped, and nothing is counted.
        """
        links = self._links.get(hook)
        if links is None:
            return None
        return Asking(links, facts, self._judge, self._driver, self._clock).go()  # type: ignore[return-value]

    def route(self, session: Session) -> "Route | Decision | Deferred[Route | Decision | None] | None":
        """The first route wins; a `Decision` is the failure of a plugin."""
        links = self._links.get("route")
        if links is None:
            return None
        return Asking(links, {"session": session}, self._judge, self._driver, self._clock).go()

    def tell(self, hook: str, **facts: Any) -> None:
        """Everybody hears it; nothing that they do can be felt here, but for the time of a `def`."""
        for link in self._links.get(hook, ()):
            self._tell(link, facts)

    def told(self) -> "Deferred[None]":
        """Fires when no plugin of this chain is busy with a tell. Each of them has its deadline."""
        busy = gatherResults([plug.tells.idle() for plug in self.plugs])
        return busy.addCallback(lambda _: None)

    def _tell(self, link: Link, facts: dict[str, Any]) -> None:
        begun = self._clock.seconds()
        over = partial(self._heard, link, facts, begun)
        try:
            answer = link.call(*[facts[name] for name in link.wants])
        except BROKEN as error:
            over(None, error)
            return
        if (held := self._clock.seconds() - begun) > SLOW:
            self._judge.held(link, facts, held)
        if answer is None or not isawaitable(answer):
            over(answer, None)
            return
        gate = link.plug.tells

        def begin() -> None:
            Call(gate, self._driver, self._clock, link.plug.timeout, over).think(answer)

        if gate.open:
            gate.enter()
            begin()
        elif gate.waiting < TELLS_WAITING:
            gate.line_up(begin)
        else:
            TELLS_DROPPED.cell(link.plug.name).add()
            discard(answer)

    def _heard(
        self, link: Link, facts: dict[str, Any], begun: float, answer: object, error: BaseException | None
    ) -> None:
        link.seconds.observe(self._clock.seconds() - begun)
        if error is not None:
            self._judge.broke(link, facts, kind_of(error), error)
        elif answer is not None:
            wrong = TypeError(
                f"{link.hook} is told, not asked: nobody takes the answer {type(answer).__name__}"
            )
            self._judge.broke(link, facts, "type", wrong)
