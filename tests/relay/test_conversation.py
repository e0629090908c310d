"""What all relays share, played on the one with the shortest words."""

from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred

from mailweir import Accept, Reject, Route, Session, Verdict, hookimpl, metrics
from mailweir.chain.plug import Plug
from mailweir.relay.rules import Rules
from mailweir.testing.play import Stage
from mailweir.testing.sides import HeardSide


def plug(**hooks: object) -> Plug:
    return Plug("p", SimpleNamespace(**{name: hookimpl(hook) for name, hook in hooks.items()}))  # type: ignore[type-var]


def active() -> float:
    return metrics.SESSIONS.cell("test", "pop3").value


def test_a_session_is_counted_once_from_beginning_to_end() -> None:
    closed: list[str] = []

    def session_closed(session: Session) -> None:
        closed.append(session.closed)

    before = active()
    stage = Stage("pop3", [plug(session_closed=session_closed)])
    stage.play("U> +OK hi\nC< +OK hi")
    assert active() == before + 1
    stage.play("C! gone\nU. closed\nU! gone")
    assert (active(), closed) == (before, ["client closed"])
    assert stage.clock.getDelayedCalls() == []


def test_nobody_is_dialled_for_whom_a_plugin_refuses() -> None:
    stage = Stage("pop3", [plug(connected=lambda session: Reject("not you"))])
    stage.play("C< -ERR not you\nC. closed\nC! gone")
    assert stage.dialled == []


def test_accept_lets_in() -> None:
    stage = Stage("pop3", [plug(connected=lambda session: Accept("friend"))])
    stage.play("U> +OK hi\nC< +OK hi")


def test_route_names_the_upstream() -> None:
    stage = Stage("pop3", [plug(route=lambda session: Route("second"))], Rules(upstream="route"))
    stage.play("U> +OK hi\nC< +OK hi")
    assert (stage.dialled, stage.session.upstream) == (["second"], "second")


def test_no_route_no_session() -> None:
    stage = Stage("pop3", [plug(route=lambda session: None)], Rules(upstream="route"))
    stage.begin()
    assert stage.client.heard.startswith(b"-ERR [SYS/TEMP]")
    assert stage.client.state == "closed"


def test_a_client_that_leaves_while_a_plugin_thinks_ends_the_thought() -> None:
    ended: list[str] = []
    thinking: Deferred[Verdict | None] = Deferred(lambda deferred: ended.append("cancelled"))
    before = active()
    stage = Stage("pop3", [plug(connected=lambda session: thinking)])
    stage.begin()
    assert stage.client.paused == {"held"}
    stage.play("C! reset")
    assert (ended, stage.dialled, active()) == (["cancelled"], [], before)


def test_an_upstream_that_comes_too_late_is_let_go() -> None:
    waiting: list[object] = []
    before = active()
    stage = Stage("pop3")
    stage.relay._dial = lambda relay, upstream: waiting.append(relay)
    stage.begin()
    stage.relay.client_gone("")
    late = HeardSide()
    stage.relay.upstream_ready(late, None)
    stage.relay.upstream_gone("")
    assert (late.state, active()) == ("aborted", before)


def test_unreachable() -> None:
    stage = Stage("pop3")
    stage.unreachable = "no route to host"
    stage.begin()
    assert stage.client.heard.startswith(b"-ERR [SYS/TEMP]")
    assert b"no route" not in stage.client.heard


def test_our_own_mistake_cuts_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("pop3").play("U> +OK hi\nC< +OK hi")
    monkeypatch.setattr(stage.relay.from_client, "next", lambda: 1 / 0)
    stage.say("client", b"NOOP\r\n")
    assert (stage.client.state, stage.upstream.state) == ("aborted", "aborted")
    assert stage.session.closed == "internal error"


def test_a_spliced_session_is_raw_both_ways() -> None:
    stage = Stage("pop3").play("U> +OK hi\nC< +OK hi")
    stage.relay.splice()
    stage.play("C> \\0\\x16any\\\nU< \\0\\x16any\\\nU> thing\\\nC< thing\\\nU! gone\nC. closed")


@pytest.mark.parametrize("leg", ["client", "upstream"])
def test_octets_are_counted(leg: str) -> None:
    stage = Stage("pop3").play("U> +OK hi\nC< +OK hi\nC> NOOP\nU< NOOP\nU> +OK\nC< +OK")
    counted = {"client": stage.session.octets_in, "upstream": stage.session.octets_out}
    assert counted[leg] == {"client": 6, "upstream": 13}[leg]
