"""A message's text in pieces cut anywhere: CR and LF that stand alone found or mended, and dot-stuffed.

`dots` knows how a text ends on the wire and works on pieces as `DotReader` gives them. Here pieces may
come from anywhere: from a chunk of BDAT, or from the spool with an edited header in front.
"""

import re

import stringzilla as sz

from mailweir.wire.dots import CRLF, stray, stuff


class Strays:
    """Finds a CR or LF that stands alone (RFC 5321 2.3.8), also where it is cut from its other half.

    >>> strays = Strays()
    >>> strays.found(b"a\\r"), strays.found(b"\\nb\\r"), strays.found(b"c")
    (False, False, True)
    """

    __slots__ = ("_cr",)

    def __init__(self) -> None:
        self._cr = False

    def found(self, piece: bytes, *, end: bool = False) -> bool:
        """Tell whether there is one in this piece; `end`: no other piece follows."""
        if self._cr:
            piece = b"\r" + piece
        self._cr = not end and piece.endswith(b"\r")
        return stray(piece[:-1] if self._cr else piece)


class HiddenEnds:
    r"""Finds a line that is nothing but a dot, save for octets that some servers overlook.

    NUL before the dot; NUL, blanks, control characters behind it. A dot at the start of a stuffed line
    that is no end has another one behind it (RFC 5321 4.5.2), so who stuffs never sends such a line.

    >>> ends = HiddenEnds()
    >>> ends.found(b"a\r\n. ", stuffed=True), ends.found(b"\t\r\n", stuffed=True)
    (False, True)
    """

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = b"\n"  # what the unfinished line has in common with such a one, shortened

    def found(self, piece: bytes, *, stuffed: bool) -> bool:
        """Tell whether one ends in this piece. Not `stuffed`: a dot that begins a line will be stuffed."""
        text = self._begun + piece
        if piece.endswith(b"\n"):
            self._begun = b"\n"
        else:
            begun = _BEGUN.fullmatch(text, max(text.rfind(b"\n"), 0))
            self._begun = b"" if begun is None else b"\n" + b"".join(part[-1:] for part in begun.groups(b""))
        if b"\0" not in text and not (stuffed and sz.find(text, b"\n.") >= 0):
            return False
        return (_HIDDEN if stuffed else _BEHIND_NUL).search(text) is not None


class Mender:
    r"""Makes CRLF of each LF that stands alone. What a CR alone was meant for nobody knows (RFC 5321 2.3.8).

    What comes out is never cut between CR and LF, so it can be dot-stuffed by the lines it has now.

    >>> mender = Mender()
    >>> mender.mend(b"a\n.\r"), mender.mend(b"\nb\r"), mender.mend(b"c", end=True)
    (b'a\r\n.', b'\r\nb', None)
    """

    __slots__ = ("_cr",)

    def __init__(self) -> None:
        self._cr = False

    def mend(self, piece: bytes, *, end: bool = False) -> bytes | None:
        """What leaves for `piece`, or None if a CR stands alone; a CR at its end is kept until the next.

        `end`: no other piece follows.
        """
        if self._cr:
            piece = b"\r" + piece
        self._cr = not end and piece.endswith(b"\r")
        if self._cr:
            piece = piece[:-1]
        pairs: int = sz.count(piece, CRLF)
        if sz.count(piece, b"\r") != pairs:
            return None
        if sz.count(piece, b"\n") == pairs:
            return piece
        return piece.replace(CRLF, b"\n").replace(b"\n", CRLF)


class DotWriter:
    """Stuffs a text and ends it (RFC 5321 4.5.2, 4.1.1.4).

    >>> writer = DotWriter()
    >>> writer.write(b"a\\r") + writer.write(b"\\n.b") + writer.end()
    b'a\\r\\n..b\\r\\n.\\r\\n'
    """

    __slots__ = ("_cr", "_line_start")

    def __init__(self) -> None:
        self._cr = False
        self._line_start = True

    def write(self, piece: bytes) -> bytes:
        """What leaves for `piece`; a CR at its end is kept until the next."""
        if self._cr:
            piece = b"\r" + piece
        self._cr = piece.endswith(b"\r")
        if self._cr:
            piece = piece[:-1]
        if not piece:
            return b""
        start, self._line_start = self._line_start, piece.endswith(CRLF)
        return stuff(piece, at_line_start=start)

    def end(self) -> bytes:
        """The end; a last line without CRLF gets one (RFC 3030 can carry such a text, DATA can't)."""
        held = b"\r" if self._cr else b""
        return held + (b".\r\n" if self._line_start and not held else b"\r\n.\r\n")


def stuffing(text: bytes, *, at_line_start: bool) -> int:
    """How many dots of a stuffed text its sender has put there (RFC 5321 4.5.2).

    >>> stuffing(b"..\\r\\n..a\\r\\n", at_line_start=True)
    2
    """
    dots: int = sz.count(text, b"\r\n.")
    return dots + (at_line_start and text.startswith(b"."))


_OVERLOOKED = rb"(?:[\0-\x09\x0b\x0c\x0e-\x20\x7f]|\xc2?[\x85\xa0])"
_BEGUN = re.compile(rb"\n(\0*+)(?:(\.)(" + _OVERLOOKED + rb"*+\xc2?))?+")
_HIDDEN = re.compile(rb"\n\0*+\." + _OVERLOOKED + rb"*+\r")
_BEHIND_NUL = re.compile(rb"\n\0++\." + _OVERLOOKED + rb"*+\r")
