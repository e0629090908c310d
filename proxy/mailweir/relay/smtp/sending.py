"""A text that was judged first goes up: by DATA, stuffed again, or by BDAT (RFC 3030).

Until its end has gone up the client may still leave, and then the connection is cut: a message whose
sender was told nothing would come a second time.
"""

from collections.abc import Callable, Iterator
from functools import partial

from mailweir.relay.carry import Pump
from mailweir.relay.smtp import words
from mailweir.relay.smtp.ending import conclude, expect_end
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.wire.smtp import Reply, Text
from mailweir.wire.smtp_text import DotWriter


class Sending:
    """`streams`: what was here has gone up, and the rest of the text follows as the client sends it."""

    __slots__ = ("_mail", "_refused", "_talk", "_whole", "streams")

    def __init__(self, talk: Talk, mail: Mail) -> None:
        self._talk = talk
        self._mail = mail
        self._whole = True
        self._refused: Callable[[bytes], None] = partial(conclude, talk)
        self.streams = False

    def data(self, refused: Callable[[bytes], None], *, whole: bool) -> None:
        """Begin with DATA; `whole`: all of the text is here. `refused` is called with upstream's no."""
        self._whole = whole
        self._refused = refused
        self._talk.session.state = "sending"
        slot = Awaited("DATA", self._answered, hidden=True)
        self._talk.forward(b"DATA\r\n", slot, barrier=True)

    def bdat(self) -> None:
        """Send the text, which is all here, as one chunk."""
        talk, mail = self._talk, self._mail
        assert talk.upstream is not None and mail.transaction.message is not None
        talk.session.state = "sending"
        talk.hold("sending")
        talk.keeps_waiting = False
        talk.upstream.write(b"BDAT %d LAST\r\n" % mail.transaction.message.leaving)
        self._run(mail.transaction.message.pieces())

    def more(self, event: Text) -> None:
        """The next piece of a text whose header was judged; it is stuffed already."""
        assert self._talk.upstream is not None
        self._talk.upstream.write(event.raw)
        if event.end:
            expect_end(self._talk, self._mail)

    def _answered(self, reply: Reply) -> None:
        talk = self._talk
        if reply.code == 354:
            assert self._mail.transaction.message is not None
            talk.hold("sending")
            talk.settle(b"")
            self._run(self._stuffed(self._mail.transaction.message.pieces()))
            return
        talk.ledger.settle()
        if reply.code < 400:  # who knows what it takes the next octets for
            talk.orphan("DATA was answered neither with 354 nor with a refusal")
        self._refused(talk.words(words.LOCAL_ERROR) if reply.code < 400 else reply.raw)
        talk.quiet()

    def _stuffed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        writer = DotWriter()
        for piece in pieces:
            yield writer.write(piece)
        if self._whole:
            yield writer.end()

    def _run(self, pieces: Iterator[bytes]) -> None:
        assert self._talk.upstream is not None
        self._talk.early = self._turned_down
        self._talk.pump = Pump(
            self._talk.upstream, pieces, self._sent, partial(self._talk.take_turns, "upstream")
        )
        self._talk.pump.run()

    def _turned_down(self, reply: bytes) -> None:
        """Upstream has heard enough before it had heard all."""
        talk = self._talk
        talk.pump = None
        talk.orphan("upstream refused a text before its end")
        self._refused(reply)
        talk.release("sending")

    def _sent(self) -> None:
        talk = self._talk
        talk.pump = None
        self._mail.close()
        if self._whole:
            expect_end(talk, self._mail)
        else:
            self.streams = True
            talk.session.state = "text"
        talk.release("sending")
