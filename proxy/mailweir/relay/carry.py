"""One message through the chain: passed by, judged by its header, or spooled whole.

The way is chosen when the text begins, from what the chain listens to. A relay feeds the text (without
stuffing or framing) to a `Carrier`, is told the decision once, and takes what leaves from
`message.pieces()`. Where plugins only judge, all but the end of the text may leave before they have. `Pump`
sends it as fast as the other side takes it.
"""

from collections.abc import Callable, Iterator
from enum import Enum

from mailweir import headers
from mailweir.chain.chain import Chain
from mailweir.message import Message
from mailweir.relay.conversation import Conversation
from mailweir.relay.side import Side
from mailweir.session import Leg, Transaction
from mailweir.spool import Spooled, SpoolFull
from mailweir.verdict import Decision, Defer, Reject

HEAD = headers.BLOCK
"""Octets of header block at most, where somebody looks at it: a larger one would show no fields."""

TURN = 2 << 20
"""Octets that a session may send at a time: some milliseconds of the loop."""

Judged = Callable[[Decision | None], None]


class Way(Enum):
    """How much of a message must be here before the first octet may leave."""

    PASS = "nobody looks"
    HEAD = "the header block"
    END = "the header block; and all of it before its end may leave"
    WHOLE = "all of it"


def way(chain: Chain, *, withheld: bool = False) -> Way:
    """What this chain needs. `withheld`: a text that has begun to leave can be called back."""
    if chain.listens("message") or chain.listens("sign"):
        return Way.END if withheld and not (chain.edits("message") or chain.edits("sign")) else Way.WHOLE
    if chain.listens("message_head"):
        return Way.HEAD
    return Way.PASS


class Carrier:
    """Takes one message in and has it judged.

    `judged` is called exactly once unless the client leaves: under `Way.HEAD` as soon as the header is
    complete, under `Way.END` and `Way.WHOLE` after `end`. Under `Way.END`, `leaves` turns true once the
    header was judged: what is here may leave then, and after it what comes. After a decision that stops the
    message, `feed` and `end` are free to be called and do nothing. `leg` is the side the text comes from; it
    is held while a plugin thinks, so no text comes then, but for what was cut off the same read: `feed` takes
    it at any time. `made` is called with the message as soon as there is one, before anybody is asked.
    """

    def __init__(
        self,
        relay: Conversation,
        transaction: Transaction,
        way: Way,
        judged: Judged,
        *,
        leg: Leg = "client",
        made: Callable[[Message], None] | None = None,
    ) -> None:
        self._relay = relay
        self._transaction = transaction
        self._way = way
        self._judged: Judged | None = judged
        self._leg: Leg = leg
        self._made = made
        self._head = bytearray()
        self._searched = 0
        self._spooled: Spooled = relay.rules.spool.open()
        self._ended = False
        self._asking = False
        self._over = False
        self.leaves = False
        self.message: Message | None = None

    def feed(self, octets: bytes) -> None:
        """More of the text."""
        if self._over:
            return
        limit = self._relay.rules.message_size
        if limit and self._spooled.size + len(octets) > limit:
            self._stop(Decision(Reject("message too big", 552, "5.3.4"), "mailweir"))
            return
        try:
            self._spooled.write(octets)
        except SpoolFull as error:
            self._relay.log.error("spool full", reason=str(error))
            self._stop(Decision(Defer("insufficient storage", 452, "4.3.1"), "mailweir"))
            return
        if self.message is None:
            self._head += octets
            self._look_for_body()

    def end(self) -> None:
        """The text is complete."""
        self._ended = True
        if self._judged is None:
            return
        if self.message is None:
            self._begin(len(self._head))
        elif not self._asking and self._way is not Way.HEAD:
            self._ask_whole()

    def close(self) -> None:
        """The message has left, or never will: give its room back."""
        self._judged = None
        self._over = True
        self._spooled.close()

    def _look_for_body(self) -> None:
        head = self._head
        if head[:2] == b"\r\n":
            self._begin(2)
            return
        at = head.find(b"\r\n\r\n", max(self._searched - 3, 0))
        self._searched = len(head)
        if 0 <= at <= HEAD - 4:
            self._begin(at + 4)
        elif len(head) > HEAD:
            self._stop(Decision(Reject("message header too long", 552, "5.3.4"), "mailweir"))

    def _begin(self, size: int) -> None:
        """The header block is the first `size` octets."""
        head = bytes(self._head[:size])
        self._head = bytearray()
        transaction = self._transaction
        self.message = transaction.message = Message(
            transaction.id, transaction.stage, transaction.envelope, head
        )
        if self._made is not None:
            self._made(self.message)
        if not self._relay.chain.listens("message_head"):
            self._head_judged(None)
            return
        self._asking = True
        self._relay.ask(
            self._head_judged,
            "message_head",
            leg=self._leg,
            session=self._relay.session,
            message=self.message,
        )

    def _head_judged(self, decision: Decision | None) -> None:
        self._asking = False
        assert self.message is not None
        if decision is not None and not decision.passes:
            self._stop(decision)
            return
        self.message.attach(self._spooled, whole=False)
        self.leaves = self._way is Way.END
        if self._way is Way.HEAD:
            self._say(None)
        elif self._ended:
            self._ask_whole()

    def _ask_whole(self) -> None:
        assert self.message is not None
        self.message.attach(self._spooled, whole=True)
        self._asking = True
        self._relay.ask(
            self._whole_judged, "message", leg=self._leg, session=self._relay.session, message=self.message
        )

    def _whole_judged(self, decision: Decision | None) -> None:
        if decision is not None and not decision.passes:
            self._stop(decision)
            return
        self._relay.ask(
            self._signed, "sign", leg=self._leg, session=self._relay.session, message=self.message
        )

    def _signed(self, decision: Decision | None) -> None:
        if decision is not None and not decision.passes:
            self._stop(decision)
        else:
            self._say(None)

    def _stop(self, decision: Decision) -> None:
        self._over = True
        self._spooled.close()
        self._say(decision)

    def _say(self, decision: Decision | None) -> None:
        judged, self._judged = self._judged, None
        self._transaction.decision = decision or self._transaction.decision
        if judged is not None:
            judged(decision)


class Pump:
    """Writes pieces to a side for as long as it takes them; `done` is called after the last.

    The relay calls `run` to begin, and again from its `on_drained`. A side may take all of a large message
    without ever being full, so after `TURN` octets `rest` is called, which sees to it that the relay hears
    `on_drained` when the other sessions have had their turn.
    """

    __slots__ = ("_done", "_pieces", "_rest", "_side")

    def __init__(
        self, side: Side, pieces: Iterator[bytes], done: Callable[[], None], rest: Callable[[], None]
    ) -> None:
        self._rest = rest
        self._side = side
        self._pieces: Iterator[bytes] | None = pieces
        self._done = done

    def run(self) -> None:
        if self._pieces is None:
            return
        written = 0
        for piece in self._pieces:
            self._side.write(piece)
            if self._side.full:
                return
            written += len(piece)
            if written >= TURN:
                self._rest()
                return
        self._pieces = None
        self._done()
