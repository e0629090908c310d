"""The final replies to a text: one in SMTP, one for each accepted recipient in LMTP (RFC 2033 4.2).

No 250 is said here that upstream didn't say, but for recipients and messages that a plugin discarded. What
plugins have said of single recipients stands in its place among upstream's replies; those about recipients
that plugins added are said to nobody. Where client and upstream speak different dialects, the one reply of
SMTP is said for each recipient, and the one recipient that a message from SMTP has upstream gives the one
reply.
"""

from collections import deque

from mailweir.envelope import Recipient
from mailweir.relay.smtp import words
from mailweir.relay.smtp.mail import Mail, outcome
from mailweir.relay.smtp.requests import wants_success
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.session import Outcome
from mailweir.verdict import Close, Decision, Discard
from mailweir.wire.smtp import Reply

VERB = "end"
"""The verb of the slot that waits for the final replies."""

NOT_TAKEN = frozenset({500, 501, 502, 503, 504})
"""About the command, not about a recipient (RFC 5321 4.2.3). Dovecot 2.3 refuses the last chunk behind one
that failed by a single 503, and a text that is too big by a 552 for each recipient."""

GRACE = 60.0
"""Seconds that the second reply may take if the first one was a refusal: a server may have meant it for all.
A delivery that takes longer than that is told to come again, and may then be there twice."""


class Ending:
    """Upstream has the whole text; its replies decide.

    `_owed`: who is yet to be told, one None in SMTP. `_coming`: whom upstream's replies are about that are
    to come, one None where it is the message.
    """

    __slots__ = ("_accepted", "_begun", "_coming", "_mail", "_owed", "_said", "_talk")

    def __init__(self, talk: Talk, mail: Mail) -> None:
        self._talk = talk
        self._mail = mail
        self._begun = False
        self._owed: deque[Recipient | None] = deque()
        self._coming: deque[Recipient | None] = deque([None])
        self._accepted = False
        self._said = b""

    @property
    def doubtful(self) -> bool:
        """All that was said is a refusal, and it is not sure that there is more to come."""
        return bool(self._coming) and bool(self._said) and not self._accepted

    def replied(self, reply: Reply) -> None:
        first = self._begin()
        about = self._coming.popleft()
        if first and reply.code in NOT_TAKEN:
            about = None
            self._coming.clear()
        if about is not None and about.added:
            if not reply.positive:
                self._talk.log.warning("added recipient got nothing", code=reply.code)
        else:
            self._tell(reply)
        if not self._coming:
            self._close()
            self._talk.settle(b"")

    def lost(self) -> bytes:
        """Upstream is gone: 451 for each reply that didn't come; a second copy is better than none."""
        self._begin()
        lost = self._talk.words(words.LOST_AT_END)
        said = self._rest(lost)
        if said:
            self._remember(lost)
        self._close()
        return said

    def _begin(self) -> bool:
        """Only now are all replies to RCPT here, so only now is it known how many come. False if it was."""
        if self._begun:
            return False
        self._begun = True
        accepted = self._mail.transaction.envelope.accepted
        self._owed.extend(accepted if self._talk.dialect.each else [])
        if not self._owed:
            self._owed.append(None)
        if self._talk.upstream_dialect.each and self._mail.lines:
            self._coming = deque(self._mail.lines)
        return True

    def _tell(self, reply: Reply) -> None:
        self._remember(reply.raw)
        one_to_one = self._talk.dialect.each and self._talk.upstream_dialect.each
        if one_to_one:
            self._say_next(reply.raw)
        if all(one is not None and one.added for one in self._coming):
            self._talk.ledger.say(self._rest(reply.raw if one_to_one else self._said))

    def _say_next(self, reply: bytes) -> None:
        """To the next whom upstream knows of, and before it to those whom it doesn't."""
        said = b""
        while self._owed:
            own = self._own(self._owed.popleft())
            said += own or reply
            if not own:
                break
        self._talk.ledger.say(said)

    def _rest(self, reply: bytes) -> bytes:
        """What those hear who are yet to be told."""
        said = b"".join([self._own(recipient) or reply for recipient in self._owed])
        self._owed.clear()
        return said

    def _own(self, recipient: Recipient | None) -> bytes:
        """What we say for this one ourselves; nothing if upstream does."""
        own = b"" if recipient is None else self._mail.dropped.get(recipient, b"")
        if own and not own.startswith(b"2"):
            self._remember(own)
        return own

    def _remember(self, reply: bytes) -> None:
        """The worst that was said is what logs show; one recipient served makes it accepted."""
        self._accepted = self._accepted or reply.startswith(b"2")
        if not self._said or self._said.startswith(b"2"):
            self._said = reply

    def _close(self) -> None:
        result: Outcome = "accepted" if self._accepted else outcome(self._said)
        self._talk.ending = None
        self._talk.session.state = "command"
        self._talk.end_mail(result, self._said)


def expect_end(talk: Talk, mail: Mail) -> None:
    """The end of the text has gone up: from now on only upstream knows."""
    talk.unfinished = False
    talk.early = None
    ending = Ending(talk, mail)
    talk.ending = ending
    talk.session.state = "end"
    talk.hold("turn")
    talk.expect(Awaited(VERB, ending.replied))


def conclude(talk: Talk, octets: bytes, decision: Decision | None = None, *, last: bool = True) -> None:
    """The message ends here without upstream: say so, and remember what upstream still waits for.

    `last`: the client has sent its end, and LMTP owes a reply for each recipient.
    """
    mail = talk.mail
    assert mail is not None
    talk.unfinished = False
    talk.early = None
    talk.session.state = "command"
    talk.owes_reset = talk.upstream is not None
    owed = mail.transaction.envelope.accepted if talk.dialect.each and last else []
    replies = b"".join([mail.dropped.get(recipient, octets) for recipient in owed]) or octets
    discarded = decision is not None and isinstance(decision.verdict, Discard)
    if discarded and any(wants_success(recipient) for recipient in mail.transaction.envelope.accepted):
        talk.log.info("discarded, though the sender asked to be told of the delivery")
    talk.end_mail("discarded" if discarded else outcome(octets), octets, decision)
    if decision is not None and isinstance(decision.verdict, Close):
        talk.part(octets, f"closed by {decision.plugin}")
    else:
        talk.answer(replies)
        talk.at_border()
