"""A lazy walk over the parts of a message, at any depth, within limits (RFC 2045, RFC 2046).

    for part in parts(message): ...

Each part is given when its header has been read; bodies are searched in pieces of 64 KiB for the
delimiters that may stand in them and for nothing else, so memory is a piece and one header, and cost a
search a piece for each open multipart. Only text is looked into, for files that hide in it (uuencode).

Who refuses messages by what is in them must see what the mail program will see. So nothing is guessed:
where programs are known to differ, and where a limit is passed, `Ambiguous` is raised.
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import stringzilla as sz

from mailweir.headers import BLOCK, Headers, HeaderTooBig, text_of
from mailweir.message import Message
from mailweir.parameters import PARAMETERS, Ambiguous, Structured, structured
from mailweir.spool import PIECE

__all__ = ["Ambiguous", "Limits", "Part", "parts"]

Packed = Literal["", "uuencode", "tnef"]

LINE = 1000
"""Octets of a delimiter line at most: 72 and whatever blanks stand behind (RFC 2046 5.1.1, RFC 5322 2.1.1)."""

MESSAGES = {"message/rfc822", "message/global", "message/news", "message/external-body"}
"""Types whose body begins with a header of its own (RFC 2046 5.2, RFC 6532 3.7)."""

IDENTITY = {"", "7bit", "8bit", "binary"}
UUENCODE = {"x-uuencode", "uuencode", "x-uue", "uue"}
TNEF = {"application/ms-tnef", "application/vnd.ms-tnef"}

_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
_BOUNDARY = re.compile(r"[!#-\[\]-~]([ !#-\[\]-~]{0,68}[!#-\[\]-~])?")
_BEGIN = re.compile(rb"\nbegin(?:-base64)? +[0-7]{3,4} +([^\r\n]{1,400})")
_NOT_BASE64 = bytes({*range(256)} - {*b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"})
_FIELDS = {"content-type", "content-transfer-encoding", "content-disposition"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may cost: nested parts, parts in all, parameters of one field."""

    depth: int = 50
    parts: int = 1000
    parameters: int = PARAMETERS


@dataclass(frozen=True, slots=True)
class Part:
    """One part. The message itself is one too, at depth 0.

    `content_type` and `disposition` are in lower case, the former "text/plain" where none is said.
    `names` are all readings of its file names, decoded, likeliest first. `packed` says that the content
    is, or may be, a container that holds files which nobody sees without unpacking it.
    """

    content_type: str
    depth: int
    parameters: Structured = field(default_factory=Structured)
    disposition: str = ""
    names: tuple[str, ...] = ()
    encoding: str = ""
    packed: Packed = ""

    @property
    def name(self) -> str:
        """The likeliest file name, or nothing."""
        return self.names[0] if self.names else ""


def parts(message: Message, limits: Limits = Limits()) -> Iterator[Part]:
    """All parts, in the order they stand. `Ambiguous` may be raised at any step."""
    return _Walk(message.body(), limits).run(message.headers)


class _Level:
    """A multipart that is open, or has been closed and may have an epilogue yet."""

    __slots__ = ("boundary", "child", "closed", "depth", "pattern")

    def __init__(self, boundary: str, depth: int, child: str) -> None:
        self.boundary = boundary.encode("ascii")
        self.pattern = b"\n--" + self.boundary
        self.depth = depth
        self.child = child  # what a part is that doesn't say (RFC 2046 5.1.5)
        self.closed = False


class _Walk:
    """`_data[_at:]` is ahead. `_at` stands on the LF before a body, a header or a delimiter.

    `room` is how many octets are taken at a time, if `pieces` are smaller.
    """

    def __init__(self, pieces: Iterable[bytes], limits: Limits, room: int = PIECE) -> None:
        self._pieces = iter(pieces)
        self._room = room
        self._limits = limits
        self._data = b"\r\n"
        self._at = 1
        self._levels: list[_Level] = []
        self._count = 0

    def run(self, headers: Headers) -> Iterator[Part]:
        part = self._part(headers, 0, "text/plain")
        while True:
            yield part
            if part.content_type in MESSAGES:
                part = self._part(Headers(self._header()), part.depth + 1, "text/plain")
                continue
            if part.content_type.startswith("multipart/"):
                self._open(part)
            elif part.content_type.startswith("text/"):
                yield from self._uuencoded(part)
            level = self._next()
            if level is None:
                return
            part = self._part(Headers(self._header()), level.depth + 1, level.child)

    def _part(self, headers: Headers, depth: int, default: str) -> Part:
        self._counted(depth)
        values = _values(headers)
        limit = self._limits.parameters
        kind = structured(values.get("content-type", ""), limit)
        disposition = structured(values.get("content-disposition", ""), limit)
        encoding = structured(values.get("content-transfer-encoding", "")).value
        content_type = kind.value or default
        if not _TYPE.fullmatch(content_type):
            if "boundary" in kind.readings or content_type.startswith(("multipart", "message")):
                raise Ambiguous("a multipart whose Content-Type is not one")
            content_type = "text/plain"  # RFC 2045 5.2
        composite = content_type.startswith("multipart/") or content_type in MESSAGES
        if content_type == "message/partial":
            raise Ambiguous("a piece of a message (message/partial)")
        if composite and encoding not in IDENTITY:
            raise Ambiguous(f"{content_type} in an encoding, which RFC 2045 6.4 forbids")
        names = (*disposition.readings.get("filename", ()), *kind.readings.get("name", ()))
        names = tuple(dict.fromkeys(name for name in names if name))
        packed: Packed = ""
        if content_type in TNEF or any(name.casefold() == "winmail.dat" for name in names):
            packed = "tnef"
        elif encoding in UUENCODE:
            packed = "uuencode"
        return Part(content_type, depth, kind, disposition.value, names, encoding, packed)

    def _counted(self, depth: int) -> None:
        self._count += 1
        if self._count > self._limits.parts:
            raise Ambiguous(f"more than {self._limits.parts} parts")
        if depth > self._limits.depth:
            raise Ambiguous(f"parts nested deeper than {self._limits.depth}")

    def _open(self, part: Part) -> None:
        """Enter a multipart."""
        readings = part.parameters.readings.get("boundary", ())
        if len(readings) != 1 or not _BOUNDARY.fullmatch(readings[0]):
            raise Ambiguous("a multipart whose boundary is missing or not one (RFC 2046 5.1.1)")
        child = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        level = _Level(readings[0], part.depth, child)
        for other in self._levels:
            if level.boundary.removesuffix(b"--") == other.boundary.removesuffix(b"--"):
                raise Ambiguous("a boundary within its own multipart")
        self._levels.append(level)

    def _next(self) -> _Level | None:
        """Go to the next part, and say whose; None at the end of all."""
        while True:
            for _ in self._body():
                pass
            if self._at == len(self._data):
                self._leave(0)
                return None
            at, closing = self._delimiter()
            self._leave(at + 1)
            level = self._levels[at]
            if level.closed:
                raise Ambiguous("a multipart that goes on behind its end")
            if not closing:
                return level
            level.closed = True

    def _leave(self, keep: int) -> None:
        """Forget the multiparts inside the outermost `keep`."""
        if not all(level.closed for level in self._levels[keep:]):
            raise Ambiguous("a multipart without end")
        del self._levels[keep:]

    def _delimiter(self) -> tuple[int, bool]:
        """Read the delimiter line ahead: its level, and whether it closes that."""
        end = self._data.find(b"\n", self._at + 1)
        while end < 0 and len(self._data) - self._at <= LINE and self._more():
            end = self._data.find(b"\n", self._at + 1)
        line = self._data[self._at + 1 : end + 1 if end >= 0 else len(self._data)]
        if self._data[self._at - 1 : self._at] != b"\r" or (end >= 0 and not line.endswith(b"\r\n")):
            raise Ambiguous("a boundary beside a CR or LF alone")
        self._at = end if end >= 0 else len(self._data)
        text = line.rstrip(b" \t\r\n") if len(line) <= LINE else b""
        for at in range(len(self._levels) - 1, -1, -1):
            delimiter = b"--" + self._levels[at].boundary
            if text in (delimiter, delimiter + b"--"):
                return at, text != delimiter
        raise Ambiguous("a line that is almost a boundary")

    def _header(self) -> bytes:
        """Read a part's header block: up to its empty line, or up to a delimiter that comes sooner."""
        while True:
            data, start = self._data, self._at + 1
            if data[start : start + 2] == b"\r\n":
                self._at = start + 1
                return b"\r\n"
            empty = sz.find(data, b"\r\n\r\n", start)
            stop = self._find(empty if empty >= 0 else len(data))
            if stop >= 0:
                self._at = stop
                return data[start : stop + 1]
            if empty >= 0:
                self._at = empty + 3
                return data[start : empty + 4]
            if len(data) - start > BLOCK:
                raise Ambiguous("a part whose header is too big")
            if not self._more():
                self._at = len(data)
                return data[start:]

    def _body(self) -> Iterator[bytes]:
        """The octets, in pieces, up to the LF before the next delimiter, or to the end."""
        keep = max((len(level.pattern) for level in self._levels), default=1) - 1
        while True:
            stop = self._find(len(self._data))
            end = stop if stop >= 0 else max(len(self._data) - keep, self._at)
            if end > self._at:
                yield self._data[self._at : end]
            self._at = end
            if stop >= 0:
                return
            if not self._more():
                if self._at < len(self._data):
                    yield self._data[self._at :]
                self._at = len(self._data)
                return

    def _find(self, end: int) -> int:
        """Where the next delimiter of any level begins, before `end`; or -1."""
        found = -1
        for level in self._levels:
            at: int = sz.find(self._data, level.pattern, self._at, end)
            if at >= 0:
                found, end = at, at + len(level.pattern)
        return found

    def _more(self) -> bool:
        """Get the next octets, at least a piece if there are so many, and drop what was read."""
        ahead = [self._data[max(self._at - 1, 0) :]]
        size = 0
        for piece in self._pieces:
            ahead.append(piece)
            size += len(piece)
            if size >= self._room:
                break
        self._at = min(self._at, 1)
        self._data = b"".join(ahead)
        return size > 0

    def _uuencoded(self, part: Part) -> Iterator[Part]:
        """The files inside a text, as parts of their own."""
        ahead = b""
        for text in _decoded(self._body(), part.encoding):
            text = ahead + text
            cut = text.rfind(b"\n")
            for begin in _BEGIN.finditer(text, 0, max(cut, 0)):
                self._counted(part.depth + 1)
                name = text_of(begin[1].strip(), "")
                yield Part("application/octet-stream", part.depth + 1, names=(name,), packed="uuencode")
            ahead = text[cut:] if cut >= 0 and len(text) - cut <= LINE else b""


def _values(headers: Headers) -> dict[str, str]:
    """The values of the fields that say what a part is, each of which may stand once."""
    block = headers.octets()
    pairs = sz.count(block, b"\r\n")
    if sz.count(block, b"\n") != pairs or sz.count(block, b"\r") != pairs or b"\0" in block:
        raise Ambiguous("a header with CR, LF or NUL alone in it")
    values: dict[str, str] = {}
    try:
        for at, line in enumerate(headers):
            if line.name in _FIELDS:
                if line.name in values:
                    raise Ambiguous(f"two fields {line.name}")
                values[line.name] = line.value
            elif not line.name and (at or not line.raw.startswith((b"From ", b">From "))):
                raise Ambiguous("a line in the header that is not a field")
    except HeaderTooBig as error:
        raise Ambiguous(str(error)) from error
    return values


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """A text without its transfer encoding, as far as it can be read, with an LF before and behind."""
    yield b"\n"
    ahead = b""
    for piece in pieces:
        piece = ahead + piece
        if encoding == "quoted-printable":
            escape = piece.rfind(b"=", -2)
            piece, ahead = (piece[:escape], piece[escape:]) if escape >= 0 else (piece, b"")
            yield binascii.a2b_qp(piece)
        elif encoding == "base64":
            piece = piece.translate(None, _NOT_BASE64)
            whole = len(piece) // 4 * 4
            piece, ahead = piece[:whole], piece[whole:]
            yield binascii.a2b_base64(piece)
        else:
            yield piece
    if encoding == "base64" and len(ahead) > 1:
        yield binascii.a2b_base64(ahead + b"==")
    yield b"\n"
