"""What every part of a POP3 session uses: sending up, answering in order, waiting for one's turn, ending.

`session.state` is "connected" until the client has been greeted, then "authorization", "transaction" (RFC
1939 3) and, once no more may be said, "closing".
"""

from collections.abc import Callable

from mailweir.relay.conversation import Conversation
from mailweir.relay.ledger import LIMIT, Ledger, Slot
from mailweir.relay.meeting import Meeting
from mailweir.relay.pop3 import words
from mailweir.session import Leg
from mailweir.verdict import Close, Decision
from mailweir.wire.errors import ProtocolError
from mailweir.wire.pop3 import CommandReader, Reply, ReplyReader, Response, Text


class Talk(Conversation):
    """A session without its verbs."""

    from_client: CommandReader
    from_upstream: ReplyReader

    def __init__(self, meeting: Meeting) -> None:
        super().__init__(meeting, CommandReader(), ReplyReader())
        self.ledger: Ledger[Exchange] = Ledger(self.client.write)
        self.user = ""  # what USER said, and upstream accepted
        self.void = False  # upstream has that from before STLS, and it is void (RFC 2595 4)
        self.pipelining = False  # until upstream has said otherwise (RFC 2449 6.6)
        self.promised = False  # the client was told that it may, though upstream can't
        self._next: Callable[[], None] | None = None

    @property
    def over(self) -> bool:
        """Nothing more may be said."""
        return self.session.state == "closing"

    @property
    def plaintext(self) -> bool:
        """A secret may be on the client's connection as it is."""
        return self.rules.plaintext(self.session)

    @property
    def confidential(self) -> bool:
        """A login, and all that follows it, may be on the client's connection as it is."""
        return self.rules.secure(self.session)

    @property
    def starttls(self) -> bool:
        """STLS may be said now (RFC 2595 4)."""
        return (
            self.rules.starttls and self.session.client_tls is None and self.session.state == "authorization"
        )

    def send(self, exchange: "Exchange", line: bytes, *, barrier: bool = False) -> None:
        """Say `line` to upstream, which will answer it.

        What the client says next waits for the reply if there is a `barrier`, or if upstream can't be
        spoken to ahead of its replies.
        """
        if self.over or self.upstream is None:
            return
        self.ledger.expect(exchange)
        if barrier or not self.pipelining or len(self.ledger) >= LIMIT:
            self.hold("reply")
        self.upstream.write(line)

    def answer(self, verb: str, octets: bytes) -> None:
        """Answer the command ourselves, in its turn."""
        if self.over:
            return
        self.ledger.answer(Exchange(self, verb), octets)
        if len(self.ledger) >= LIMIT:
            self.hold("reply")

    def refuse(self, verb: str, decision: Decision, *, login: bool = False) -> None:
        """Answer with a plugin's verdict."""
        octets = words.refusal(decision, self.session.id, login=login)
        if isinstance(decision.verdict, Close):
            self.last_word(octets, f"closed by {decision.plugin}")
        else:
            self.answer(verb, octets)

    def last_word(self, octets: bytes, reason: str) -> None:
        """Say this in its turn, and end the session."""

        def say() -> None:
            self.client.write(octets)
            self.end(reason)

        self.alone(say)

    def alone(self, then: Callable[[], None]) -> None:
        """Do something once every open slot has been answered; the client is not read until it is done."""
        if self.over:
            return
        if len(self.ledger):
            self._next = then
            self.hold("turn")
        else:
            then()

    def settle(self) -> None:
        """The reply to the oldest command is complete."""
        self.ledger.settle()
        if len(self.ledger):
            return
        self.release("reply")
        turn, self._next = self._next, None
        if turn is not None:
            turn()  # may hold again, for the reply to what it sends
            self.release("turn")

    def end(self, reason: str) -> None:
        """All is said: let both sides go in good order."""
        self.session.state = "closing"
        self.drop(self.ledger.abandon())
        self.hang_up(reason)

    def cut(self, reason: str) -> None:
        self.session.state = "closing"
        self.drop(self.ledger.abandon())
        super().cut(reason)

    def drop(self, exchanges: "list[Exchange]") -> None:
        """These will not come to their end."""
        for exchange in exchanges:
            exchange.dropped()


class Exchange(Slot):
    """One command and its reply of one line. Other kinds of reply derive from it.

    `turn`: who must speak next. `prompts`: upstream may ask for more with `+`.
    """

    __slots__ = ("talk", "turn")
    prompts = False

    def __init__(self, talk: Talk, verb: str) -> None:
        super().__init__(verb)
        self.talk = talk
        self.turn: Leg = "upstream"

    def replied(self, reply: Reply) -> None:
        """Upstream answers."""
        self.talk.ledger.say(reply.line)
        self.talk.settle()

    def text(self, text: Text | bytes) -> None:
        """More of the reply, for those who asked the reader for it."""
        raise ProtocolError("a text that nobody asked for", fatal=True)

    def said(self, event: Response | Text) -> None:
        """The client's part, for those who asked the reader for it."""
        raise ProtocolError("a response that nobody asked for", fatal=True)

    def drained(self) -> None:
        """The client takes more octets."""

    def lost(self) -> bytes | None:
        """Upstream will never answer: what to say instead. None: half a reply has been said."""
        return words.LOST

    def dropped(self) -> None:
        """The reply will not come, or nobody is there to hear it: give back what is held."""
