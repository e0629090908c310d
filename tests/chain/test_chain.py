"""Order, verdicts, modes, tells: what a chain does when its plugins answer at once."""

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir import (
    Accept,
    Close,
    Decision,
    Defer,
    Discard,
    Quarantine,
    Reject,
    Route,
    Verdict,
    hookimpl,
    metrics,
)
from mailweir.chain.chain import Chain, Plug
from mailweir.chain.plug import TELLS_AT_ONCE, TELLS_WAITING

NO = Reject("no")


def test_nobody_listens(bench: Any) -> None:
    chain = bench.chain()
    assert not chain.listens("helo")
    assert chain.ask("helo", session=bench.session, name="me") is None
    assert chain.route(bench.session) is None
    chain.tell("session_opened", session=bench.session)


def test_the_order_is_that_of_the_list(bench: Any) -> None:
    assert bench.ask(bench.helo("c"), bench.helo("a"), bench.helo("b")) is None
    assert bench.heard == ["c", "a", "b"]


@pytest.mark.parametrize("kind", [Reject, Defer, Close, Discard, Quarantine, Accept])
def test_the_first_verdict_ends_it(bench: Any, kind: type[Verdict]) -> None:
    found = bench.ask(bench.helo("a"), bench.helo("b", kind("why")), bench.helo("c", NO))
    assert found == Decision(kind("why"), "b")
    assert bench.heard == ["a", "b"]
    assert metrics.VERDICTS.cell("mx", "b", "helo", kind.__name__.lower(), "enforce").value == 1


def test_the_first_route_wins(bench: Any) -> None:
    routes = [None, Route("b"), Route("c")]
    plugs = [bench.plug(str(route), hooks={"route": lambda route=route: route}) for route in routes]
    chain = bench.chain(*plugs)
    assert chain.route(bench.session) == Route("b")
    assert metrics.VERDICTS.cell("mx", str(Route("b")), "route", "route", "enforce").value == 1


def test_off_takes_no_part(bench: Any) -> None:
    chain = bench.chain(bench.helo("a", NO, mode="off"))
    assert not chain.listens("helo")
    assert chain.order() == {}


def test_filtered_is_what_can_stop_something(bench: Any) -> None:
    tells = bench.plug("t", hooks={"message_done": lambda: None})
    assert not bench.chain(tells, bench.helo("s", mode="shadow"), bench.helo("o", mode="off")).filtered
    assert bench.chain(tells, bench.helo("e")).filtered


def test_order_is_told_by_hook_in_the_order_of_mail(bench: Any) -> None:
    both = bench.plug("a", hooks={"message": lambda: None, "helo": lambda: None})
    chain = bench.chain(bench.helo("b"), both)
    assert list(chain.order().items()) == [("helo", ["b", "a"]), ("message", ["a"])]


def test_in_shadow_mode_nobody_edits(bench: Any) -> None:
    edits = {"message": lambda: None}
    judges = bench.plug("j", hooks={})
    judges.plugin.message = hookimpl(edits=False)(lambda: None)
    assert not bench.chain(bench.plug("s", hooks=edits, mode="shadow"), judges).edits("message")
    assert bench.chain(bench.plug("e", hooks=edits), judges).edits("message")


class TestTell:
    def test_everybody_hears_it_whatever_others_do(self, bench: Any) -> None:
        def broken() -> None:
            raise ValueError("x")

        heard: list[str] = []
        chain = bench.chain(
            bench.plug("a", hooks={"session_opened": broken}),
            bench.plug("b", hooks={"session_opened": lambda: Reject("no")}),
            bench.plug("c", hooks={"session_opened": lambda session: heard.append(session.id)}),
        )
        chain.tell("session_opened", session=bench.session)
        assert heard == ["s1"]
        assert metrics.PLUGIN_ERRORS.cell("a", "session_opened", "exception").value == 1
        assert metrics.PLUGIN_ERRORS.cell("b", "session_opened", "type").value == 1

    def test_those_that_need_time_are_bounded(self, bench: Any) -> None:
        waiting: list[Deferred[None]] = []
        begun: list[int] = []

        async def session_opened() -> None:
            begun.append(len(begun))
            waiting.append(Deferred())
            await waiting[-1]

        chain = bench.chain(bench.plug("a", hooks={"session_opened": session_opened}, timeout=1e6))
        for _ in range(TELLS_AT_ONCE + TELLS_WAITING + 3):
            chain.tell("session_opened", session=bench.session)
        assert len(begun) == TELLS_AT_ONCE
        assert metrics.TELLS_DROPPED.cell("a").value == 3
        done = chain.told()
        assert not done.called
        for number in range(TELLS_AT_ONCE + TELLS_WAITING):
            waiting[number].callback(None)
        assert len(begun) == TELLS_AT_ONCE + TELLS_WAITING
        assert done.called
        assert not bench.clock.getDelayedCalls()

    def test_one_that_hangs_has_its_deadline(self, bench: Any) -> None:
        stopped = []

        async def session_opened() -> None:
            try:
                await Deferred()
            finally:
                stopped.append(True)

        chain = bench.chain(bench.plug("a", hooks={"session_opened": session_opened}, timeout=5))
        chain.tell("session_opened", session=bench.session)
        bench.clock.advance(5)
        assert stopped == [True]
        assert metrics.PLUGIN_ERRORS.cell("a", "session_opened", "timeout").value == 1
        assert chain.told().called


def test_one_plugin_may_stand_in_two_chains_and_twice_in_one(bench: Any) -> None:
    class Plugin:
        @hookimpl
        def helo(self, name: str) -> Reject:
            return Reject(name)

    plugin = Plugin()
    for listener in ("a", "b"):
        chain = Chain(listener, [Plug("x", plugin), Plug("y", plugin)])
        assert chain.ask("helo", session=SimpleNamespace(transaction=None), name="me") == Decision(
            Reject("me"), "x"
        )
