"""What an IMAP server says (RFC 9051 7): completions, `+`, and untagged data, which mostly just passes.

Data that no relay looks at is given as plain `bytes`, in as few and as large pieces as it came in: lines
are found by searching, literals skipped by counting, nothing is made for a line. `border` tells whether a
piece ended where a response did. The few responses that mean something to a relay are events of their own.

The text of status responses is free: what looks like a literal at its end is none. Everywhere else a
`{n}` at the end of a line, outside a quoted string, is one. A bare LF ends a line and is given as CRLF; a
bare CR is refused. Memory: a line of 64 KiB of data, beyond which it is given as it comes; of what is
understood, a line of 1 MiB.
"""

import re

from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap_tokens import OUTSIDE, announced, is_tag, quoting

LINE = 1024 * 1024
LONG = 64 * 1024
_TAIL = 64
"""Octets at the end of a line in pieces that are held, so that an announced literal is seen whole."""

_WORD = re.compile(rb"[A-Za-z]+")
_UNDERSTOOD = frozenset([b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH", b"CAPABILITY", b"ENABLED"])
_STATUS = frozenset([b"OK", b"NO", b"BAD"])


class Response:
    """A line by itself; `raw` ends in CRLF."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


class Continue(Response):
    """`+`: go on (RFC 9051 7.6)."""

    __slots__ = ()


class Untagged(Response):
    """`* name ...`, for those names that mean something to a relay; `name` in capitals."""

    __slots__ = ("name",)

    def __init__(self, raw: bytes, name: str) -> None:
        super().__init__(raw)
        self.name = name


class Tagged(Response):
    """The completion of a command: `status` is OK, NO or BAD, `text` what follows it."""

    __slots__ = ("status", "tag", "text")

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.tag, _, rest = raw[:-2].partition(b" ")
        status, _, self.text = rest.partition(b" ")
        if status.upper() not in _STATUS or not is_tag(self.tag):
            raise ProtocolError("not a response", fatal=True)
        self.status = status.upper().decode()


Event = bytes | Continue | Untagged | Tagged


class ServerReader:
    """Reads one server."""

    __slots__ = ("_at", "_data", "_left", "_quoting", "_searched", "border")

    def __init__(self) -> None:
        self.border = True
        self._data: bytes | bytearray = b""
        self._at = 0
        self._searched = 0
        self._left = 0
        self._quoting = OUTSIDE

    def feed(self, data: bytes) -> None:
        if self._at == len(self._data):
            self._data, self._at, self._searched = data, 0, 0
            return
        if self._at or not isinstance(self._data, bytearray):
            self._data = bytearray(self._data[self._at :])
            self._searched = max(self._searched - self._at, 0)
            self._at = 0
        self._data += data

    def next(self) -> Event | None:
        """The next event, or None: more must be fed."""
        data, begin = self._data, self._at
        if begin == len(data):
            return None
        at = begin + self._left
        self._left = 0
        while at < len(data):  # `at` is where a physical line begins
            stop = data.find(b"\n", max(at, self._searched)) + 1
            if not stop:
                return self._give(at) if at > begin else self._unfinished(at)
            crlf = stop - 2 >= at and data[stop - 2] == 0x0D
            end = stop - 2 if crlf else stop - 1
            if data.find(b"\r", at, end) >= 0:
                raise ProtocolError("bare CR", fatal=True)
            name = self._meaning(at) if self.border else None
            if at > begin and (name is not None or not crlf):
                return self._give(at)
            if name is not None:
                return self._understood(name, at, end, stop)
            literal = self._literal(at, end) if end > at and data[end - 1] == 0x7D else None
            self._quoting = OUTSIDE
            self.border = literal is None
            if not crlf:
                self._left = literal or 0
                line = bytes(data[at:end]) + b"\r\n"
                self._advance(stop)
                return line
            at = stop + (literal or 0)
        self._left = at - len(data)
        return self._give(len(data))

    def rest(self) -> bytes:
        """What was fed and not yet read; it is gone then."""
        return self._give(len(self._data))

    def _give(self, to: int) -> bytes:
        data, begin = self._data, self._at
        self._advance(to)
        return data if not begin and to == len(data) and isinstance(data, bytes) else bytes(data[begin:to])

    def _advance(self, to: int) -> None:
        self._at = to
        if to == len(self._data):
            self._data, self._at, self._searched = b"", 0, 0

    def _meaning(self, at: int) -> str | None:
        """What the response at `at` is to a relay: `+`, a name, empty for a completion; None: data."""
        data = self._data
        if data[at] == 0x2A:
            if data[at + 1 : at + 2] != b" ":
                raise ProtocolError("not a response", fatal=True)
            word = _WORD.match(data, at + 2, at + 16)
            name = word[0].upper() if word else b""
            return name.decode() if name in _UNDERSTOOD else None
        if data[at] == 0x2B and data[at + 1 : at + 2] in (b" ", b"\r", b"\n"):
            return "+"
        return ""

    def _understood(self, name: str, at: int, end: int, stop: int) -> Event:
        raw = bytes(self._data[at:end]) + b"\r\n"
        if len(raw) > LINE:
            raise ProtocolError("line too long", fatal=True)
        self._advance(stop)
        if not name:
            return Tagged(raw)
        return Continue(raw) if name == "+" else Untagged(raw, name)

    def _literal(self, at: int, end: int) -> int | None:
        """The size of the literal that the line announces at its end."""
        literal = announced(bytes(self._data[max(at, end - _TAIL) : end]))
        if literal is None or quoting(bytes(self._data[at:end]), self._quoting) != OUTSIDE:
            return None
        return literal.size

    def _unfinished(self, at: int) -> bytes | None:
        """The line at `at` has not ended yet. If it is long, and data, give what is there."""
        data = self._data
        self._searched = size = len(data)
        if size - at <= LONG:
            return None
        if self.border and self._meaning(at) is not None:
            if size - at > LINE:
                raise ProtocolError("line too long", fatal=True)
            return None
        self.border = False
        piece = self._give(size - _TAIL)
        if b"\r" in piece:
            raise ProtocolError("bare CR", fatal=True)
        self._quoting = quoting(piece, self._quoting)
        return piece
