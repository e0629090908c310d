r"""The header block of a message: fields as byte ranges, edits as splices.

Nothing is parsed until somebody asks, and then only the one field; nothing is generated but what was
added. A field that nobody touched leaves with its octets as they came (RFC 5322 2.2), which is what keeps
signatures of others valid. Adding a field doesn't even look at those that are there.

The block includes the empty line at its end, if the message has one. A line ends at LF, with or without
a CR before it: SMTP refuses a bare LF, but what a POP3 or IMAP server sends may hold one. What stands
behind an empty line in mid-block, which only a bare LF can make, is kept and never read.

`HeaderTooBig` is raised to whoever wants to see the fields of a block beyond `BLOCK` octets or `FIELDS`
fields, or the value of a field beyond `FIELD` octets. All work is linear in the block.
"""

import binascii
import re
from collections.abc import Iterator
from itertools import chain, islice

from mailweir.verdict import printable

BLOCK = 256 * 1024
"""Octets of a block whose fields are looked at. Postfix's header_size_limit is 100 KiB."""

FIELDS = 500
"""Fields of a block. Real mail that went through many hands has about a hundred."""

FIELD = 32 * 1024
RECEIVED = 64 * 1024
"""Octets of a field whose value is given; a Received field may have more."""

_EMPTY_LINE = re.compile(rb"(?:\A|\n)(\r?\n)")
_FIELD = re.compile(rb"[^\n]*+(?:\n[ \t][^\n]*+)*+(?:\n|\Z)")
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*+)\?=")
_CHARSET = re.compile(
    r"utf-?(7|8|16|32)([bl]e)?|(us-)?ascii|iso-?8859-\d+|(windows|cp|ibm)-?\d+|koi8-[rut]|mac-?roman"
    r"|tis-620|gb2312|gbk|gb18030|hz-gb-2312|big5(-hkscs)?|shift[-_]jis|euc-(jp|kr)|iso-2022-(jp|kr)\S{0,6}",
    re.IGNORECASE,
)


class HeaderError(ValueError):
    """A plugin asked for a field that can't stand in a message."""


class HeaderTooBig(ValueError):
    """A header beyond the limits; it may be carried, but nobody looks into it."""


class Field:
    """One field: `raw` are its octets with folding and the final CRLF, `name` is in lower case.

    `name` is empty if the line is not a field at all (RFC 5322 2.2: no colon, or an odd octet before it).
    """

    __slots__ = ("name", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        before, colon, _ = raw.partition(b":")
        name = before.rstrip(b" \t").lower()  # blanks before the colon: obs-optional, RFC 5322 4.5.8
        self.name = name.decode("ascii") if colon and _is_name(name) else ""

    @property
    def value(self) -> str:
        """The unfolded value (RFC 5322 2.2.3), not decoded; octets beyond ASCII as UTF-8 or else Latin-1."""
        if len(self.raw) > (RECEIVED if self.name == "received" else FIELD):
            raise HeaderTooBig(f"field {printable(self.name, 80)} of {len(self.raw)} octets")
        octets = self.raw.partition(b":")[2].replace(b"\r\n", b"").replace(b"\n", b"").strip()
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets.decode("latin-1")


class Headers:
    r"""The fields of one message, in order, top first.

    >>> headers = Headers(b"From: a@example.org\r\nSubject: two\r\n lines\r\n\r\n")
    >>> headers.get("subject")
    'two lines'
    >>> headers.add("X-Seen", "yes")
    >>> headers.octets()
    b'X-Seen: yes\r\nFrom: a@example.org\r\nSubject: two\r\n lines\r\n\r\n'
    """

    __slots__ = ("_above", "_below", "_came", "_end", "_sealed", "edited", "original")

    def __init__(self, original: bytes) -> None:
        self.original = original
        self.edited = False
        self._above: list[Field] = []
        self._came: list[Field] | None = None  # None: nobody looked, so they are as they came
        self._below: list[Field] = []
        self._end = -1
        self._sealed = ""

    def __iter__(self) -> Iterator[Field]:
        return chain(self._above, self._split(), self._below)

    def __len__(self) -> int:
        return len(self._above) + len(self._split()) + len(self._below)

    def get(self, name: str, default: str = "") -> str:
        """The value of the first field of that name."""
        wanted = name.lower()
        for field in self:
            if field.name == wanted:
                return field.value
        return default

    def get_all(self, name: str) -> list[str]:
        """The values of all fields of that name, top first."""
        wanted = name.lower()
        return [field.value for field in self if field.name == wanted]

    def seal(self, why: str) -> str:
        """From now on an edit is a `HeaderError` that says `why`; empty lifts that. Returns what was before."""
        before, self._sealed = self._sealed, why
        return before

    def add(self, name: str, value: str, *, top: bool = True) -> None:
        r"""Add a field, on top of the block or at its bottom; `value` may hold "\r\n " foldings.

        `HeaderError` if it could not be told from two fields, or holds NUL; and on top of a block that
        begins with a blank, which would become part of the field.
        """
        self._may_edit()
        field = Field(_line(name, value))
        if top and self.original[:1] in (b" ", b"\t"):
            raise HeaderError("the header begins with a folded line that belongs to nothing")
        if top:
            self._above.insert(0, field)
        else:
            self._below.append(field)
        self.edited = True

    def remove(self, name: str) -> int:
        """Take away all fields of that name; how many there were."""
        self._may_edit()
        wanted = name.lower()
        came = self._split()
        before = len(self)
        self._above = [field for field in self._above if field.name != wanted]
        self._came = [field for field in came if field.name != wanted]
        self._below = [field for field in self._below if field.name != wanted]
        gone = before - len(self)
        self.edited = self.edited or gone > 0
        return gone

    def replace(self, field: Field, value: str) -> None:
        """Give one field another value; its name keeps its spelling and the field its place."""
        self._may_edit()
        spelled = field.raw.partition(b":")[0].rstrip(b" \t").decode("latin-1")
        line = Field(_line(spelled, value))
        for fields in (self._above, self._split(), self._below):
            if field in fields:
                fields[fields.index(field)] = line
                self.edited = True
                return
        raise HeaderError(f"{printable(spelled, 80)} is not (or no longer) a field of this message")

    def octets(self) -> bytes:
        """The block as it leaves."""
        if not self.edited:
            return self.original
        above = b"".join([field.raw for field in self._above])
        if self._came is None and not self._below:
            return above + self.original
        end = self._ending()
        if self._came is None:
            came = self.original[:end]
        else:
            came = b"".join([field.raw for field in self._came])
        if self._below and came and not came.endswith(b"\n"):
            came += b"\r\n"
        return above + came + b"".join([field.raw for field in self._below]) + self.original[end:]

    def _may_edit(self) -> None:
        if self._sealed:
            raise HeaderError(f"this header can't be edited: {self._sealed}")

    def _ending(self) -> int:
        """Where the fields end: at the first empty line, or at the end of all."""
        if self._end < 0:
            found = _EMPTY_LINE.search(self.original)
            self._end = found.start(1) if found else len(self.original)
        return self._end

    def _split(self) -> list[Field]:
        if self._came is None:
            if len(self.original) > BLOCK:
                raise HeaderTooBig(f"a header of {len(self.original)} octets")
            lines = _FIELD.finditer(self.original, 0, self._ending())
            came = [Field(line[0]) for line in islice(lines, FIELDS + 1) if line[0]]
            if len(came) > FIELDS:
                raise HeaderTooBig(f"a header of more than {FIELDS} fields")
            self._came = came
        return self._came


def decoded(text: str) -> str:
    """`text` with its encoded words (RFC 2047) decoded, as leniently as mail programs do it.

    What can't be decoded stays as it is. Only charsets of mail are known, so that nobody chooses a slow or
    strange codec for us; octets in any other are taken as UTF-8, or else Latin-1.
    """
    if "=?" not in text:
        return text
    out: list[str] = []
    charset, octets, at = "", b"", 0
    for word in _WORD.finditer(text):
        between = text[at : word.start()]
        one = _octets_of(word[2], word[3])
        if one is None:
            continue
        if octets and (between.strip() or word[1].lower() != charset):
            out.append(text_of(octets, charset))
            octets = b""
        if between.strip() or not at:  # blanks between two words are not shown (RFC 2047 6.2)
            out.append(between)
        charset, octets, at = word[1].lower(), octets + one, word.end()
    out.append(text_of(octets, charset))
    out.append(text[at:])
    return "".join(out)


def text_of(octets: bytes, charset: str) -> str:
    """Octets in a charset that a message named; never an error."""
    if _CHARSET.fullmatch(charset):
        try:
            return octets.decode(charset, "replace")
        except LookupError:
            pass
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _octets_of(encoding: str, text: str) -> bytes | None:
    try:
        octets = text.encode("ascii")
        if encoding in "qQ":
            return binascii.a2b_qp(octets, header=True)
        return binascii.a2b_base64(octets + b"==")
    except ValueError:
        return None


def _is_name(name: bytes) -> bool:
    """RFC 5322 3.6.8: printable ASCII without the colon."""
    return bool(name) and not name.strip(_NAME_OCTETS)


_NAME_OCTETS = bytes(octet for octet in range(33, 127) if octet != ord(":"))


def _line(name: str, value: str) -> bytes:
    if not name.isascii() or not _is_name(name.encode()):
        raise HeaderError(f"not a field name: {printable(name, 80)!r}")
    try:
        line = f"{name}: {value}".encode()
    except UnicodeEncodeError:
        raise HeaderError(f"the value of {name} is not Unicode") from None
    bare = line.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    if b"\r" in bare or b"\n" in bare or b"\0" in bare:
        raise HeaderError(f"CR, LF or NUL in the value of {name}")
    return line + b"\r\n"
