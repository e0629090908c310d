"""What is sent to make two messages of one, and a server that falls for it.

`Sloppy` ends a line and a text at everything that some server has taken for it: CR and LF in any order
and number, NUL anywhere between them, blanks behind the dot. Who wants to know whether octets can smuggle
gives them to it and counts `messages`. It is no server of sockets, so that it serves transcripts too.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from end2end.fakes import Gone, Peer, Received

BREAKS: dict[str, bytes] = {
    "nothing": b"",
    "CRLF": b"\r\n",
    "LF": b"\n",
    "CR": b"\r",
    "CRCRLF": b"\r\r\n",
    "LFCR": b"\n\r",
    "CRLFCR": b"\r\n\r",
    "LFLF": b"\n\n",
    "NUL": b"\0",
    "CR-NUL-LF": b"\r\0\n",
    "CRLF-NUL": b"\r\n\0",
    "NUL-CRLF": b"\0\r\n",
    "NEL": b"\x85",
    "NEL-in-UTF8": b"\xc2\x85",
    "VT": b"\v",
    "FF": b"\f",
}
"""What may be taken for a line's end before and behind the dot."""

DOTS: dict[str, bytes] = {
    ".": b".",
    "..": b"..",
    ".SP": b". ",
    ".TAB": b".\t",
    ".NUL": b".\0",
    "NUL.": b"\0.",
    ".VT": b".\v",
    ".FF": b".\f",
    ".NEL": b".\x85",
    ".NEL-in-UTF8": b".\xc2\x85",
    "SP.": b" .",
    ".SP.": b". .",
}

END = b"\r\n.\r\n"


def forms() -> Iterator[tuple[str, bytes]]:
    """Every mixture of the above, but for those in which RFC 5321 sees an end."""
    for before, first in BREAKS.items():
        for between, dot in DOTS.items():
            for behind, last in BREAKS.items():
                octets = first + dot + last
                if END not in octets and not (octets + b"MAIL").startswith(END[2:]):
                    yield f"{before} {between} {behind}", octets


FORMS = dict(forms())

FEW = {
    name: FORMS[name]
    for name in (
        *("LF . LF", "LF . CRLF", "CRLF . LF", "CR . CR", "CR . CRLF", "CRLF . CR", "LF . CR", "CR . LF"),
        *("CRCRLF . LF", "CRLF . CRCRLF", "LFCR . LFCR", "CRLFCR . CRLF", "LFLF . LFLF", "LF .. LF"),
        *("CR-NUL-LF . CRLF", "CRLF . CR-NUL-LF", "CRLF-NUL . CRLF", "CRLF . NUL-CRLF", "NUL-CRLF . LF"),
        *("CRLF .NUL CRLF", "CRLF NUL. CRLF", "NUL . NUL", "LF .NUL LF", "CRLF .SP CRLF", "CRLF .TAB CRLF"),
        *("CRLF .VT CRLF", "CRLF .FF CRLF", "CRLF .NEL CRLF", "CRLF .NEL-in-UTF8 CRLF", "NEL . NEL"),
        *("NEL . LF", "LF . NEL", "NEL . CRLF", "CRLF . NEL", "NEL-in-UTF8 . NEL-in-UTF8", "VT . VT"),
        *("LF .TAB LF", "CR .SP CR", "LFLF . CRLF", "CRLF . LFCR", "CRCRLF . CR", "LF .NEL CRLF"),
        *("FF . FF", "LF .SP LF", "CRLF SP. CRLF", "CRLF .SP. CRLF", "CRLF .. CRLF", "LF . nothing"),
    )
}
"""A selection for where each costs more."""


def two_in_one(form: bytes, victim: bytes = b"victim@example.org", lines: int = 1) -> bytes:
    """A text, without its end, that holds a whole second transaction behind `lines` lines and `form`."""
    return (
        b"Subject: one\r\n\r\n" + b"\r\n".join([b"hi"] * lines) + form + b"MAIL FROM:<evil@example.com>\r\n"
        b"RCPT TO:<" + victim + b">\r\nDATA\r\nSubject: two\r\n\r\nthis must not arrive by itself\r\n"
    )


@dataclass
class Sloppy:
    """One session of the sloppiest SMTP or LMTP server.

    `heard` are all octets, `commands` the lines it took for commands, `messages` the texts it took for
    messages.
    """

    lmtp: bool = False
    offers: Sequence[bytes] = (b"PIPELINING", b"8BITMIME", b"CHUNKING", b"BINARYMIME", b"ENHANCEDSTATUSCODES")
    messages: list[Received] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    heard: bytes = b""
    _waiting: bytes = b""
    _mail: Received = field(default_factory=lambda: Received(b"", [], b""))
    _in_text: bool = False
    _chunk: tuple[int, bool] | None = None

    GREETING = b"220 sloppy.example.org\r\n"

    def feed(self, octets: bytes) -> bytes:
        """Octets from its client; the replies to what they end."""
        self.heard += octets
        self._waiting += octets
        said = b""
        while (reply := self._next()) is not None:
            said += reply
        return said

    def serve(self, peer: Peer) -> None:
        """All of one connection."""
        peer.say(self.GREETING)
        while b"QUIT" not in self.commands:
            peer.more()
            octets, peer.buffer = peer.buffer, b""
            peer.say(self.feed(octets))
        raise Gone("quit")

    def _next(self) -> bytes | None:
        """The reply to the next thing that is complete, or None."""
        if self._in_text:
            return self._text()
        if self._chunk is not None:
            return self._content(*self._chunk)
        found = _LINE.match(self._waiting)
        if found is None:
            return None
        self._waiting = self._waiting[found.end() :]
        line = found[1].strip(b" \t\v\f")
        return self._command(line) if line else b""

    def _text(self) -> bytes | None:
        """`_waiting` begins with a line's end that was made up, so that the first line begins like others."""
        found = _END.search(self._waiting)
        if found is None:
            return None
        text = b"\r" + self._waiting[: found.start() + 1]
        self._mail.text = text.replace(b"\r\n.", b"\r\n")[2:]
        self._waiting = self._waiting[found.end() :]
        self._in_text = False
        return self._complete()

    def _content(self, size: int, last: bool) -> bytes | None:
        if len(self._waiting) < size:
            return None
        self._mail.text += self._waiting[:size]
        self._waiting = self._waiting[size:]
        self._chunk = None
        return self._complete() if last else b"250 2.0.0 ok\r\n"

    def _complete(self) -> bytes:
        count = len(self._mail.recipients) if self.lmtp else 1
        self._mail.acknowledged = True
        self.messages.append(self._mail)
        self._mail = Received(b"", [], b"")
        return b"250 2.6.0 stored\r\n" * count

    def _command(self, line: bytes) -> bytes:
        self.commands.append(line)
        verb = line[:4].upper()
        if verb in (b"EHLO", b"LHLO"):
            return b"250-sloppy\r\n" + b"".join(b"250-%s\r\n" % row for row in self.offers) + b"250 OK\r\n"
        if verb in (b"MAIL", b"RSET"):
            self._mail = Received(line[10:].strip(b" <>"), [], b"")
        elif verb == b"RCPT":
            self._mail.recipients.append(line[8:].strip(b" <>"))
        elif verb == b"DATA" and self._mail.recipients:
            self._in_text = True
            self._waiting = b"\n" + self._waiting
            return b"354 go on\r\n"
        elif verb == b"BDAT" and self._mail.recipients:
            words = line.upper().split()
            self._chunk = int(words[1]), words[-1] == b"LAST"
            return b""
        elif verb in (b"DATA", b"BDAT"):
            return b"503 5.5.1 no\r\n"
        elif verb == b"QUIT":
            return b"221 2.0.0 bye\r\n"
        elif verb not in (b"NOOP", b"HELO"):
            return b"500 5.5.2 what\r\n"
        return b"250 2.0.0 ok\r\n"


_LINE = re.compile(rb"([^\r\n\0]*)(?:\r\0*\n|\r|\n|\0)")
_END = re.compile(rb"[\r\n]\0*\.[\0 \t\v\f\x85\xc2]*(?:\r\0*\n|\r|\n)")
