"""The text of a message as DATA, RETR and TOP carry it: octets up to CRLF . CRLF.

Knows the dot and CRLF and nothing else: no lines, no header, no limits. What comes in goes out in the
pieces it came in, still stuffed; who wants to look inside calls `unstuff`. Memory: four octets.

Only CRLF . CRLF ends a text (RFC 5321 4.1.1.4, RFC 1939 3). Everything looser - LF . LF, CR . CR, and
the rest - is how one message is made to look like two, so `stray` finds such octets before they go
anywhere.
"""

from collections.abc import Iterator

import stringzilla as sz

CRLF = b"\r\n"
END = b"\r\n.\r\n"


class DotReader:
    """Reads one text, then stops: `ended` turns true and `rest` holds what came behind it.

    >>> text = DotReader()
    >>> list(text.feed(b"Hi\\r\\n..two\\r\\n.\\r")), text.ended
    ([b'Hi\\r\\n..two'], False)
    >>> list(text.feed(b"\\nQUIT\\r\\n")), text.ended, text.rest
    ([b'\\r\\n'], True, b'QUIT\\r\\n')
    """

    __slots__ = ("_held", "_unseen", "ended", "rest")

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        # The CRLF of the command or reply line before the text counts as the first one: a text that
        # begins with ". CRLF" is empty. It is searched, but never given out.
        self._held = CRLF
        self._unseen = len(CRLF)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the octets of the text in `data`, held ones first; nothing more once `ended`."""
        if self._held:
            data = self._held + data
        at = sz.find(data, END)
        if at >= 0:
            self.ended = True
            self.rest = data[at + len(END) :]
            text, self._held = data[: at + len(CRLF)], b""  # that CRLF ends the last line
        else:
            keep = _begun(data)
            text, self._held = (data[:-keep], data[-keep:]) if keep else (data, b"")
        if self._unseen and text:
            text, self._unseen = text[self._unseen :], 0
        if text:
            yield text


def stray(text: bytes) -> bool:
    """Tell whether a CR or LF stands alone in `text` (RFC 5321 2.3.8: neither may).

    A CR at the very end counts as alone: feed pieces that `DotReader` gave. It holds a CR back until the
    next octet is here, so a piece ends there only before another CR.
    """
    pairs: int = sz.count(text, CRLF)
    return bool(sz.count(text, b"\n") != pairs or sz.count(text, b"\r") != pairs)


def unstuff(text: bytes, *, at_line_start: bool) -> bytes:
    """Take the dot away that the sender put before a dot at the start of a line (RFC 5321 4.5.2)."""
    text = text.replace(b"\r\n.", CRLF)
    return text[1:] if at_line_start and text.startswith(b".") else text


def stuff(text: bytes, *, at_line_start: bool) -> bytes:
    """The reverse of `unstuff`."""
    text = text.replace(b"\r\n.", b"\r\n..")
    return b"." + text if at_line_start and text.startswith(b".") else text


def _begun(data: bytes) -> int:
    """How many octets at the end of `data` may be the beginning of END."""
    if data[-1:] in (b"\r", b"\n", b"."):
        for size in range(len(END) - 1, 0, -1):
            if data.endswith(END[:size]):
                return size
    return 0
