"""DATA (RFC 5321 4.1.1.4): the text, passed on as it comes, or taken in and judged first.

A text with a CR or LF alone never ends upstream: servers that take LF for a line's end would find more
than one message in it (SMTP smuggling).
"""

from functools import partial

from mailweir.relay.carry import Carrier, Way, way
from mailweir.relay.smtp import words
from mailweir.relay.smtp.ending import conclude, expect_end
from mailweir.relay.smtp.envelope import after_reset, no_transaction
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.sending import Sending
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.relay.smtp.words import Answer
from mailweir.verdict import Decision, Discard
from mailweir.wire.dots import unstuff
from mailweir.wire.smtp import Command, Reply, Text
from mailweir.wire.smtp_text import stuffing

GO_AHEAD = Answer(354, "", "end data with <CR><LF>.<CR><LF>")


def data(talk: Talk, command: Command) -> None:
    after_reset(talk, lambda: _data(talk, command))


def _data(talk: Talk, command: Command) -> None:
    mail = talk.mail
    if mail is None:
        no_transaction(talk, command)
    elif mail.chunked or mail.binary:
        talk.refuse(words.MIXED)
    elif mail.discard or mail.dropped or way(talk.chain) is not Way.PASS:
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
    if reply.positive:
        talk.cut_upstream("DATA was answered as if all were done")  # the 354 may be yet to come
        return
    if reply.code >= 400:
        mail.turned_down = reply.raw
    elif talk.mail is not mail:
        talk.cut_upstream("354 without a transaction")
        return
    elif talk.dialect.each and not mail.transaction.envelope.accepted:
        talk.cut_upstream("354 without recipients")  # there would be no telling how many replies come
        return
    else:
        _begin(talk, Passing(talk, mail))
    talk.settle(reply.raw)


def _take_in(talk: Talk, command: Command) -> None:
    """All replies are here: 354 is ours to say only if upstream would take the message."""
    mail = talk.mail
    if mail is None:
        talk.refuse(words.NEEDS_MAIL)
    elif not mail.up and not mail.dropped:
        no_recipients(talk, mail)
    elif mail.discard is None and mail.up and way(talk.chain) is Way.PASS:
        talk.forward(command.raw, Awaited("DATA", partial(_answered, talk, mail)), barrier=True)
    else:
        _begin(talk, Judging(talk, mail, discarded(mail)))
        talk.answer(talk.words(GO_AHEAD))


def _begin(talk: Talk, taker: "Passing | Judging") -> None:
    talk.from_client.expect_text()
    talk.taker = taker
    talk.unfinished = True
    talk.session.state = "text"


def discarded(mail: Mail) -> Decision | None:
    """By whose decision the message is dropped unseen: it, or all who were to get it."""
    return mail.discard or (None if mail.up else Decision(Discard("all recipients"), "mailweir"))


def objection(talk: Talk, mail: Mail, octets: bytes, *, end: bool, stuffed: bool = True) -> Answer | None:
    """Why these octets may not go on. Only BODY=BINARYMIME may do without lines.

    `end`: a CR at their end stands alone. So it does if no more follow, and in any piece of a text, since
    one that an LF might follow is held back until that is here.
    """
    limit = talk.rules.message_size
    if limit and mail.transaction.size > limit:
        return words.TOO_BIG
    if mail.binary:
        return None
    if mail.strays.found(octets, end=end):
        return words.STRAY
    return words.HIDDEN_END if mail.ends.found(octets, stuffed=stuffed) else None


class Passing:
    """Nobody looks: pieces go up as they come, still stuffed."""

    __slots__ = ("_first", "_mail", "_refusal", "_talk")

    def __init__(self, talk: Talk, mail: Mail) -> None:
        self._talk = talk
        self._mail = mail
        self._first = True
        self._refusal: Answer | None = None

    def take(self, event: Text) -> None:
        talk, mail = self._talk, self._mail
        if self._refusal is None:
            mail.transaction.size += len(event.octets) - stuffing(event.octets, at_line_start=self._first)
            self._first = False
            self._refusal = objection(talk, mail, event.octets, end=True)
            if self._refusal is not None:
                talk.orphan(self._refusal.text)
            else:
                assert talk.upstream is not None
                talk.upstream.write(event.raw)
        if not event.end:
            return
        talk.taker = None
        if self._refusal is None:
            expect_end(talk, mail)
        else:
            conclude(talk, talk.words(self._refusal))


class Judging:
    """Somebody looks at the header or at all of it, or it shall be dropped: we have said 354 ourselves."""

    __slots__ = ("_decision", "_ended", "_first", "_mail", "_refusal", "_sending", "_talk")

    def __init__(self, talk: Talk, mail: Mail, discard: Decision | None) -> None:
        self._talk = talk
        self._mail = mail
        self._first = True
        self._ended = False
        self._decision = discard
        self._refusal = b"" if discard is None else talk.words(words.ACCEPTED)
        self._sending: Sending | None = None
        if discard is None:
            mail.carrier = Carrier(talk, mail.transaction, way(talk.chain), self._judged)

    def take(self, event: Text) -> None:
        talk, mail = self._talk, self._mail
        first, self._first = self._first, False
        self._ended = event.end
        if event.end:
            talk.taker = None
        octets = unstuff(event.octets, at_line_start=first)
        mail.transaction.size += len(octets)
        if not self._refusal:
            refusal = objection(talk, mail, event.octets, end=True)
            if refusal is not None:
                self._refuse(talk.words(refusal), None)
            elif self._sending is not None and self._sending.streams:
                self._sending.more(event)
            elif mail.carrier is not None:
                mail.carrier.feed(octets)
                if event.end and mail.carrier is not None:
                    mail.carrier.end()
        elif event.end:
            conclude(talk, self._refusal, self._decision)

    def _judged(self, decision: Decision | None) -> None:
        if decision is None:
            self._sending = Sending(self._talk, self._mail)
            self._sending.data(self._turned_down, whole=self._ended)
        else:
            self._refuse(self._talk.words(words.refusal(decision)), decision)

    def _turned_down(self, reply: bytes) -> None:
        """Upstream refused DATA after we had said 354: its reply is the final one."""
        self._refuse(reply, None)

    def _refuse(self, reply: bytes, decision: Decision | None) -> None:
        """The message will not leave; where a part of it has, upstream's connection ends without its end."""
        self._refusal, self._decision = reply, decision
        if self._sending is not None and self._sending.streams:
            self._talk.orphan("message refused after it had begun to leave")
        self._mail.close()
        if self._ended:
            conclude(self._talk, reply, decision)
