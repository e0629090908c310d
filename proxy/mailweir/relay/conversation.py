"""What the four relays share: dialling, asking the chain, holding, patience, splicing, ending.

A relay reads its two sides through two readers. Each direction is read until something holds it: an
answer that decides what the next octets mean, a plugin that thinks, a connection being made. What was
already received waits in the reader, and the side is paused, so a hold costs one piece of memory.
"""

from collections.abc import Callable
from typing import Any, ParamSpec

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailweir import metrics
from mailweir.relay import tally
from mailweir.relay.direction import Direction, Reader
from mailweir.relay.duties import Duties
from mailweir.relay.meeting import Meeting
from mailweir.relay.patience import Patience
from mailweir.relay.questions import Questions
from mailweir.relay.side import Side
from mailweir.relay.stranger import FirstLook, Stranger
from mailweir.session import Leg, Outcome, Tls, Transaction
from mailweir.verdict import Decision, Route
from mailweir.wire.errors import ProtocolError

_Args = ParamSpec("_Args")

COMPLAINTS = 20
"""Broken rules of one session that are logged; all of them are counted."""


class Conversation(Duties):
    """A relay. Subclasses give the protocol: what events mean, and what is said when something fails."""

    def __init__(self, meeting: Meeting, from_client: Reader, from_upstream: Reader) -> None:
        self.session = meeting.session
        self.chain = meeting.chain
        self.rules = meeting.rules
        self.clock = clock = meeting.clock
        self.client = client = meeting.client
        self.upstream: Side | None = None
        self.log = meeting.log
        self.from_client = from_client
        self.from_upstream = from_upstream
        self.spliced = False
        self.retiring = False
        self.securing = False  # upstream's handshake is under way (`relay.securing`)
        self._dial = meeting.dial
        self._questions = Questions(self._broke)
        self._complaints = 0
        self._patience = Patience(clock, self._borne, self._silent)
        self._gone: set[Leg] = set()
        self._successor: Reader | None = None
        self._closed = False
        self._greeted = False
        self._client = Direction(
            FirstLook(from_client), self.on_client, self._client_erred, lambda: self._broke(Failure()), client
        )
        self._upstream = self._towards(from_upstream)

    # What `net` calls.

    def arrived(self) -> None:
        tally.began(self.session)
        self._patience.start()
        self.hold("dialling")
        if self.session.client_tls:
            self.chain.tell("tls_started", session=self.session, leg="client")
        self._safely(self.ask, self._connected, "connected", session=self.session)

    def upstream_ready(self, side: Side, tls: Tls | None) -> None:
        if "client" in self._gone:
            side.abort()
            return
        self.upstream = self._upstream.side = side
        self.session.upstream_tls = tls
        self.touch()
        if tls:
            self.chain.tell("tls_started", session=self.session, leg="upstream")
        self._safely(self.on_upstream_ready)

    def upstream_failed(self, reason: str, *, insecure: bool = False) -> None:
        if "client" not in self._gone:
            self._safely(self.unreachable, reason, insecure=insecure)

    def client_octets(self, data: bytes) -> None:
        self._patience.touch()
        self.session.octets_from_client += len(data)
        if self.spliced and self.upstream is not None:
            self.upstream.write(data)
            return
        self._client.feed(data)

    def upstream_octets(self, data: bytes) -> None:
        self._patience.touch()
        self.session.octets_from_upstream += len(data)
        if self.spliced:
            self.client.write(data)
            return
        self._upstream.feed(data)

    def client_drained(self) -> None:
        self.touch()
        self._safely(self.on_drained, "client")

    def upstream_drained(self) -> None:
        self.touch()
        self._safely(self.on_drained, "upstream")

    def client_secured(self, tls: Tls) -> None:
        self.session.client_tls = tls
        self.touch()
        self.chain.tell("tls_started", session=self.session, leg="client")
        self._safely(self.on_secured, "client")

    def upstream_secured(self, tls: Tls) -> None:
        self.session.upstream_tls = tls
        self.securing = False
        self.touch()
        self.chain.tell("tls_started", session=self.session, leg="upstream")
        self._safely(self.on_secured, "upstream")

    def client_gone(self, reason: str) -> None:
        self._gone.add("client")
        self._client.over = True
        self.close_reason(reason or "client closed")
        self._questions.drop()
        self._safely(self.on_client_gone)
        if self.upstream is None:
            self._gone.add("upstream")
        self._ended()

    def upstream_gone(self, reason: str) -> None:
        self._gone.add("upstream")
        self._upstream.over = True
        if "client" not in self._gone:
            if self.upstream is None:
                self._safely(self._succeed)
            elif self.spliced:
                self.close_reason(reason or "upstream closed")
                self.client.close()
            else:
                self._count_loss()
                self._safely(self._lost, reason or "upstream closed")
        self._ended()

    def owes_answer(self) -> bool:
        # A client that gave up and one that only closed its half look the same; the former will send its
        # message again, so a message that upstream has not got may not be delivered behind its back. (A
        # relay that knows better says that nothing is at stake.)
        if self.spliced or not self.session.octets_from_client or self.at_stake():
            return False
        return bool(self._client.holds) or self.patience()[1] == "upstream"

    def retire(self) -> None:
        self.retiring = True
        self._safely(self.on_retire)

    # What protocols use.

    def ask(
        self, then: Callable[[Decision | None], None], hook: str, *, leg: Leg = "client", **facts: Any
    ) -> None:
        """Put `hook` to the chain, then call `then`: at once, or when the plugin has thought.

        Meanwhile `leg` is held. `then` is not called if the client leaves, or the session ends meanwhile.
        """
        answer = self.chain.ask(hook, **facts)
        if not isinstance(answer, Deferred):
            then(answer)
            return
        self.hold("plugin", leg)

        def answered(decision: Decision | None) -> None:
            self.touch()
            then(decision)
            if leg not in self._questions:  # else `then` has asked on, and the hold is the next question's
                self.release("plugin", leg)

        self._questions.wait(leg, answer, answered)

    def hold(self, why: str, leg: Leg = "client") -> None:
        """Read no further on `leg` until `release` is called with the same reason."""
        (self._client if leg == "client" else self._upstream).hold(why)

    def release(self, why: str, leg: Leg = "client") -> None:
        """Take one reason away, and go on reading if it was the last."""
        (self._client if leg == "client" else self._upstream).release(why)

    def held(self, leg: Leg = "client") -> bool:
        return bool((self._client if leg == "client" else self._upstream).holds)

    def splice(self, why: str) -> None:
        """From here on the session is raw octets both ways; what was read ahead goes first.

        `why` is one of few: it is a label of a metric.
        """
        assert self.upstream is not None
        self.spliced = True
        tally.spliced(self.session, why)
        self.log.debug("spliced", why=why)
        self.upstream.write(self.from_client.rest())
        self.client.write(self.from_upstream.rest())
        self._client.end()
        self._upstream.end()
        self.client.resume("held")
        self.upstream.resume("held")

    def greeted(self) -> None:
        """The client has been greeted: the session is open, and the client is read."""
        self._greeted = True
        self.chain.tell("session_opened", session=self.session)
        self.release("dialling")

    def do_without(self) -> None:
        """Upstream's connection has ended, or does so now; the session goes on without it."""
        self._upstream.end()
        if self.upstream is not None and "upstream" not in self._gone:
            self.upstream.abort()
        self.upstream = None

    def dial_again(self, reader: Reader) -> None:
        """After `do_without`: reach the same upstream once more, as soon as the old connection has ended.

        `reader` reads the new one. Answered as the first time, by `on_upstream_ready` or `unreachable`.
        """
        self._successor = reader
        if "upstream" in self._gone:
            self._succeed()

    def take_turns(self, leg: Leg) -> None:
        """Let the loop see to others, then go on sending to `leg`, if it is still there."""
        self.clock.callLater(0, self._go_on_sending, leg)

    def touch(self) -> None:
        self._patience.touch()

    def close_reason(self, reason: str) -> None:
        """Remember why the session ends; the first reason counts."""
        if not self.session.closed:
            self.session.closed = reason

    def hang_up(self, reason: str) -> None:
        """End both sides in good order, after what was written."""
        self.close_reason(reason)
        self._questions.drop()
        self.client.close()
        if self.upstream is not None:
            self.upstream.close()

    def cut(self, reason: str) -> None:
        """End both sides at once: nothing that is under way may look complete."""
        self.close_reason(reason)
        self._questions.drop()
        self.client.abort()
        if self.upstream is not None:
            self.upstream.abort()

    def unreachable(self, reason: str, *, insecure: bool = False) -> None:
        """No upstream could be spoken to, for the first time or again; `insecure`: not with the TLS asked for."""
        self.warn_of_upstream(reason)
        self.refuse_session(None, reason, insecure=insecure)

    def warn_of_upstream(self, reason: str) -> None:
        self.log.warning("upstream unreachable", upstream=self.session.upstream, reason=reason)

    def broke_rules(self, leg: Leg, error: ProtocolError) -> None:
        """Count what a side said against the rules, and log it, so that nobody fills the log with nothing."""
        tally.broken_rule(self.session, leg)
        self._complaints += 1
        if self._complaints <= COMPLAINTS:
            self.log.info("protocol error", leg=leg, error=error.text)

    def finish(
        self, transaction: Transaction, outcome: Outcome, reply: str, decision: Decision | None = None
    ) -> None:
        """The fate of a message is known: count it and tell the plugins. A second call does nothing."""
        if transaction.duration:
            return
        transaction.duration = max(self.clock.seconds() - transaction.started, 1e-6)
        transaction.outcome = outcome
        transaction.reply = reply
        if decision is not None:
            transaction.decision = decision
        tally.message(self.session, transaction)
        self.chain.tell("message_done", session=self.session, transaction=transaction)
        if self.session.transaction is transaction:
            self.session.transaction = None

    # Inside.

    def _connected(self, decision: Decision | None) -> None:
        if decision is not None and not decision.passes:
            self.refuse_session(decision, "")
        elif self.rules.upstream == "route":
            answer = self.chain.route(self.session)
            if isinstance(answer, Deferred):
                self._questions.wait("client", answer, self._routed)
            else:
                self._routed(answer)
        else:
            self._routed(Route(self.rules.upstream))

    def _routed(self, route: Route | Decision | None) -> None:
        if isinstance(route, Route):
            self.session.upstream = route.upstream
            self._dial(self, route.upstream)
        else:
            self.refuse_session(route, "no plugin named an upstream")

    def _towards(self, reader: Reader) -> Direction:
        return Direction(reader, self.on_upstream, self._upstream_erred, lambda: self._broke(Failure()))

    def _succeed(self) -> None:
        """Dial again, if that was asked for. All that is known of the old connection dies with it."""
        reader, self._successor = self._successor, None
        if reader is not None:
            self._gone.discard("upstream")
            self.from_upstream = reader
            self._upstream = self._towards(reader)
            self.session.upstream_tls = None
            self._dial(self, self.session.upstream)

    def _count_loss(self) -> None:
        if not self.session.closed:
            metrics.UPSTREAM_LOST.cell(self.session.upstream).add()

    def _lost(self, reason: str) -> None:
        if self.securing and not self.session.closed:
            self.unreachable(reason, insecure=True)
        elif not self.outlives(reason):
            self.close_reason(reason)
            self.on_upstream_lost(reason)

    def _go_on_sending(self, leg: Leg) -> None:
        if leg not in self._gone:
            self._safely(self.on_drained, leg)

    def _client_erred(self, error: ProtocolError) -> None:
        if isinstance(error, Stranger):
            self._client.end()
            tally.broken_rule(self.session, "client")
            self.log.info(error.text, client=self.session.client.host)
        else:
            self.broke_rules("client", error)
        self.on_client_error(error)

    def _upstream_erred(self, error: ProtocolError) -> None:
        self.broke_rules("upstream", error)
        self.cut_upstream(f"upstream broke the rules: {error.text}")

    def cut_upstream(self, reason: str) -> None:
        """Upstream can't be trusted any more: end its side at once, and treat it as lost."""
        self._count_loss()
        self.close_reason(reason)
        self._upstream.end()
        if self.upstream is not None:
            self.upstream.abort()
        if "client" not in self._gone:
            self.on_upstream_lost(reason)

    def _safely(self, do: Callable[_Args, None], *args: _Args.args, **facts: _Args.kwargs) -> None:
        """Do what `net` or the clock asks; what goes wrong is this session's, and not the loop's.

        A mistake of ours, or the spool's file that can't be read. What is read is minded by `Direction`.
        """
        try:
            do(*args, **facts)
        except Exception:
            self._broke(Failure())

    def _broke(self, failure: Failure) -> None:
        """A mistake of ours: the session ends before it can do harm."""
        self.log.error("internal error", exc_info=(failure.type, failure.value, failure.getTracebackObject()))
        self.cut("internal error")

    def _borne(self) -> tuple[float, Leg]:
        self._safely(self.look)
        return self.patience()

    def _silent(self, leg: Leg) -> None:
        # while a plugin thinks, its own deadline rules
        if not self._questions:
            self._safely(self.on_silence, leg)

    def _ended(self) -> None:
        if self._closed or self._gone != {"client", "upstream"}:
            return
        self._closed = True
        self._patience.stop()
        session = self.session
        if session.transaction is not None:
            self.finish(session.transaction, "aborted", "")
        session.duration = self.clock.seconds() - session.opened
        tally.ended(session)
        self.chain.tell("session_closed", session=session)
