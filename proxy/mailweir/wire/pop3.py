r"""POP3 on the wire (RFC 1939, 2449, 5034): command lines one way, replies and texts the other.

Frames only. Whether a reply is followed by a text depends on the command and on `+OK`, so the relay says
so when it has seen the reply's line: it calls `text`. A client's line ends at CRLF or at a bare LF, as
servers read it, and goes on with CRLF; so does a reply's line. A text ends at CRLF . CRLF and at nothing
else. A CR inside a line, or a NUL, is refused: the two sides could read such a line differently.

Memory: one line, and four octets of a text.
"""

from mailweir.wire.buffer import Buffer
from mailweir.wire.dots import DotReader
from mailweir.wire.errors import ProtocolError

COMMAND = 1024
"""Octets of a command line with its end. RFC 2449 4 says 255; names and passwords may be longer."""

SASL = 12288
"""Octets of a line that carries SASL (RFC 4954 4), `AUTH` with an initial response included."""

REPLY = SASL + 4
"""Octets of a reply's line. RFC 1939 3 says 512, but `+ ` may carry a SASL challenge."""

TERMINATOR = b".\r\n"


class Command:
    """One command line. `raw` is what came, `line` what goes on; `verb` in capitals.

    `arguments` is everything behind the first space, trailing blanks included: a password may hold them.
    """

    __slots__ = ("arguments", "line", "raw", "verb")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.line = _whole(raw)
        verb, _, self.arguments = self.line[:-2].partition(b" ")
        self.verb = verb.upper().decode("latin-1")

    def __repr__(self) -> str:
        return f"<command of {len(self.raw)} octets>"  # a password may stand where a verb should

    def rewritten(self, arguments: bytes) -> "Command":
        """The same verb, as the client wrote it, with other arguments; `ValueError` if they hold CR, LF, NUL."""
        if any(octet in arguments for octet in (b"\r", b"\n", b"\0")):
            raise ValueError("CR, LF or NUL in the arguments of a command")
        verb = self.line[:-2].partition(b" ")[0]
        return Command(verb + (b" " + arguments if arguments else b"") + b"\r\n")


class Response:
    """A client's line in a SASL dialogue (RFC 5034 4): base64, or `*`. Never a command, never to be logged."""

    __slots__ = ("line", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.line = _whole(raw)

    def __repr__(self) -> str:
        return "<response>"


class Reply:
    """The line of a reply: `+OK`, `-ERR`, or, in a SASL dialogue only, `+` with a challenge."""

    __slots__ = ("line", "ok", "prompt", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.line = _whole(raw)
        status = self.line[:4].upper()
        self.ok = status[:3] == b"+OK"
        self.prompt = not self.ok and status[:1] == b"+" and status[1:2] in (b" ", b"\r")
        if not (self.ok or self.prompt or status == b"-ERR"):
            raise ProtocolError("neither +OK nor -ERR", fatal=True)

    def __repr__(self) -> str:
        return "<+OK>" if self.ok else "<+>" if self.prompt else "<-ERR>"


class Text:
    """A piece of a text, still stuffed. `last`: the terminator followed; `raw` includes it."""

    __slots__ = ("last", "octets")

    def __init__(self, octets: bytes, last: bool) -> None:
        self.octets = octets
        self.last = last

    @property
    def raw(self) -> bytes:
        return self.octets + TERMINATOR if self.last else self.octets

    def __repr__(self) -> str:
        return f"<{'last ' if self.last else ''}text, {len(self.octets)} octets>"


class _Reader:
    """Lines, and texts when told."""

    def __init__(self) -> None:
        self._buffer = Buffer()
        self._text: DotReader | None = None

    def feed(self, data: bytes) -> None:
        """Append what was received."""
        self._buffer.feed(data)

    def text(self) -> None:
        """A text comes next; behind its end there are lines again."""
        self._text = DotReader()

    def rest(self) -> bytes:
        """What was received and not given out, for those who stop reading here."""
        return self._buffer.rest()

    @property
    def waiting(self) -> int:
        """How many octets were received and not given out."""
        return len(self._buffer)

    def _next_text(self, text: DotReader) -> Text | None:
        if not self._buffer:
            return None
        octets = b"".join(text.feed(self._buffer.rest()))
        if text.ended:
            self._text = None
            self._buffer.feed(text.rest)
        elif not octets:
            return None
        return Text(octets, text.ended)


class CommandReader(_Reader):
    """What a client says."""

    def __init__(self, limit: int = COMMAND, sasl_limit: int = SASL) -> None:
        super().__init__()
        self.limit = limit
        self.sasl_limit = sasl_limit
        self._response = False

    def response(self, expected: bool = True) -> None:
        """The next line, and only that one, belongs to a SASL dialogue."""
        self._response = expected

    def next(self) -> Command | Response | Text | None:
        """The next event; None: feed me more. `ProtocolError` for a line that is skipped."""
        if self._text is not None:
            return self._next_text(self._text)
        buffer = self._buffer
        wide = self._response or buffer.peek(5).upper() == b"AUTH "
        raw = buffer.line(self.sasl_limit if wide else self.limit, b"\n")
        if raw is None:
            return None
        if b"\r" in raw[:-2] or b"\0" in raw:
            raise ProtocolError("CR or NUL in a line")
        if self._response:
            self._response = False
            return Response(raw)
        return Command(raw)


class ReplyReader(_Reader):
    """What a server says."""

    def __init__(self, limit: int = REPLY) -> None:
        super().__init__()
        self.limit = limit
        self._open = False

    def open(self, yes: bool = True) -> None:
        """Nobody knows where this reply ends: give octets as they come, until told otherwise."""
        self._open = yes

    def next(self) -> Reply | Text | bytes | None:
        """The next event; None: feed me more. `ProtocolError` if this is not POP3; reading ends there."""
        if self._text is not None:
            return self._next_text(self._text)
        if self._open:
            return self._buffer.rest() or None
        raw = self._buffer.line(self.limit, b"\n")
        return None if raw is None else Reply(raw)


def _whole(raw: bytes) -> bytes:
    """A line as it goes on: with CRLF."""
    return raw if raw.endswith(b"\r\n") else raw[:-1] + b"\r\n"
