"""SMTP and LMTP as octets: commands, replies, the text of DATA, the chunks of BDAT, lines of SASL.

Only CRLF ends a line (RFC 5321 2.3.8). What a client's next octets mean depends on what upstream answers,
so the relay tells `CommandReader` when a text or a SASL line comes; only BDAT says itself what follows it.
A command line with a CR, LF or NUL in it, or that doesn't begin with a verb, is an error: servers differ
about what such a line is, and that is how a command gets past a filter. A reader that is told to `mend`
ends a line at LF, as most servers do, and gives it out with CRLF: they must see the same lines as we.

Memory: a line, or a piece of text of the size that came in, or a reply.
"""

import re
from collections.abc import Callable

from mailweir.wire.buffer import Buffer
from mailweir.wire.dots import DotReader
from mailweir.wire.errors import LineTooLong, ProtocolError

COMMAND_LINE = 4096
"""Octets of a command line, CRLF included. RFC 5321 4.5.3.1.4 says 512, plus what each extension adds."""

SASL_LINE = 12288
"""RFC 4954 4."""

REPLY_LINE = 4096
REPLY_SIZE = 64 * 1024
REPLY_LINES = 1000

_COMMAND = re.compile(rb"([A-Za-z][A-Za-z0-9-]*+)(?: ([^\r\n\0]*+))?+\r\n")
_SASL = re.compile(rb"[^\r\n\0]*+\r\n")
_CHUNK = re.compile(rb"([0-9]{1,18})(?: +(LAST))? *", re.IGNORECASE)
_REPLY = re.compile(rb"([2-5][0-9][0-9])(?:([ -])|\r\n)")


class Command:
    """One command line. `verb` is in capitals; `arguments` are the octets behind it and one SP."""

    __slots__ = ("arguments", "raw", "verb")

    def __init__(self, raw: bytes, verb: str, arguments: bytes) -> None:
        self.raw = raw
        self.verb = verb
        self.arguments = arguments

    def __repr__(self) -> str:  # arguments may be a password
        return f"<{self.verb}>"


class Bdat(Command):
    """BDAT (RFC 3030 2): `size` octets follow, as `Chunk`s, and after them the next command."""

    __slots__ = ("last", "size")

    def __init__(self, raw: bytes, arguments: bytes, size: int, last: bool) -> None:
        super().__init__(raw, "BDAT", arguments)
        self.size = size
        self.last = last


class Text:
    """A piece of the text after DATA, still dot-stuffed; `end`: it was the last one, and the dot came."""

    __slots__ = ("end", "octets")

    def __init__(self, octets: bytes, end: bool) -> None:
        self.octets = octets
        self.end = end

    @property
    def raw(self) -> bytes:
        return self.octets + b".\r\n" if self.end else self.octets


class Chunk:
    """A piece of what BDAT announced; `end`: that was all of it. An empty chunk is one empty piece."""

    __slots__ = ("end", "octets")

    def __init__(self, octets: bytes, end: bool) -> None:
        self.octets = octets
        self.end = end

    @property
    def raw(self) -> bytes:
        return self.octets


class Response:
    """A line of a SASL dialogue, whatever it looks like (RFC 4954 4). Never to be logged."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def __repr__(self) -> str:
        return "<response>"


class Reply:
    """A reply with all its lines (RFC 5321 4.2.1); `code` is that of the last one."""

    __slots__ = ("code", "raw")

    def __init__(self, raw: bytes, code: int) -> None:
        self.raw = raw
        self.code = code

    @property
    def positive(self) -> bool:
        """2yz: what was asked for is done."""
        return self.code < 300

    def __repr__(self) -> str:
        return f"<{self.code}>"


FromClient = Command | Text | Chunk | Response


class CommandReader:
    """What a client says.

    >>> reader = CommandReader()
    >>> reader.feed(b"bdat 3 last\\r\\na\\nbNOOP\\r\\n")
    >>> reader.next(), reader.next().raw, reader.next(), reader.next()
    (<BDAT>, b'a\\nb', <NOOP>, None)
    """

    __slots__ = ("_buffer", "_end", "_left", "_limit", "_read", "_text", "feed")

    def __init__(self, limit: int = COMMAND_LINE, *, mend: bool = False) -> None:
        self._buffer = Buffer()
        self._end = b"\n" if mend else b"\r\n"
        self.feed: Callable[[bytes], None] = self._buffer.feed
        self._limit = limit
        self._left = 0
        self._text = DotReader()
        self._read: Callable[[], FromClient | None] = self._command

    @property
    def pending(self) -> int:
        """Octets that were received and not read yet."""
        return len(self._buffer)

    def next(self) -> FromClient | None:
        """The next event, or None until more octets came. May raise `ProtocolError`, and go on behind it."""
        return self._read()

    def rest(self) -> bytes:
        """What was not read; the reader is empty then."""
        return self._buffer.rest()

    def only(self, verb: str) -> bool:
        """What was received and not read is this command and nothing else, but for chunks before it."""
        ahead = CommandReader(self._limit, mend=self._end == b"\n")
        if self._read == self._piece_of_chunk:
            ahead._left, ahead._read = self._left, ahead._piece_of_chunk
        elif self._read != self._command:
            return False
        ahead.feed(self._buffer.peek(len(self._buffer)))
        try:
            event = ahead.next()
            while isinstance(event, Bdat | Chunk):
                event = ahead.next()
        except ProtocolError:
            return False
        alone = isinstance(event, Command) and event.verb == verb and not event.arguments
        return alone and not ahead.pending

    def expect_text(self) -> None:
        """Upstream answered DATA with 354, or we did: a text comes next."""
        self._text = DotReader()
        self._read = self._piece_of_text

    def expect_response(self) -> None:
        """AUTH was answered with 334: the next line is a response, and after it a command again."""
        self._read = self._response

    def _command(self) -> FromClient | None:
        line = self._buffer.line(self._limit, self._end)
        if line is None:
            return None
        if not line.endswith(b"\r\n"):
            line = line[:-1] + b"\r\n"
        match = _COMMAND.fullmatch(line)
        if match is None:
            raise ProtocolError("not a command line")
        verb = match[1].decode("ascii").upper()
        if verb == "BDAT":
            return self._bdat(line, match[2] or b"")
        return Command(line, verb, match[2] or b"")

    def _bdat(self, line: bytes, arguments: bytes) -> Bdat:
        match = _CHUNK.fullmatch(arguments)
        if match is None:
            raise ProtocolError("BDAT takes a size and maybe LAST", 501, "5.5.4", fatal=True)
        self._left = int(match[1])
        self._read = self._piece_of_chunk
        return Bdat(line, arguments, self._left, match[2] is not None)

    def _piece_of_chunk(self) -> FromClient | None:
        octets = self._buffer.take(self._left)
        if not octets and self._left:
            return None
        self._left -= len(octets)
        if not self._left:
            self._read = self._command
        return Chunk(octets, not self._left)

    def _piece_of_text(self) -> FromClient | None:
        if not len(self._buffer):
            return None
        text = self._text
        octets = b"".join(text.feed(self._buffer.rest()))
        if text.ended:
            self._read = self._command
            self._buffer.feed(text.rest)
        elif not octets:
            return None
        return Text(octets, text.ended)

    def _response(self) -> FromClient | None:
        try:
            line = self._buffer.line(SASL_LINE, self._end)
        except LineTooLong:
            self._read = self._command
            raise ProtocolError("line too long", 500, "5.5.6") from None
        if line is None:
            return None
        self._read = self._command
        if not line.endswith(b"\r\n"):
            line = line[:-1] + b"\r\n"
        if not _SASL.fullmatch(line):
            raise ProtocolError("not a response", 501, "5.5.2")
        return Response(line)


class ReplyReader:
    """What a server says.

    >>> reader = ReplyReader()
    >>> reader.feed(b"250-a\\r\\n250\\r\\n354 go")
    >>> reader.next().raw, reader.next(), reader.pending
    (b'250-a\\r\\n250\\r\\n', None, 6)
    """

    __slots__ = ("_buffer", "_lines", "_size", "feed")

    def __init__(self) -> None:
        self._buffer = Buffer()
        self.feed: Callable[[bytes], None] = self._buffer.feed
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> int:
        """Octets that were received and are not part of a reply that was given."""
        return len(self._buffer) + self._size

    def next(self) -> Reply | None:
        """The next reply, or None until more octets came. `ProtocolError` if this isn't SMTP."""
        while (line := self._buffer.line(REPLY_LINE)) is not None:
            match = _REPLY.match(line)
            if match is None or line.find(b"\n") != len(line) - 1:  # a client may take LF for a line's end
                raise ProtocolError("not a reply", fatal=True)
            if match[2] != b"-":
                raw, self._size = b"".join((*self._lines, line)) if self._lines else line, 0
                self._lines = []
                return Reply(raw, int(match[1]))
            self._lines.append(line)
            self._size += len(line)
            if self._size > REPLY_SIZE or len(self._lines) >= REPLY_LINES:
                raise ProtocolError("a reply without end", fatal=True)
        if self._buffer.skipping:  # a client would wait for its end as long as upstream likes
            raise LineTooLong(REPLY_LINE)
        return None

    def rest(self) -> bytes:
        """What was not given; the reader is empty then."""
        octets = b"".join(self._lines) + self._buffer.rest()
        self._lines, self._size = [], 0
        return octets
