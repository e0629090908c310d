"""What all phases of an SMTP session use: slots, turns, answers of ours, and how it ends.

The client's input is read until the meaning of what follows depends on an answer: then it is not our
client's *turn* until upstream has answered everything (RFC 2920 3.1). To an upstream that can't take
groups of commands every command ends the turn.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Protocol

from mailweir import metrics
from mailweir.relay.carry import Pump
from mailweir.relay.conversation import Conversation
from mailweir.relay.ledger import LIMIT, Ledger, Slot
from mailweir.relay.meeting import Meeting
from mailweir.relay.smtp import words
from mailweir.relay.smtp.dialect import DIALECTS, Dialect
from mailweir.relay.smtp.limits import Limits
from mailweir.relay.smtp.mail import Mail, Taker
from mailweir.relay.smtp.offer import NOTHING, Offer
from mailweir.relay.smtp.words import Answer
from mailweir.session import Leg, Outcome
from mailweir.verdict import Close, Decision, printable
from mailweir.wire.smtp import Chunk, CommandReader, Reply, ReplyReader, Response, Text

Content = Text | Chunk | Response
VERBS = (
    *("EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "BURL", "RSET", "NOOP", "QUIT"),
    *("VRFY", "EXPN", "HELP", "ETRN", "AUTH", "STARTTLS"),
)


class Final(Protocol):
    """Who waits for the final replies to a text."""

    @property
    def doubtful(self) -> bool:
        """It is not sure that there are more to come."""

    def lost(self) -> bytes:
        """Upstream is gone: what is said for each reply that did not come."""


class Step(Protocol):
    """Who brings a new connection to the point where commands may go up."""

    def begin(self) -> None:
        """Upstream is connected."""

    def secured(self) -> None:
        """Upstream's handshake succeeded."""


class Awaited(Slot):
    """A command that upstream will answer; `then` is handed the reply while the slot is still the oldest."""

    __slots__ = ("then",)

    def __init__(self, verb: str, then: Callable[[Reply], None], *, hidden: bool = False) -> None:
        self.verb = verb
        self.hidden = hidden
        self.local = None
        self.then = then


class Talk(Conversation):
    """The common part of the SMTP relay; `SmtpRelay` adds who handles which verb.

    `dialect` is what the client speaks, `upstream_dialect` what the server does. `early` is called with a
    refusal that upstream says in the middle of a text. `upstream` is None while the session has none
    (`redial`). `hello` is what upstream was told of the client last, `welcomed`: its first greeting was a
    welcome. `forsaken`: the client believes in a transaction that was lost with upstream's connection.
    `errands`: how many of ours (`errand`) the client waits for, so that it has no command open.
    `keeps_waiting`: upstream waits at a command for a text of which nothing has gone up yet, since when was
    it `reminded` of us.
    """

    from_client: CommandReader
    from_upstream: ReplyReader

    def __init__(self, meeting: Meeting) -> None:
        rules = meeting.rules
        mend = rules.smtp.bare_newline != "reject"
        super().__init__(meeting, CommandReader(rules.command_line, mend=mend), ReplyReader())
        self.dialect = DIALECTS[self.session.protocol]
        self.ledger: Ledger[Awaited] = Ledger(self.client.write)
        self.counts = counts(self.session.listener, self.session.protocol)
        self.offer: Offer = NOTHING
        self.pipelines = False
        self.must_greet = False
        self.mail: Mail | None = None
        self.owes_reset = False
        self.taker: Taker | None = None
        self.ending: Final | None = None
        self.early: Callable[[bytes], None] | None = None
        self.pump: Pump | None = None
        self.unfinished = False
        self.hello = b""
        self.opening: Step | None = None
        self.welcomed = False
        self.forsaken = False
        self.closing = False
        self.keeps_waiting = False
        self.reminded = 0.0
        self.errands = 0
        self.limits = Limits(self.session, self.rules.smtp, self.log)
        self._patience.tick = self.limits.tick
        self._waiting: Callable[[], None] | None = None

    @property
    def upstream_dialect(self) -> Dialect:
        """Looked up each time: where a plugin names the upstream it is only known once that is dialled."""
        return DIALECTS[self.rules.smtp.upstream_protocol or self.session.protocol]

    # Asking.

    def ask(
        self, then: Callable[[Decision | None], None], hook: str, *, leg: Leg = "client", **facts: Any
    ) -> None:
        """As the base's; not answered any more once the session is closing."""

        def answered(decision: Decision | None) -> None:
            if not self.closing:
                then(decision)

        if self.chain.listens(hook):
            super().ask(answered, hook, leg=leg, **facts)
        else:
            then(None)

    @property
    def open(self) -> bool:
        """The client has been greeted."""
        return self._greeted

    # Slots and turns.

    def forward(self, octets: bytes, slot: Awaited, *, barrier: bool = False) -> None:
        """Send a command up; a barrier is one whose answer decides what the client's next octets mean."""
        if self.closing:
            return
        if self.upstream is None:
            greets = slot.verb in self.dialect.hellos
            self.reach(partial(self.forward, octets, slot, barrier=barrier), greets=greets)
            return
        if not self.pipelines and self.ledger:  # of a reminder of ours (`timers`)
            self.when_quiet(partial(self.forward, octets, slot, barrier=barrier))
            return
        if not self.expect(slot):
            return
        self.upstream.write(octets)
        if barrier or not self.pipelines:
            self.hold("turn")
        elif len(self.ledger) >= LIMIT:
            self.hold("slots")

    @abstractmethod
    def reach(self, then: Callable[[], None], *, greets: bool = False) -> None:
        """Call `then` once there is an upstream again; `greets`: what goes up then is a hello."""

    def expect(self, slot: Awaited) -> bool:
        """Upstream will answer this one. False, and the session ends, if it has said something already:
        octets that were here before the command went up can't be the answer to it.
        """
        early = not self.ledger and self.from_upstream.pending > 0
        self.ledger.expect(slot)
        self.keeps_waiting = False
        if early:
            self.cut_upstream("a reply that nobody asked for")
        return not early

    def passed(self, reply: Reply) -> None:
        """The usual `then`: the reply goes to the client as it came."""
        self.settle(reply.raw)

    def settle(self, octets: bytes) -> None:
        """The oldest slot has its whole reply, of which `octets` are (the rest of) what the client hears."""
        self.ledger.say(octets)
        self.ledger.settle()
        if not self.ledger:
            self.quiet()
        if "slots" in self._client.holds and len(self.ledger) < LIMIT // 2:
            self.release("slots")

    def when_quiet(self, then: Callable[[], None]) -> None:
        """Call `then` as soon as everything that was asked before has been answered; the client waits.

        Never, if the session ends before.
        """
        if self.ledger:
            self.hold("turn")
            self._waiting = then
        elif not self.closing:
            then()

    def quiet(self) -> None:
        """Nothing is owed by upstream: go on with what waited for that."""
        then, self._waiting = self._waiting, None
        if then is not None:
            then()
        if not self.ledger and self._waiting is None:
            self.at_border()
            self.release("turn")

    def at_border(self) -> None:
        """End a session that shall retire or has lasted too long, if it stands between two messages."""
        if not self.retiring and not self.limits.expired:
            return
        between = self.mail is None and self.taker is None and not self.ledger and self._waiting is None
        if between and self._greeted and self.session.state != "tls":
            if self.retiring:
                self.goodbye(words.CLOSING, "shutting down")
            else:
                self.goodbye(words.TOO_LONG, "session lasted too long")

    # Answers of ours.

    def words(self, refusal: Answer) -> bytes:
        """The reply line as this session is told it."""
        return words.reply(refusal, self.session.id, enhanced=self.offer.enhanced)

    def answer(self, octets: bytes) -> None:
        """Answer a command ourselves, when its turn comes. Who doesn't listen isn't listened to."""
        self.ledger.answer(Awaited("", self.passed), octets)
        if self.client.full:
            self.hold("full")
        if len(self.ledger) >= LIMIT:
            self.hold("slots")

    def refuse(self, refusal: Answer) -> None:
        if self.limits.bad(refusal.code):
            self.when_quiet(lambda: self.goodbye(words.TOO_MANY_ERRORS, "too many errors"))
        else:
            self.answer(self.words(refusal))

    def needs_mail(self) -> Answer:
        """What is said to RCPT, DATA and BDAT without a transaction."""
        return words.LOST_COMMAND if self.forsaken else words.NEEDS_MAIL

    def stopped(self, decision: Decision, hook: str) -> bytes:
        """Say a verdict that stops a command; returns the reply that was said."""
        octets = self.words(words.refusal(decision, hook))
        if isinstance(decision.verdict, Close):
            self.when_quiet(lambda: self.part(octets, f"closed by {decision.plugin}"))
        else:
            self.answer(octets)
        return octets

    # Transactions.

    def end_mail(self, outcome: Outcome, reply: bytes, decision: Decision | None = None) -> None:
        """The transaction is over, and its fate known."""
        mail, self.mail = self.mail, None
        self.keeps_waiting = False
        if mail is not None:
            mail.close()
            self.session.state = "command"
            self.finish(mail.transaction, outcome, printable(reply.decode("utf-8", "replace")), decision)

    def forget_mail(self) -> None:
        """The client has given the transaction up (RSET, another hello, QUIT)."""
        if self.mail is not None:
            self.end_mail(*self.mail.outcome())

    # Ends.

    def goodbye(self, refusal: Answer, reason: str) -> None:
        """Say a 421 (or the like) and end both sides."""
        self.part(self.words(refusal), reason)

    def part(self, octets: bytes, reason: str) -> None:
        """Say a last word and end both sides; a text that is not complete upstream stays so."""
        if self.closing:
            return
        self._let_go(reason)
        if octets:
            self.client.write(octets)
        self.client.close()
        if self.upstream is not None:
            if self.unfinished:
                self.upstream.abort()
            else:
                self.upstream.close()

    def orphan(self, reason: str) -> None:
        """Upstream's connection has to end for the sake of this message; the client is yet to hear why."""
        self.log.info("upstream cut off", reason=reason)
        self.unfinished = False
        self.early = None
        self.do_without()

    def leave(self, reason: str) -> None:
        """The client is gone: take leave of upstream, so that nothing half is delivered."""
        if self.closing:
            return
        polite = self._greeted and not self.ledger and not self.unfinished
        self._let_go(reason)
        if self.upstream is None:
            return
        if self.unfinished:
            self.upstream.abort()
            return
        if polite and not self.spliced:
            self.upstream.write(b"QUIT\r\n")
        self.upstream.close()

    def _let_go(self, reason: str) -> None:
        self.closing = True
        self.touch()  # the last words have their own time
        self.forget_mail()
        self.session.state = "closing"
        self.close_reason(reason)
        self.hold("closing")
        self.ledger.abandon()
        self.pump = None
        self._waiting = None


@cache
def counts(listener: str, protocol: str) -> "dict[str, metrics.Cell]":
    """The counters of commands, by verb; `other` for those we don't know."""
    return {verb: metrics.COMMANDS.cell(listener, protocol, verb) for verb in (*VERBS, "other")}
