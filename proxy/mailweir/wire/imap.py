"""What an IMAP client says: commands, their literals, and the lines of dialogues (RFC 9051 2.2.1, 4.3).

A unit is a physical line, continued by a literal and another line as long as the line ends in one:

    tag SP command [SP arguments] CRLF
    tag SP command SP ... {5} CRLF  5 octets  ... CRLF

Behind a synchronising literal the reader stops: whether octets or a new command follow is decided by
upstream's answer, so the relay says `literal_follows` or `unit_over`. While `dialogue` is set (a SASL
exchange, IDLE) lines have no tag and no literals. Memory: one line; literals come in pieces as they came.

A bare LF ends a line, as servers read it, and leaves as CRLF. A line that could be read in two ways -
holding CR or NUL, or ending in something like a literal where none may stand - has a `fault`, and should
be answered BAD without going anywhere.
"""

from mailweir.wire.buffer import Buffer
from mailweir.wire.errors import LineTooLong, ProtocolError
from mailweir.wire.imap_tokens import OUTSIDE, Literal, announced, is_atom, is_tag, nearly_announced, quoting

LINE = 64 * 1024
"""Octets of one line at most. Servers should take 8192 (RFC 7162 4); Dovecot takes 65536."""

BEFORE_LOGIN = 16 * 1024
"""Octets of one command with its literals at most, as long as nobody has logged in."""

CRLF = b"\r\n"


class Line:
    """One physical line. `raw` is what came, `text` the same without its end."""

    __slots__ = ("fault", "literal", "raw", "text")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.text = raw[:-2] if raw.endswith(CRLF) else raw[:-1]
        self.literal: Literal | None = None
        self.fault = ""

    @property
    def before(self) -> bytes:
        """The text up to the literal."""
        return self.text[: len(self.text) - self.literal.length] if self.literal else self.text

    @property
    def octets(self) -> bytes:
        """As it leaves: with CRLF, and its literal made synchronising (RFC 7888 3).

        A server may read on behind a non-synchronising literal of a command it doesn't like, and run what
        stands there. Where it waits for octets, it says so.
        """
        literal = self.literal
        if literal is not None and not literal.sync:
            return self.text[:-2] + b"}" + CRLF
        return self.raw if len(self.raw) - len(self.text) == 2 else self.text + CRLF


class CommandLine(Line):
    """The first line of a unit.

    `name` is the command in capitals, with its second word for UID; empty if there is none. `at` is where
    in `text` the arguments begin. `tag` is empty if the line begins with none.
    """

    __slots__ = ("at", "name", "tag")

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        tag, _, rest = self.text.partition(b" ")
        word = rest.partition(b" ")[0]
        self.at = len(tag) + 1 + len(word) + 1
        self.tag = tag if is_tag(tag) else b""
        self.name = word.upper().decode() if is_atom(word) else ""
        if self.name == "UID":
            second = self.text[self.at :].partition(b" ")[0]
            self.at += len(second) + 1
            self.name = "UID " + second.upper().decode() if is_atom(second) else ""

    @property
    def arguments(self) -> bytes:
        """What stands behind the name, up to the first literal."""
        return self.before[self.at :]

    def head(self, name: str = "") -> bytes:
        """Tag and name, as spelt if it is still the same."""
        if name in ("", self.name):
            return self.text[: self.at].rstrip(b" ")
        return self.tag + b" " + name.encode()

    def replaced(self, arguments: bytes, name: str = "") -> "CommandLine":
        """The same command with other arguments up to the first literal, or another one with them."""
        head = self.head(name)
        literal = self.text[len(self.before) :]
        blank = b" " if arguments or literal else b""
        line = CommandLine(head + blank + arguments + literal + CRLF)
        line.literal = self.literal
        return line


class Octets:
    """A piece of a literal; `last` if none follows. The piece may be empty."""

    __slots__ = ("last", "raw")

    def __init__(self, raw: bytes, last: bool) -> None:
        self.raw = raw
        self.last = last


Event = Line | Octets


class ClientReader:
    """Reads one client.

    `limit` bounds the octets of a whole unit, 0 does not; going beyond it is fatal, and so is whatever
    else makes it unclear where the next command begins.
    """

    __slots__ = ("_buffer", "_first", "_left", "_stopped", "_unit", "dialogue", "limit")

    def __init__(self, limit: int = BEFORE_LOGIN) -> None:
        self.limit = limit
        self.dialogue = False
        self._buffer = Buffer()
        self._first = True
        self._left = -1
        self._stopped: Literal | None = None
        self._unit = 0

    def feed(self, data: bytes) -> None:
        self._buffer.feed(data)

    def next(self) -> Event | None:
        """The next event, or None: more must be fed, or the relay must say how to go on."""
        if self._left >= 0:
            return self._octets()
        if self._stopped is not None:
            return None
        try:
            raw = self._buffer.line(LINE, b"\n")
        except LineTooLong as error:
            raise ProtocolError(error.text, fatal=True) from None
        if raw is None:
            return None
        if self.dialogue:
            line = Line(raw)
            _refuse_controls(line)
            return line
        line = CommandLine(raw) if self._first else Line(raw)
        self._look_behind(line)
        return line

    def rest(self) -> bytes:
        """What was fed and not yet read; it is gone then."""
        return self._buffer.rest()

    def literal_follows(self) -> None:
        """The client will hear `+`: its literal comes next."""
        assert self._stopped is not None
        self._left, self._stopped = self._stopped.size, None

    def unit_over(self) -> None:
        """The client will hear no `+`: the next line is a new command."""
        self._stopped = None
        self._first = True
        self._unit = 0

    def _octets(self) -> Octets | None:
        piece = self._buffer.take(self._left)
        if not piece and self._left:
            return None
        self._left -= len(piece)
        if self._left:
            return Octets(piece, False)
        self._left = -1
        return Octets(piece, True)

    def _look_behind(self, line: Line) -> None:
        """Find out what follows the line."""
        text = line.text
        literal = None
        _refuse_controls(line)
        if text.endswith(b"}"):
            literal = announced(text)
            near = nearly_announced(text)
            if near is not None and quoting(text) != OUTSIDE:
                line.fault, literal = "literal in a quoted string", None
            elif near is not None and not (literal and _may_stand(text[: -literal.length])):
                if near:
                    raise ProtocolError("literal out of place", fatal=True)
                line.fault, literal = "literal out of place", None
        if literal is None:
            self.unit_over()
            return
        line.literal = literal
        self._first = False
        self._unit += len(line.raw) + literal.size
        if self.limit and self._unit > self.limit:
            raise ProtocolError("too much before login", fatal=True)
        if literal.sync:
            self._stopped = literal
        else:
            self._left = literal.size


def _may_stand(before: bytes) -> bool:
    """A literal may stand behind `before`: a token has ended there, or a list or section begun."""
    return before[-1:] in (b" ", b"(", b"[")


def _refuse_controls(line: Line) -> None:
    if b"\r" in line.text or b"\0" in line.text:
        line.fault = "CR or NUL in a line"
