"""DATA (RFC 5321 4.1.1.4): the text, passed on as it comes, or taken in and judged first.

A text with a CR or LF alone never ends upstream: servers that take LF for a line's end would find more
than one message in it (SMTP smuggling).
"""

from functools import partial

from mailweir.relay.carry import Way, way
from mailweir.relay.smtp import words
from mailweir.relay.smtp.ending import conclude, expect_end
from mailweir.relay.smtp.envelope import after_reset, no_transaction
from mailweir.relay.smtp.intake import Intake
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.screen import Screen
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.relay.smtp.trace import field
from mailweir.relay.smtp.words import Answer
from mailweir.verdict import Decision, Discard
from mailweir.wire.dots import unstuff
from mailweir.wire.smtp import Command, Reply, Text
from mailweir.wire.smtp_text import DotWriter, stuffing

EARLY = "upstream refused a text before its end"
GO_AHEAD = Answer(354, "", "end data with <CR><LF>.<CR><LF>")


def data(talk: Talk, command: Command) -> None:
    after_reset(talk, lambda: _data(talk, command))


def _data(talk: Talk, command: Command) -> None:
    mail = talk.mail
    if mail is None:
        no_transaction(talk, command)
    elif mail.chunked or mail.binary:
        talk.refuse(words.MIXED)
    elif mail.discard or mail.dropped or mail.unsettled or way(talk.chain) is not Way.PASS:
        if command.arguments:
            talk.refuse(words.BAD_ARGUMENTS)
        else:
            talk.when_quiet(lambda: _take_in(talk, command))
    elif mail.refused and not mail.up:
        no_recipients(talk, mail)
    else:
        talk.forward(command.raw, Awaited("DATA", partial(_answered, talk, mail)), barrier=True)


def no_recipients(talk: Talk, mail: Mail) -> None:
    """None of the recipients that were refused here is known to upstream, which would take the text."""
    mail.balked = True
    talk.refuse(talk.dialect.no_recipients)


def _answered(talk: Talk, mail: Mail, reply: Reply) -> None:
    """354 alone makes the client's next octets a text."""
    if reply.code < 400 and reply.code != 354:
        talk.cut_upstream(f"{reply.code} in answer to DATA")  # who knows what it takes the next octets for
        return
    if reply.code >= 400:
        mail.turned_down = reply.raw
    elif talk.mail is not mail:
        talk.cut_upstream("354 without a transaction")
        return
    elif (talk.dialect.each or talk.upstream_dialect.each) and not mail.transaction.envelope.accepted:
        talk.cut_upstream("354 without recipients")  # there would be no telling how many replies come
        return
    else:
        screen = mail.screened(talk.rules)
        _begin(talk, (Mending if screen.mends else Passing)(talk, mail, screen))
    talk.settle(reply.raw)


def _take_in(talk: Talk, command: Command) -> None:
    """All replies are here: 354 is ours to say only if upstream would take the message."""
    mail = talk.mail
    if mail is None:
        talk.refuse(talk.needs_mail())
    elif not mail.up and not mail.dropped:
        no_recipients(talk, mail)
    elif mail.discard is None and mail.up and not mail.unsettled and way(talk.chain) is Way.PASS:
        talk.forward(command.raw, Awaited("DATA", partial(_answered, talk, mail)), barrier=True)
    else:
        _begin(talk, Taking(talk, mail, discarded(mail)))
        talk.answer(talk.words(GO_AHEAD))


def _begin(talk: Talk, taker: "Passing | Taking") -> None:
    talk.from_client.expect_text()
    talk.taker = taker
    talk.unfinished = True
    talk.keeps_waiting = isinstance(taker, Taking)
    talk.session.state = "text"


def discarded(mail: Mail) -> Decision | None:
    """By whose decision the message is dropped unseen: it, or all who were to get it."""
    return mail.discard or (None if mail.up else Decision(Discard("all recipients"), "mailweir"))


class Passing:
    """Nobody looks: pieces go up as they come, still stuffed."""

    __slots__ = ("_first", "_mail", "_refusal", "_screen", "_talk")

    def __init__(self, talk: Talk, mail: Mail, screen: Screen) -> None:
        self._talk = talk
        self._mail = mail
        self._screen = screen
        self._first = True
        self._refusal = b""
        talk.early = self._turned_down

    def take(self, event: Text) -> None:
        talk = self._talk
        if not self._refusal:
            above = field(talk, self._mail) if self._first else b""
            octets = self._passed(event)
            self._first = False
            refusal = self._screen.refusal
            assert talk.upstream is not None
            if refusal is None:
                talk.upstream.write(above + octets)
            else:
                self._refusal = talk.words(refusal)
                talk.orphan(refusal.text)
        if not event.end:
            return
        talk.taker = None
        if self._refusal:
            conclude(talk, self._refusal)
        else:
            expect_end(talk, self._mail)

    def _turned_down(self, reply: bytes) -> None:
        """Upstream has heard enough. The client hears it when it has said all; whether upstream reads the
        rest as text or as commands is not tried.
        """
        self._refusal = reply
        self._talk.orphan(EARLY)

    def _passed(self, event: Text) -> bytes:
        octets = event.octets
        self._mail.transaction.size += len(octets) - stuffing(octets, at_line_start=self._first)
        self._screen.look(octets, end=True, stuffed=True)
        return event.raw


class Mending(Passing):
    """As `Passing`, but lines may begin where the client's did not, so dots are stuffed again."""

    __slots__ = ("_writer",)

    def __init__(self, talk: Talk, mail: Mail, screen: Screen) -> None:
        super().__init__(talk, mail, screen)
        self._writer = DotWriter()

    def _passed(self, event: Text) -> bytes:
        octets = unstuff(event.octets, at_line_start=self._first)
        self._mail.transaction.size += len(octets)
        octets = self._writer.write(self._screen.look(octets, end=event.end))
        return octets + self._writer.end() if event.end else octets


class Taking:
    """Somebody looks at the header or at all of it, or it shall be dropped: we have said 354 ourselves."""

    __slots__ = ("_first", "_intake", "_talk")

    def __init__(self, talk: Talk, mail: Mail, discard: Decision | None) -> None:
        self._talk = talk
        self._first = True
        self._intake = Intake(talk, mail, discard)

    def take(self, event: Text) -> None:
        octets = unstuff(event.octets, at_line_start=self._first)
        self._first = False
        if event.end:
            self._talk.taker = None
        self._intake.take(octets, due=event.end, last=True)
