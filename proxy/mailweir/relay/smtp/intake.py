"""A text that doesn't leave as it came: judged first, in another framing, or dropped.

`data` and `bdat` take its own framing off; `sending` gives it another. In between, how much of it must be
here before what may leave is `carry`'s to say. However it ends, the client has its whole text consumed.
"""

from functools import partial

from mailweir.relay.carry import Carrier, Way, way
from mailweir.relay.smtp import words
from mailweir.relay.smtp.ending import conclude
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.redial import lawful
from mailweir.relay.smtp.replay import settle
from mailweir.relay.smtp.sending import CHUNK, ByBdat, ByData, Sending
from mailweir.relay.smtp.talk import Talk
from mailweir.relay.smtp.trace import field, stamp
from mailweir.verdict import Decision, Discard

EARLY = CHUNK
"""Octets of a text that must be here before it begins to leave ahead of its verdict: most are complete
sooner, and one that is refused then has never been shown to upstream."""


class Intake:
    """One text. `discard`: by whose decision it is dropped unseen."""

    __slots__ = (
        "_complete",
        "_decision",
        "_due",
        "_mail",
        "_reply",
        "_screen",
        "_sending",
        "_talk",
        "_way",
    )

    def __init__(self, talk: Talk, mail: Mail, discard: Decision | None) -> None:
        self._talk = talk
        self._mail = mail
        self._screen = mail.screened(talk.rules)
        needed = way(talk.chain, withheld=_chunks(talk) or lawful(talk))
        # an envelope that was changed is settled once the header is here, and then the text streams
        self._way = Way.HEAD if needed is Way.PASS and mail.unsettled else needed
        self._sending: Sending | None = None
        self._due = False
        self._complete = False
        self._decision = discard
        self._reply = b"" if discard is None else talk.words(words.ACCEPTED)
        if discard is not None:
            return
        if self._way is Way.PASS:
            above = field(talk, mail)
            self._sending = self._framing()
            self._sending.start(iter((above,)), len(above), whole=False)
        else:
            stamped = partial(stamp, talk, mail)
            mail.carrier = Carrier(talk, mail.transaction, self._way, self._judged, made=stamped)

    def take(self, octets: bytes, *, due: bool, last: bool) -> bool:
        """The next piece. `due`: the client awaits an answer behind it; `last`: and its text ends there.

        True if that answer is the caller's to give: all went well, and more is to come.
        """
        self._due = due
        self._complete = due and last
        self._mail.transaction.size += len(octets)
        if self._reply:
            self._answer()
        else:
            octets = self._screen.look(octets, end=self._complete)
            if self._screen.refusal is not None:
                self._refuse(self._talk.words(self._screen.refusal), None)
            else:
                self._carry(octets)
        if not self._due or self._complete:
            return False
        self._due = False
        return True

    def _carry(self, octets: bytes) -> None:
        if self._sending is None or self._way is Way.END:
            self._store(octets)
        else:
            self._mail.close()  # what was stored has left, and nobody wants to see the rest
            self._sending.write(octets)
            if self._complete:
                self._sending.end()

    def _store(self, octets: bytes) -> None:
        """Somebody wants to see it; it may leave all the same."""
        carrier, sending = self._mail.carrier, self._sending
        assert carrier is not None
        carrier.feed(octets)
        if self._reply:
            return
        if sending is not None:
            sending.write(octets)
        elif carrier.leaves and not self._complete and self._mail.transaction.size >= EARLY:
            settle(self._talk, self._mail, self._settled)
        if self._complete:
            carrier.end()

    def _settled(self, refusal: bytes, decision: Decision | None) -> None:
        """Upstream has the envelope as plugins want it, or the message ends here."""
        if refusal:
            self._refuse(refusal, decision)
            return
        message = self._mail.transaction.message
        assert message is not None
        message.headers.seal("the message has begun to leave")
        message.envelope.fix()
        self._sending = self._framing(early=self._way is Way.END and not self._complete)
        self._sending.start(message.pieces(), message.leaving, whole=self._complete)

    def _framing(self, *, early: bool = False) -> Sending:
        """As it came, where upstream can take that; or so that it can be called back."""
        chunks = _chunks(self._talk) and (early or self._mail.chunked)
        return (ByBdat if chunks else ByData)(self._talk, self._mail, self._turned_down)

    def _judged(self, decision: Decision | None) -> None:
        if decision is not None:
            self._refuse(self._talk.words(words.refusal(decision)), decision)
        elif self._sending is not None:
            self._sending.end()
        else:
            settle(self._talk, self._mail, self._settled)

    def _turned_down(self, reply: bytes) -> None:
        """Upstream doesn't want it, after we had begun to take it: its reply is the final one."""
        self._refuse(reply, None)

    def _refuse(self, reply: bytes, decision: Decision | None) -> None:
        """The message will not arrive."""
        self._reply, self._decision = reply, decision
        if self._sending is not None:
            self._sending.abandon("message refused after it had begun to leave")
        self._mail.close()
        self._answer()

    def _answer(self) -> None:
        """Say what becomes of it, if the client awaits that. Who dropped it says so at its end only."""
        dropped = self._decision is not None and isinstance(self._decision.verdict, Discard)
        if self._due and (self._complete or not dropped):
            self._due = False
            conclude(self._talk, self._reply, self._decision, last=self._complete)


def _chunks(talk: Talk) -> bool:
    return "CHUNKING" in talk.offer.upstream
