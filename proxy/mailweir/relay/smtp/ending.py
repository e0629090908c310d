"""The final replies to a text: one in SMTP, one for each accepted recipient in LMTP (RFC 2033 4.2).

No 250 is said here that upstream didn't say, but for recipients and messages that a plugin discarded. What
plugins have said of single recipients stands in its place among upstream's replies.
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


class Ending:
    """Upstream has the whole text; its replies decide."""

    __slots__ = ("_accepted", "_known", "_left", "_mail", "_said", "_talk")

    def __init__(self, talk: Talk, mail: Mail) -> None:
        self._talk = talk
        self._mail = mail
        self._left: deque[Recipient | None] | None = None
        self._known: deque[Recipient] = deque()
        self._accepted = False
        self._said = b""

    def replied(self, reply: Reply) -> None:
        left = self._begin()
        known = self._known.popleft() if self._known else None
        if known is not None and known.added:
            if not reply.positive:
                self._talk.log.warning("added recipient got nothing", code=reply.code)
        else:
            self._say_own(left)
            if left:
                left.popleft()
            self._remember(reply.raw)
            self._say_own(left, behind=reply.raw)
        if left or self._known:
            return
        self._close()
        self._talk.settle(b"")

    def lost(self) -> bytes:
        """Upstream is gone: 451 for each reply that didn't come; a second copy is better than none."""
        left = self._begin()
        said = b""
        for recipient in left:
            octets = self._own(recipient) or self._talk.words(words.LOST_AT_END)
            self._remember(octets)
            said += octets
        self._close()
        return said

    def _begin(self) -> "deque[Recipient | None]":
        """Only now are all replies to RCPT here, so only now is it known how many come, and for whom."""
        if self._left is None:
            accepted = self._mail.transaction.envelope.accepted if self._talk.dialect.each else []
            self._known.extend(self._mail.lines if self._talk.dialect.each else [])
            self._left = deque(accepted)
            if not accepted:
                self._left.append(None)
        return self._left

    def _say_own(self, left: "deque[Recipient | None]", behind: bytes = b"") -> None:
        said = behind
        while left and (own := self._own(left[0])):
            left.popleft()
            said += own
            if not own.startswith(b"2"):
                self._remember(own)
        if said:
            self._talk.ledger.say(said)

    def _own(self, recipient: Recipient | None) -> bytes:
        """What we say for this one ourselves; nothing if upstream does."""
        return b"" if recipient is None else self._mail.dropped.get(recipient, b"")

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
    talk.session.state = "command"
    talk.owes_reset = not talk.orphaned
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
