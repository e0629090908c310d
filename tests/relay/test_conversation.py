"""What all relays share, played on the one with the shortest words."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from mailweir import Accept, Close, Discard, Quarantine, Reject, Route, Session, Verdict, hookimpl, metrics
from mailweir.chain.plug import Plug
from mailweir.relay.rules import Rules
from mailweir.session import Protocol
from mailweir.testing.play import TLS, Stage
from mailweir.testing.sides import HeardSide
from mailweir.verdict import Decision


def plug(**hooks: object) -> Plug:
    return Plug("p", SimpleNamespace(**{name: hookimpl(hook) for name, hook in hooks.items()}))  # type: ignore[call-overload]


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


PROTOCOLS: list[Protocol] = ["smtp", "lmtp", "pop3", "imap"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [Quarantine, Discard])
def test_a_reason_for_our_log_is_not_said_to_the_client(protocol: Protocol, kind: type[Verdict]) -> None:
    stage = Stage(protocol, [plug(connected=lambda session: kind("campaign 7"))])
    stage.begin()
    assert stage.client.heard and b"campaign" not in stage.client.heard
    assert stage.client.state == "closed"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [Reject, Close])
def test_all_relays_have_the_same_words_for_why_a_session_ended(
    protocol: Protocol, kind: type[Verdict]
) -> None:
    stage = Stage(protocol, [plug(connected=lambda session: kind("no"))])
    stage.begin()
    assert stage.session.closed == "refused by p"


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


NO_SESSION: dict[str, tuple[Protocol, str, str]] = {
    "smtp, not offered": ("smtp", "U> 220 x;U< EHLO localhost;U> 250 x", "upstream offers no STARTTLS"),
    "lmtp, not offered": ("lmtp", "U> 220 x;U< LHLO localhost;U> 250 x", "upstream offers no STARTTLS"),
    "smtp, refused": (
        "smtp",
        "U> 220 x;U< EHLO localhost;U> 250-x|250 STARTTLS;U< STARTTLS;U> 454 x",
        "upstream refused STARTTLS: 454 x",
    ),
    "pop3, refused": ("pop3", "U> +OK x;U< STLS;U> -ERR x", "upstream refused STLS: -ERR x"),
    "imap, refused": ("imap", "U> * OK x;U< mw0 STARTTLS;U> mw0 BAD x", "upstream refused STARTTLS: BAD x"),
    "smtp, handshake": (
        "smtp",
        "U> 220 x;U< EHLO localhost;U> 250-x|250 STARTTLS;U< STARTTLS;U> 220 x;U! TLS: expired",
        "TLS: expired",
    ),
    "pop3, injection": (
        "pop3",
        "U> +OK x;U< STLS;U> +OK x|+OK y",
        "upstream sent octets in clear behind STLS",
    ),
    "imap, PREAUTH": ("imap", "U> * PREAUTH x", "PREAUTH where TLS is required"),
    "smtp, another protocol": ("smtp", "U> +OK x", "upstream broke the rules: not a reply"),
    "lmtp, another protocol": ("lmtp", "U> * OK x", "upstream broke the rules: not a reply"),
    "pop3, another protocol": ("pop3", "U> 220 x", "upstream broke the rules: neither +OK nor -ERR"),
    "imap, another protocol": ("imap", "U> 220 x", "upstream broke the rules: not a response"),
    "smtp, closes": ("smtp", "U! gone", "upstream closed"),
    "pop3, reset": ("pop3", "U! reset", "reset"),
    "imap, silent": ("imap", "T+ 631", "upstream silent"),
}


@pytest.mark.parametrize(("protocol", "script", "reason"), NO_SESSION.values(), ids=NO_SESSION.keys())
def test_an_upstream_that_can_not_be_spoken_to_is_a_warning(
    protocol: Protocol, script: str, reason: str
) -> None:
    with capture_logs() as logs:
        stage = Stage(protocol, [], Rules(upstream="mta", upstream_tls="starttls"))
        for row in script.split(";"):
            stage.play(row) if row[:2] == "U<" else _said(stage, row)
    assert stage.client.state == "closed"
    warnings = [line for line in logs if line["log_level"] == "warning"]
    assert warnings == [
        {"event": "upstream unreachable", "log_level": "warning", "upstream": "mta", "reason": reason}
    ]


def _said(stage: Stage, row: str) -> None:
    """Play one row whose answer is of no interest."""
    stage._row(row[:2], row[2:].strip())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shutting_down_is_nothing_to_warn_of(protocol: Protocol) -> None:
    with capture_logs() as logs:
        stage = Stage(protocol)
        stage.begin()
        stage.relay.retire()
    assert [line for line in logs if line["log_level"] == "warning"] == []


def test_our_own_mistake_cuts_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("pop3").play("U> +OK hi\nC< +OK hi")
    monkeypatch.setattr(stage.relay.from_client, "next", lambda: 1 / 0)
    stage.say("client", b"NOOP\r\n")
    assert (stage.client.state, stage.upstream.state) == ("aborted", "aborted")
    assert stage.session.closed == "internal error"


BORDERS: dict[str, tuple[str, Callable[[Stage], object]]] = {
    "drained": ("on_drained", lambda stage: stage.relay.client_drained()),
    "secured": ("on_secured", lambda stage: stage.relay.client_secured(TLS)),
    "gone": ("on_client_gone", lambda stage: stage.relay.client_gone("")),
    "lost": ("on_upstream_lost", lambda stage: stage.relay.upstream_gone("")),
    "silent": ("on_silence", lambda stage: stage.clock.pump([30.0] * 30)),
    "retired": ("on_retire", lambda stage: stage.relay.retire()),
}


@pytest.mark.parametrize("case", BORDERS)
def test_our_own_mistake_never_reaches_the_loop(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, call = BORDERS[case]
    before = active()
    stage = Stage("pop3").play("U> +OK hi\nC< +OK hi")
    monkeypatch.setattr(stage.relay, method, lambda *args: 1 / 0)
    call(stage)
    assert (stage.client.state, stage.upstream.state) == ("aborted", "aborted")
    stage.relay.client_gone("")
    stage.relay.upstream_gone("")
    assert active() == before


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_a_plugin_that_still_thinks_when_upstream_is_lost_is_asked_no_more(protocol: Protocol) -> None:
    ended: list[str] = []
    thinking: Deferred[Verdict | None] = Deferred(lambda deferred: ended.append("cancelled"))
    stage = Stage(protocol, [plug(command=lambda command: thinking)]).play(THINKING[protocol])
    stage.relay.upstream_gone("")
    assert (stage.client.state, ended) == ("closed", ["cancelled"])


THINKING = {
    "pop3": "U> +OK hi\nC< +OK hi\nC> NOOP",
    "imap": "U> * OK hi\nC< * OK hi\nC> a NOOP",
}


def test_a_spliced_session_is_raw_both_ways() -> None:
    stage = Stage("pop3").play("U> +OK hi\nC< +OK hi")
    stage.relay.splice("login")
    stage.play("C> \\0\\x16any\\\nU< \\0\\x16any\\\nU> thing\\\nC< thing\\\nU! gone\nC. closed")


@pytest.mark.parametrize("leg", ["client", "upstream"])
def test_octets_are_counted(leg: str) -> None:
    stage = Stage("pop3").play("U> +OK hi\nC< +OK hi\nC> NOOP\nU< NOOP\nU> +OK\nC< +OK")
    counted = {
        "client": stage.session.octets_from_client,
        "upstream": stage.session.octets_from_upstream,
    }
    assert counted[leg] == {"client": 6, "upstream": 13}[leg]


def test_a_side_stays_held_while_a_second_plugin_thinks() -> None:
    answers: list[Deferred[None]] = [Deferred(), Deferred()]
    stage = Stage("pop3", [plug(command=lambda command: answers[0], login=lambda credentials: answers[1])])
    stage.play("U> +OK hi\nC< +OK hi")
    relay = stage.relay
    asked: list[Decision | None] = []
    relay.ask(
        lambda _: relay.ask(asked.append, "login", session=stage.session, credentials=None),
        "command",
        session=stage.session,
        command=None,
    )
    answers[0].callback(None)
    assert relay.held() and not asked
    answers[1].callback(None)
    assert not relay.held() and asked == [None]


def test_what_breaks_when_a_side_is_drained_cuts_both(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("pop3").play("U> +OK hi\nC< +OK hi")
    monkeypatch.setattr(stage.relay, "on_drained", lambda leg: 1 / 0)
    stage.relay.upstream_drained()
    assert (stage.client.state, stage.upstream.state) == ("aborted", "aborted")
