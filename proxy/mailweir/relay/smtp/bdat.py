"""BDAT (RFC 3030): chunks of counted octets, passed on one to one, or taken in and judged first.

Whatever becomes of a BDAT, its octets follow on the wire and are taken as octets: a refused chunk read as
commands is a way in.
"""

from mailweir.relay.carry import Carrier, Way, way
from mailweir.relay.ledger import LIMIT
from mailweir.relay.smtp import words
from mailweir.relay.smtp.data import discarded, objection
from mailweir.relay.smtp.ending import VERB, Ending, conclude
from mailweir.relay.smtp.envelope import after_reset
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.sending import Sending
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.relay.smtp.words import Answer
from mailweir.verdict import Decision
from mailweir.wire.smtp import Bdat, Chunk, Command, Reply

EARLY = "a chunk was accepted before it was complete"


def bdat(talk: Talk, command: Command) -> None:
    assert isinstance(command, Bdat)
    after_reset(talk, lambda: _bdat(talk, command))


def _bdat(talk: Talk, command: Bdat) -> None:
    mail = talk.mail
    if "CHUNKING" not in talk.offer.keywords:
        swallow(talk, words.NOT_OFFERED)
    elif mail is None:
        swallow(talk, words.NEEDS_MAIL)
    elif mail.discard or mail.dropped or way(talk.chain) is not Way.PASS:
        talk.when_quiet(lambda: _take_in(talk, command))
    elif mail.refused and not mail.up:
        mail.balked = True
        swallow(talk, talk.dialect.no_recipients)
    else:
        _pass(talk, mail, command)


def _pass(talk: Talk, mail: Mail, command: Bdat) -> None:
    """The command goes up at once; the client is read on, since the chunk follows whatever the answer."""
    assert talk.upstream is not None
    mail.chunked = True
    passing = Passing(talk, mail, command.last)
    if talk.expect(passing.slot):
        talk.upstream.write(command.raw)
        _begin(talk, passing)
        talk.release("turn")


def _take_in(talk: Talk, command: Bdat) -> None:
    """All replies are here: a chunk is only taken if upstream would take the message."""
    mail = talk.mail
    if mail is None:
        swallow(talk, words.NEEDS_MAIL)
    elif not mail.up and not mail.dropped:
        mail.balked = True
        swallow(talk, talk.dialect.no_recipients)
    elif mail.discard is None and mail.up and way(talk.chain) is Way.PASS:
        _pass(talk, mail, command)
    else:
        mail.chunked = True
        if not isinstance(mail.collecting, Collecting):
            mail.collecting = Collecting(talk, mail, discarded(mail))
        mail.collecting.begin(command)
        _begin(talk, mail.collecting)


def _begin(talk: Talk, taker: "Passing | Collecting") -> None:
    talk.taker = taker
    talk.unfinished = True
    talk.session.state = "text"


def swallow(talk: Talk, refusal: Answer) -> None:
    """Refuse a BDAT; its chunk follows all the same."""
    talk.taker = Swallowing(talk)
    talk.refuse(refusal)


class Swallowing:
    """Takes a chunk that was refused."""

    __slots__ = ("_talk",)

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def take(self, event: Chunk) -> None:
        if event.end:
            self._talk.taker = None


class Passing:
    """Nobody looks: the octets of one chunk go up as they come."""

    __slots__ = ("_ending", "_last", "_mail", "_refusal", "_talk", "slot")

    def __init__(self, talk: Talk, mail: Mail, last: bool) -> None:
        self._talk = talk
        self._mail = mail
        self._last = last
        self._refusal: Answer | None = None
        self._ending = Ending(talk, mail)
        self.slot = Awaited(VERB if last else "BDAT", self._replied)

    def take(self, event: Chunk) -> None:
        talk, mail = self._talk, self._mail
        if self._refusal is None:
            mail.transaction.size += len(event.octets)
            self._refusal = objection(talk, mail, event.octets, end=event.end and self._last, stuffed=False)
            if self._refusal is not None:
                self._abort(self._refusal.text)
            elif event.octets:
                assert talk.upstream is not None
                talk.upstream.write(event.octets)
        if not event.end:
            return
        talk.taker = None
        talk.unfinished = False
        if self._refusal is None:
            self._complete()
        elif talk.mail is mail:
            conclude(talk, talk.words(self._refusal), last=self._last)
        else:  # MAIL was refused meanwhile
            talk.refuse(self._refusal)

    def _complete(self) -> None:
        talk = self._talk
        if self._last and talk.mail is self._mail:
            talk.ending = self._ending
            talk.session.state = "end"
            talk.hold("turn")
            if len(talk.ledger) == 1 and talk.from_upstream.pending:
                talk.cut_upstream(EARLY)
        elif talk.ledger and not talk.pipelines:
            talk.hold("turn")
        elif len(talk.ledger) >= LIMIT:
            talk.hold("slots")
        else:
            talk.at_border()

    def _replied(self, reply: Reply) -> None:
        """An answer may come before the chunk is complete; that never is an acceptance of the message."""
        if self._last:
            if reply.positive and self._talk.taker is self:
                self._talk.cut_upstream(EARLY)
                return
            self._ending.replied(reply)
            return
        if not reply.positive:
            self._mail.turned_down = reply.raw
        self._talk.settle(reply.raw)

    def _abort(self, reason: str) -> None:
        """Octets that may not go on: upstream's connection ends, with all that it has not answered."""
        talk = self._talk
        talk.orphan(reason)
        for slot in talk.ledger.abandon():
            if slot is not self.slot and not slot.hidden:
                talk.client.write(slot.local or talk.words(words.LOCAL_ERROR))


class Collecting:
    """Somebody looks, or the message shall be dropped: chunks are taken in until the last one is here.

    A 250 for a chunk that isn't the last promises nothing about the message (RFC 3030 2).
    """

    __slots__ = ("_chunk", "_complete", "_decision", "_discard", "_mail", "_refusal", "_talk")

    def __init__(self, talk: Talk, mail: Mail, discard: Decision | None) -> None:
        self._talk = talk
        self._mail = mail
        self._discard = discard
        self._chunk: Bdat | None = None
        self._complete = False
        self._refusal = b""
        self._decision: Decision | None = None
        if discard is None:
            mail.carrier = Carrier(talk, mail.transaction, Way.WHOLE, self._judged)

    def begin(self, command: Bdat) -> None:
        """Another chunk."""
        self._chunk = command

    def take(self, event: Chunk) -> None:
        talk, mail = self._talk, self._mail
        assert self._chunk is not None
        last = self._chunk.last
        mail.transaction.size += len(event.octets)
        if not self._refusal and mail.carrier is not None:
            refusal = objection(talk, mail, event.octets, end=event.end and last, stuffed=False)
            if refusal is not None:
                self._refuse(talk.words(refusal), None)
            else:
                mail.carrier.feed(event.octets)
        if not event.end:
            return
        talk.taker = None
        talk.unfinished = False
        if self._refusal:
            conclude(talk, self._refusal, self._decision, last=last)
        elif last:
            self._end()
        else:
            talk.answer(talk.words(Answer(250, "2.0.0", f"{self._chunk.size} octets received")))

    def _end(self) -> None:
        talk, mail = self._talk, self._mail
        self._complete = True
        if self._discard is not None:
            conclude(talk, talk.words(words.ACCEPTED), self._discard)
        elif mail.carrier is not None:
            mail.carrier.end()

    def _judged(self, decision: Decision | None) -> None:
        if decision is not None:
            self._refuse(self._talk.words(words.refusal(decision)), decision)
            if self._complete:
                conclude(self._talk, self._refusal, decision)
        else:
            self._talk.unfinished = True
            Sending(self._talk, self._mail).bdat()

    def _refuse(self, reply: bytes, decision: Decision | None) -> None:
        self._refusal, self._decision = reply, decision
        self._mail.close()
