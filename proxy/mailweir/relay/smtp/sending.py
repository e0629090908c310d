"""A text that doesn't leave as it came goes up: by DATA, stuffed again, or by BDAT (RFC 3030).

Until its end has gone up the client may still leave, and then the connection is cut: a message whose
sender was told nothing would come a second time. For the same reason it may still be called back: by BDAT
upstream forgets at RSET what it has, by DATA only when the connection ends (RFC 5321 3.8).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial

from mailweir.relay.carry import Pump
from mailweir.relay.smtp import words
from mailweir.relay.smtp.ending import expect_end
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.wire.smtp import Reply
from mailweir.wire.smtp_text import DotWriter

CHUNK = 64 * 1024
"""Octets that are collected before they leave as a chunk, so that who drips doesn't make a command an octet."""

UNDER_WAY = 8
"""Chunks that upstream has yet to answer at which the client waits for all these answers."""


class Sending(ABC):
    """One text on its way up: `start` with what is here, then `write` and `end`; or `abandon`.

    `refused` is called with upstream's no, once, before the end has gone up. The client is held as long as
    upstream doesn't take more, so nothing is written meanwhile.
    """

    __slots__ = ("_mail", "_refused", "_talk", "_whole")

    def __init__(self, talk: Talk, mail: Mail, refused: Callable[[bytes], None]) -> None:
        self._talk = talk
        self._mail = mail
        self._refused = refused
        self._whole = False

    @abstractmethod
    def start(self, pieces: Iterator[bytes], size: int, *, whole: bool) -> None:
        """Begin with these `size` octets; `whole`: that is all of it, end included."""

    @abstractmethod
    def write(self, octets: bytes) -> None:
        """The next piece."""

    @abstractmethod
    def end(self) -> None:
        """Upstream may have the message."""

    @abstractmethod
    def abandon(self, reason: str) -> None:
        """Upstream must not have it."""

    def _run(self, pieces: Iterator[bytes]) -> None:
        talk = self._talk
        assert talk.upstream is not None
        talk.session.state = "sending"
        talk.unfinished = True
        talk.keeps_waiting = False
        talk.hold("sending")
        talk.early = self._turned_down
        talk.pump = Pump(talk.upstream, pieces, self._sent, partial(talk.take_turns, "upstream"))
        talk.pump.run()

    def _turned_down(self, reply: bytes) -> None:
        """Upstream has heard enough in the middle of what it was to hear."""
        talk = self._talk
        talk.pump = None
        self._mail.amid_data = False
        talk.orphan("upstream refused a text before its end")
        self._refused(reply)
        talk.release("sending")

    def _sent(self) -> None:
        talk = self._talk
        talk.pump = None
        if self._whole:
            self._ended()
        else:
            talk.session.state = "text"
            talk.unfinished = self._mail.amid_data or talk.taker is not None
            if not self._mail.amid_data:
                talk.early = None
            self._more()
        talk.release("sending")

    def _more(self) -> None:
        """What was here has gone up, and more will follow."""

    def _ended(self) -> None:
        """All of it has gone up."""
        self._mail.close()
        expect_end(self._talk, self._mail)


class ByData(Sending):
    """Stuffed again, behind a 354 that the client never sees."""

    __slots__ = ("_stored", "_writer")

    def start(self, pieces: Iterator[bytes], size: int, *, whole: bool) -> None:
        self._whole = whole
        self._stored = pieces
        self._writer = DotWriter()
        self._mail.amid_data = True
        self._talk.unfinished = True
        self._talk.session.state = "sending"
        self._talk.forward(b"DATA\r\n", Awaited("DATA", self._answered, hidden=True), barrier=True)

    def write(self, octets: bytes) -> None:
        assert self._talk.upstream is not None
        self._talk.upstream.write(self._writer.write(octets))

    def end(self) -> None:
        assert self._talk.upstream is not None
        self._talk.upstream.write(self._writer.end())
        self._ended()

    def abandon(self, reason: str) -> None:
        if self._mail.amid_data:
            self._mail.amid_data = False
            self._talk.orphan(reason)

    def _answered(self, reply: Reply) -> None:
        talk = self._talk
        if reply.code == 354:
            talk.hold("sending")
            talk.settle(b"")
            self._run(self._stuffed(self._stored))
            return
        talk.ledger.settle()
        if reply.code < 400:  # who knows what it takes the next octets for
            self.abandon("DATA was answered neither with 354 nor with a refusal")
        self._mail.amid_data = False
        self._refused(talk.words(words.LOCAL_ERROR) if reply.code < 400 else reply.raw)
        talk.quiet()

    def _stuffed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield self._writer.write(piece)
        if self._whole:
            yield self._writer.end()

    def _ended(self) -> None:
        self._mail.amid_data = False
        super()._ended()


class ByBdat(Sending):
    """In chunks of our own. The last one goes up once upstream has accepted those before it."""

    __slots__ = ("_complete", "_held", "_over", "_unanswered")

    def __init__(self, talk: Talk, mail: Mail, refused: Callable[[bytes], None]) -> None:
        super().__init__(talk, mail, refused)
        self._held = bytearray()
        self._unanswered = 0
        self._complete = False
        self._over = False

    def start(self, pieces: Iterator[bytes], size: int, *, whole: bool) -> None:
        self._whole = whole
        if not whole and size < CHUNK:
            for piece in pieces:
                self._held += piece
            return
        self._soon(partial(self._stored, pieces, size))

    def write(self, octets: bytes) -> None:
        self._held += octets
        if len(self._held) >= CHUNK:
            self._soon(self._chunk)

    def end(self) -> None:
        self._complete = True
        if self._unanswered:
            self._talk.hold("sending")
        else:
            self._soon(self._last)

    def abandon(self, reason: str) -> None:
        self._over = True
        self._held.clear()

    def _soon(self, then: Callable[[], None]) -> None:
        """At once, or behind a reminder of ours (`timers`) where upstream takes one command at a time."""

        def unless_lost() -> None:
            if self._talk.mail is self._mail:
                then()

        if self._talk.pipelines:
            then()
        else:
            self._talk.when_quiet(unless_lost)

    def _stored(self, pieces: Iterator[bytes], size: int) -> None:
        self._announce(size, last=self._whole)
        self._run(pieces)

    def _chunk(self) -> None:
        self._announce(len(self._held))
        self._flush()
        self._more()

    def _announce(self, size: int, *, last: bool = False) -> None:
        assert self._talk.upstream is not None
        self._talk.upstream.write(b"BDAT %d%s\r\n" % (size, b" LAST" if last else b""))

    def _flush(self) -> None:
        assert self._talk.upstream is not None
        if self._held:
            self._talk.upstream.write(bytes(self._held))
            self._held.clear()

    def _more(self) -> None:
        talk = self._talk
        self._unanswered += 1
        talk.expect(Awaited("BDAT", self._answered, hidden=True))
        if not talk.pipelines or self._unanswered >= UNDER_WAY:
            talk.hold("turn")

    def _last(self) -> None:
        self._announce(len(self._held), last=True)
        self._flush()
        self._ended()

    def _answered(self, reply: Reply) -> None:
        talk = self._talk
        self._unanswered -= 1
        if self._over or talk.mail is not self._mail:
            talk.settle(b"")
            return
        talk.hold("sending")  # else the end of the text might be read, and go up, before this no is heard
        talk.settle(b"")
        if not reply.positive:
            self._refused(reply.raw)
        elif self._complete and not self._unanswered:
            self._last()
        else:
            talk.keeps_waiting = not talk.ledger
        if self._over or not self._complete or not self._unanswered:
            talk.release("sending")
