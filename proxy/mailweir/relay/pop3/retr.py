"""RETR and TOP: a mailbox's messages through the chain.

Where no plugin looks at messages a text streams. Where one does, it is judged before its first octet
leaves: by its header, and then the rest streams; or as a whole, out of the spool. A refusal is an `-ERR`,
and the session goes on.

Plugins may see and refuse here, not edit: STAT, LIST and the reply to RETR have told the sizes already
(RFC 1939 11), so edits of the header are left out and the text leaves as upstream sent it.

TOP must not be a way round a refusal. Where plugins look at messages, upstream is asked to RETR the
message instead; it is judged as a whole, and the client gets its header and the lines he asked for. The
price: a TOP costs a RETR there, and a server that marks what was retrieved will mark it.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain

import stringzilla as sz

from mailweir.relay.carry import Carrier, Pump, Way, way
from mailweir.relay.pop3 import words
from mailweir.relay.pop3.exchange import Many
from mailweir.relay.pop3.talk import Exchange, Talk
from mailweir.spool import PIECE
from mailweir.verdict import Close, Decision
from mailweir.wire.dots import unstuff
from mailweir.wire.pop3 import TERMINATOR, Command, Reply, Text
from mailweir.wire.smtp_text import DotWriter


def retr(talk: Talk, command: Command) -> None:
    """RETR msg."""
    needs = way(talk.chain)
    if needs is Way.PASS:
        talk.send(Streamed(talk, "RETR"), command.line)
    else:
        talk.send(Judged(talk, "RETR", needs), command.line, barrier=True)


def top(talk: Talk, command: Command) -> None:
    """TOP msg n."""
    if way(talk.chain) is Way.PASS:
        talk.send(Many(talk, "TOP"), command.line)
        return
    numbers = command.arguments.split()
    if len(numbers) == 2 and numbers[0].isdigit() and numbers[1].isdigit() and len(numbers[1]) < 10:
        exchange = Judged(talk, "TOP", Way.WHOLE, lines=int(numbers[1]))
        talk.send(exchange, b"RETR %b\r\n" % numbers[0], barrier=True)
    else:
        talk.answer("TOP", words.SYNTAX)


class Streamed(Many):
    """A message that nobody looks at."""

    __slots__ = ("_reply", "_started", "_transaction")

    def __init__(self, talk: Talk, verb: str) -> None:
        super().__init__(talk, verb)
        self._started = talk.clock.seconds()

    def replied(self, reply: Reply) -> None:
        talk = self.talk
        self._transaction = talk.session.begin("retr", self._started)
        self._reply = words.reply(reply.line)
        if not reply.ok:
            talk.finish(self._transaction, words.outcome_of(reply.line), self._reply)
        super().replied(reply)

    def text(self, text: Text | bytes) -> None:
        assert isinstance(text, Text)
        transaction = self._transaction
        dots = sz.count(text.octets, b"\r\n.") + (not transaction.size and text.octets.startswith(b"."))
        transaction.size += len(text.octets) - dots
        if text.last:
            self.talk.finish(transaction, "accepted", self._reply)
        super().text(text)


class Judged(Exchange):
    """A message that plugins look at. `lines`: how much of its body the client wants; None: all of it.

    The text is taken in by one of `_collect`, `_stream` and `_swallow`.
    """

    __slots__ = (
        "_carrier",
        "_ended",
        "_lines",
        "_lost",
        "_pump",
        "_raw",
        "_reply",
        "_started",
        "_take",
        "_transaction",
        "_way",
    )

    def __init__(self, talk: Talk, verb: str, needs: Way, lines: int | None = None) -> None:
        super().__init__(talk, verb)
        self._way = needs
        self._lines = lines
        self._started = talk.clock.seconds()
        self._carrier: Carrier | None = None
        self._pump: Pump | None = None
        self._raw: list[bytes] = []  # what was fed to a carrier that only judges the header
        self._reply = b""
        self._take = self._collect
        self._ended = False
        self._lost: bytes | None = words.LOST

    def replied(self, reply: Reply) -> None:
        talk = self.talk
        self._transaction = talk.session.begin("retr", self._started)
        if not reply.ok:
            talk.finish(self._transaction, words.outcome_of(reply.line), words.reply(reply.line))
            super().replied(reply)
            return
        self._reply = reply.line if self._lines is None else words.TOP
        self._carrier = Carrier(talk, self._transaction, self._way, self._judged, leg="upstream")
        talk.from_upstream.text()

    def text(self, text: Text | bytes) -> None:
        assert isinstance(text, Text)
        self._ended = text.last
        self._take(text)

    def drained(self) -> None:
        if self._pump is not None:
            self._pump.run()

    def lost(self) -> bytes | None:
        return self._lost

    def dropped(self) -> None:
        self._pump = None
        if self._carrier is not None:
            self._carrier.close()

    def _collect(self, text: Text) -> None:
        carrier = self._carrier
        assert carrier is not None
        octets = unstuff(text.octets, at_line_start=not self._transaction.size)
        self._transaction.size += len(octets)
        if self._way is Way.HEAD:
            self._raw.append(text.octets)
        carrier.feed(octets)
        if text.last:
            carrier.end()

    def _stream(self, text: Text) -> None:
        self._transaction.size += len(text.octets) - sz.count(text.octets, b"\r\n.")
        self.talk.ledger.say(text.raw)
        if text.last:
            self._finished()

    def _swallow(self, text: Text) -> None:
        if text.last:
            self.talk.settle()

    def _judged(self, decision: Decision | None) -> None:
        talk = self.talk
        if decision is not None:
            self._refuse(decision)
            return
        assert self._carrier is not None and self._carrier.message is not None
        self._lost = None
        if self._way is Way.HEAD:
            self._take = self._stream
            self._carrier.close()
            begun = b"".join([self._reply, *self._raw])
            self._raw = []
            talk.ledger.say(begun + TERMINATOR if self._ended else begun)
            if self._ended:
                self._finished()
            return
        talk.hold("sending", "upstream")
        message = self._carrier.message
        body = message.body() if self._lines is None else _first_lines(message.body(), self._lines)
        text = chain([message.headers.original], body)
        rest = partial(talk.take_turns, "client")
        self._pump = Pump(talk.client, _gathered(self._reply, text), self._finished, rest)
        self._pump.run()

    def _refuse(self, decision: Decision) -> None:
        talk = self.talk
        octets = words.refusal(decision, talk.session.id)
        talk.ledger.say(octets)
        talk.finish(self._transaction, words.outcome(decision), words.reply(octets), decision)
        self.dropped()
        self._lost = b""
        self._raw = []
        self._take = self._swallow
        if isinstance(decision.verdict, Close):
            talk.end(f"closed by {decision.plugin}")
        elif self._ended:
            talk.settle()

    def _finished(self) -> None:
        """All of it has been said."""
        talk = self.talk
        self.dropped()
        talk.finish(self._transaction, "accepted", words.reply(self._reply))
        talk.settle()
        talk.release("sending", "upstream")


def _gathered(line: bytes, text: Iterator[bytes]) -> Iterator[bytes]:
    """A reply's line and its text, stuffed and ended, in pieces worth a write each."""
    writer = DotWriter()
    held, size = [line], len(line)
    for piece in text:
        held.append(writer.write(piece))
        size += len(piece)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    held.append(writer.end())
    yield b"".join(held)


def _first_lines(body: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """The first lines of a body."""
    for piece in body:
        here = sz.count(piece, b"\n")
        if here < lines:
            lines -= here
            yield piece
            continue
        end = 0
        for _ in range(lines):
            end = piece.index(b"\n", end) + 1
        yield piece[:end]
        return
