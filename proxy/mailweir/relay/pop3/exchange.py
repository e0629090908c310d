"""The ordinary kinds of reply beyond one line."""

from mailweir.relay.pop3 import words
from mailweir.relay.pop3.talk import Exchange, Talk
from mailweir.wire.errors import ProtocolError
from mailweir.wire.pop3 import TERMINATOR, Reply, Text

COLLECTED = 64 * 1024
"""Octets of a reply that must be in memory, a list of capabilities. Real ones have some hundred."""


class Many(Exchange):
    """A line, and behind `+OK` a text: passed on as it comes."""

    __slots__ = ("_line",)

    def __init__(self, talk: Talk, verb: str) -> None:
        super().__init__(talk, verb)
        self._line: bytes | None = None  # empty once it has been said

    def replied(self, reply: Reply) -> None:
        if not reply.ok:
            super().replied(reply)
            return
        self._line = reply.line
        reader = self.talk.from_upstream
        reader.text()
        if not reader.waiting:  # else it leaves together with the text
            self._say(b"")

    def text(self, text: Text | bytes) -> None:
        assert isinstance(text, Text)
        self._say(text.raw)
        if text.last:
            self.talk.settle()

    def lost(self) -> bytes | None:
        return None if self._line == b"" else words.LOST

    def _say(self, octets: bytes) -> None:
        self.talk.ledger.say((self._line or b"") + octets)
        self._line = b""


class Collected(Exchange):
    """A line, and behind `+OK` a text that is changed before it is passed on."""

    __slots__ = ("_line", "_text")

    def __init__(self, talk: Talk, verb: str) -> None:
        super().__init__(talk, verb)
        self._line = b""
        self._text = bytearray()

    def rewritten(self, lines: list[bytes]) -> list[bytes]:
        """The lines, each with its CRLF, as they shall go on."""
        return lines

    def replied(self, reply: Reply) -> None:
        if reply.ok:
            self._line = reply.line
            self.talk.from_upstream.text()
        else:
            super().replied(reply)

    def text(self, text: Text | bytes) -> None:
        assert isinstance(text, Text)
        self._text += text.octets
        if len(self._text) > COLLECTED:
            raise ProtocolError(f"{self.verb} answered with more than {COLLECTED} octets", fatal=True)
        if text.last:
            self.collected(bytes(self._text).splitlines(keepends=True))

    def collected(self, lines: list[bytes]) -> None:
        """All of it is here."""
        self.talk.ledger.say(b"".join([self._line, *self.rewritten(lines), TERMINATOR]))
        self.talk.settle()


class Unknown(Exchange):
    """A reply of which nobody but the client knows where it ends.

    Behind `-ERR` nothing follows. Behind `+OK` all that upstream says belongs to it, until the client, who
    knows the command, speaks again. If he spoke already, only raw octets both ways are right; but not
    before the login, whose rules he would be rid of, and not to an upstream that must be spoken to one
    command at a time: there the reply is taken for one line, and more of it for an error of upstream's.
    """

    __slots__ = ("opened",)
    prompts = True

    def __init__(self, talk: Talk, verb: str) -> None:
        super().__init__(talk, verb)
        self.opened = False

    def replied(self, reply: Reply) -> None:
        talk = self.talk
        talk.ledger.say(reply.line)
        if not (reply.ok or reply.prompt):
            talk.settle()
        elif not talk.from_client.waiting:
            self.opened = True
            self.turn = "client"
            talk.from_upstream.open()
            talk.release("reply")
        elif talk.pipelining and talk.session.state == "transaction":
            talk.ledger.abandon()
            talk.splice("unknown command")
        else:
            talk.settle()

    def text(self, text: Text | bytes) -> None:
        assert isinstance(text, bytes)
        self.talk.ledger.say(text)

    def close(self) -> None:
        """The client speaks: the reply was complete."""
        self.talk.from_upstream.open(False)
        self.talk.settle()

    def lost(self) -> bytes | None:
        return b"" if self.opened else words.LOST
