"""BDAT (RFC 3030): chunks of counted octets, passed on one to one, or taken in and judged first.

Whatever becomes of a BDAT, its octets follow on the wire and are taken as octets: a refused chunk read as
commands is a way in.
"""

from mailweir.relay.carry import Way, way
from mailweir.relay.ledger import LIMIT
from mailweir.relay.smtp import words
from mailweir.relay.smtp.data import discarded
from mailweir.relay.smtp.ending import VERB, Ending, conclude
from mailweir.relay.smtp.envelope import after_reset
from mailweir.relay.smtp.intake import Intake
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.relay.smtp.trace import field
from mailweir.relay.smtp.words import Answer
from mailweir.wire.smtp import Bdat, Chunk, Command, Reply

ENDING_VERBS = {"RSET", "QUIT", "EHLO", "HELO", "LHLO"}
"""What ends a transaction that has begun."""

EARLY = "a chunk was accepted before it was complete"


def bdat(talk: Talk, command: Command) -> None:
    assert isinstance(command, Bdat)
    after_reset(talk, lambda: _bdat(talk, command))


def _bdat(talk: Talk, command: Bdat) -> None:
    mail = talk.mail
    if "CHUNKING" not in talk.offer.keywords:
        swallow(talk, words.NOT_OFFERED)
    elif mail is None:
        swallow(talk, talk.needs_mail())
    elif isinstance(mail.collecting, Collecting):
        _collect(talk, mail, mail.collecting, command)
    elif not _passes(talk, mail) or mail.dropped or _needs_count(talk, command):
        talk.when_quiet(lambda: _take_in(talk, command))
    elif not mail.up:  # a chunk that upstream refuses is for some servers none
        _no_recipients(talk, command)
    else:
        _pass(talk, mail, command)


def _passes(talk: Talk, mail: Mail) -> bool:
    """Its chunks can go up as they are."""
    if mail.discard or mail.unsettled or way(talk.chain) is not Way.PASS:
        return False
    if "CHUNKING" not in talk.offer.upstream:
        return False
    return mail.binary or talk.rules.smtp.bare_newline != "normalize"  # else sizes would change


def _needs_count(talk: Talk, command: Bdat) -> bool:
    """Before the last chunk goes up it must be known how many recipients there are: for none of them LMTP
    has no reply at all (RFC 2033 4.3), but there are servers that say 503.
    """
    return command.last and (talk.dialect.each or talk.upstream_dialect.each)


def _no_recipients(talk: Talk, command: Bdat) -> None:
    """A chunk that was refused ends the transaction here: of a text that lacks one nothing may arrive."""
    talk.forget_mail()
    talk.owes_reset = talk.upstream is not None
    if command.last and talk.dialect.each:
        talk.taker = Swallowing(talk)  # a reply here would be taken for that to the next command
    else:
        swallow(talk, talk.dialect.no_recipients)


def _pass(talk: Talk, mail: Mail, command: Bdat) -> None:
    """The command goes up at once; the client is read on, since the chunk follows whatever the answer.

    But if it alone ends the text, it waits until a CR at the end of the chunk before it was objected to.
    """
    assert talk.upstream is not None
    stamped = command.raw if mail.chunked else _stamped(command, field(talk, mail))
    if not mail.chunked:
        mail.transaction.envelope.fix()  # upstream would lose this chunk if it were asked anew
        mail.chunked = True
    ends = command.last and not command.size
    passing = Passing(talk, mail, command.last, withheld=stamped if ends else b"")
    if talk.expect(passing.slot):
        if not ends:
            talk.upstream.write(stamped)
        _begin(talk, passing)
        talk.release("turn")


def _stamped(command: Bdat, above: bytes) -> bytes:
    """The command with so many octets of ours before those of its chunk."""
    if not above:
        return command.raw
    return b"BDAT %d%s\r\n%s" % (command.size + len(above), b" LAST" if command.last else b"", above)


def _take_in(talk: Talk, command: Bdat) -> None:
    """All replies are here: a chunk is only taken if upstream would take the message."""
    mail = talk.mail
    if mail is None:
        swallow(talk, talk.needs_mail())
    elif not mail.up and not mail.dropped:
        _no_recipients(talk, command)
    elif mail.up and _passes(talk, mail):
        _pass(talk, mail, command)
    else:
        mail.chunked = True
        mail.collecting = collecting = Collecting(talk, mail)
        _collect(talk, mail, collecting, command)


def _collect(talk: Talk, mail: Mail, collecting: "Collecting", command: Bdat) -> None:
    collecting.begin(command)
    _begin(talk, collecting)
    talk.keeps_waiting = not mail.amid_data


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

    __slots__ = ("_ending", "_last", "_mail", "_screen", "_talk", "_withheld", "slot")

    def __init__(self, talk: Talk, mail: Mail, last: bool, *, withheld: bytes) -> None:
        self._talk = talk
        self._mail = mail
        self._last = last
        self._withheld = withheld
        self._screen = mail.screened(talk.rules)
        self._ending = Ending(talk, mail)
        self.slot = Awaited(VERB if last else "BDAT", self._replied)

    def take(self, event: Chunk) -> None:
        talk, mail, refusal = self._talk, self._mail, self._screen.refusal
        if refusal is None:
            mail.transaction.size += len(event.octets)
            octets = self._screen.look(event.octets, end=event.end and self._last)
            refusal = self._screen.refusal
            if refusal is not None:
                self._abort(refusal.text)
            elif octets or self._withheld:
                assert talk.upstream is not None
                talk.upstream.write(self._withheld + octets)
        if not event.end:
            return
        talk.taker = None
        talk.unfinished = False
        if refusal is None:
            self._complete()
        elif talk.mail is mail:
            conclude(talk, talk.words(refusal), last=self._last)
        else:  # MAIL was refused meanwhile
            talk.refuse(refusal)

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
    """The chunks of a text that is judged first, dropped, or put in another framing.

    A 250 for a chunk that isn't the last promises nothing about the message (RFC 3030 2).
    """

    __slots__ = ("_chunk", "_intake", "_mail", "_talk")

    def __init__(self, talk: Talk, mail: Mail) -> None:
        self._talk = talk
        self._mail = mail
        self._intake = Intake(talk, mail, discarded(mail))
        self._chunk: Bdat | None = None

    def begin(self, command: Bdat) -> None:
        """Another chunk."""
        self._chunk = command

    def take(self, event: Chunk) -> None:
        talk, chunk = self._talk, self._chunk
        assert chunk is not None
        if event.end:
            talk.taker = None
            talk.unfinished = self._mail.amid_data or chunk.last  # until its end is answered, or has gone up
        if self._intake.take(event.octets, due=event.end, last=chunk.last):
            talk.answer(talk.words(Answer(250, "2.0.0", f"{chunk.size} octets received")))


def amid_data(talk: Talk, command: Command) -> bool:
    """Between the chunks of a text that goes up by DATA, where a command would be taken for text.

    True if it was answered here. Who ends the transaction ends upstream's connection: there is no other
    way to call back a text that has begun.
    """
    if command.verb == "BDAT":
        return False
    if command.verb == "NOOP":
        talk.answer(talk.words(words.ACCEPTED))
    elif command.verb in ENDING_VERBS:
        talk.orphan(f"{command.verb} in the middle of a text")
        talk.forget_mail()
        return False
    else:
        talk.refuse(words.IN_TEXT)
    return True


def answered_here(talk: Talk, verb: str) -> bool:
    """A chunk of a text that was refused already, so nobody upstream has to hear of it."""
    return verb == "BDAT" and talk.mail is not None and talk.mail.collecting is not None
