"""One leg of an SMTP or LMTP session as a strict reader of RFC 5321, 2033, 3030 and 4954 keeps account of it.

Octets one way, replies the other; no code in common with the relay. Whoever plays the client or the server
in a test reads its own leg with it, and the two accounts must agree about every message.
"""

import re
from collections import deque
from dataclasses import dataclass, field

LINE = 4096
END = b"\r\n.\r\n"
_COMMAND = re.compile(rb"([A-Za-z][A-Za-z0-9-]*)(?: (.*))?", re.DOTALL)
_CHUNK = re.compile(rb"(\d{1,18})( +LAST)? *", re.IGNORECASE)
_ADDRESS = re.compile(rb": *<?([^<> \r]*)")
_NUMBER = re.compile(rb" u\d+\.")  # in every reply of `Server`
_REPLY = re.compile(rb"([2-5]\d\d)(?:[ -][^\n]*)?\r\n")
BARRIERS = ("DATA", "AUTH", "STARTTLS", "QUIT")
HELLOS = ("EHLO", "HELO", "LHLO")


def code(raw: bytes) -> int:
    """Of a reply's last line."""
    return int(raw[:-2].rpartition(b"\n")[2][:3])


@dataclass(eq=False)
class Mail:
    """One transaction: `recipients` were accepted, `text` is without dot-stuffing and chunks (`chunked`).

    `ended`: all of the text is there; `dead`: a chunk was refused, so nothing can come of it; `lost`: nor
    can it, since the server was lost; `given_up`: another was begun before it had a recipient.
    """

    sender: bytes
    binary: bool = False
    recipients: list["Asked"] = field(default_factory=list)
    text: bytes = b""
    chunked: bool = False
    ended: bool = False
    dead: bool = False
    lost: bool = False
    given_up: bool = False
    replies: list[bytes] = field(default_factory=list)

    @property
    def addresses(self) -> list[bytes]:
        return [recipient.address for recipient in self.recipients]

    @property
    def accepted(self) -> bool:
        """Somebody has taken it for at least one recipient."""
        return any(code(reply) < 300 for reply in self.replies)


@dataclass(eq=False)
class Asked:
    """A command, or the end of a text (`verb` "end"), and the replies to it.

    `left` counts the replies that are to come, as far as that is known. `junk`: no command at all. `chunk`
    is what followed BDAT, all of it if `complete`; `response` the last line of a SASL dialogue.
    """

    verb: str
    line: bytes = b""
    left: int = 1
    junk: bool = False
    last: bool = False
    chunk: bytes = b""
    response: bytes | None = None
    complete: bool = True
    mail: Mail | None = None
    replies: list[bytes] = field(default_factory=list)

    @property
    def address(self) -> bytes:
        found = _ADDRESS.search(self.line)
        return found[1] if found else b""

    @property
    def ends(self) -> bool:
        """What answers it decides about a message."""
        return self.verb == "end" or (self.verb == "BDAT" and self.last)


class Account:
    """`mail` is the transaction that is open, `mails` all whose text was ended, in their order.

    `mode` says what comes next: "command", "text", "chunk", "response"; or that nothing can be told before
    the next reply ("reply"), before a handshake ("tls"), or any more ("over"). `unasked` are replies that
    nothing was open for. `each`: LMTP; `curt`: in it, the end of a text may be refused as no command at all,
    by one reply. `lax`: LF alone ends a command, too.
    """

    def __init__(self, *, each: bool, curt: bool = False, lax: bool = False) -> None:
        self.each = each
        self.end = b"\n" if lax else b"\r\n"
        self.curt = curt
        self.mode = "command"
        self.open: deque[Asked] = deque([Asked("greeting")])
        self.mail: Mail | None = None
        self.mails: list[Mail] = []
        self.unasked: list[bytes] = []
        self.keywords: set[str] = set()
        self.asked: list[Asked] = []
        self.text = b""
        self._said = b""
        self._replied = b""
        self._left = 0
        self._echo: Asked | None = None

    # The one who commands.

    def said(self, octets: bytes) -> None:
        self._said += octets
        self._read_on()

    def _read_on(self) -> None:
        while self._read():
            pass
        while self.open and self._unheard(self.open[0]):
            self.open.popleft()
            self.mail = None

    def _unheard(self, asked: Asked) -> bool:
        """In LMTP the last chunk has no reply if nobody was accepted (RFC 2033 4.3)."""
        offered = self.each and asked.last and asked.complete and "CHUNKING" in self.keywords
        return offered and self.mail is not None and not self.mail.recipients and not self.mail.lost

    @property
    def due(self) -> Asked | None:
        """The command whose reply is due: the oldest, unless its chunk or its response is not here yet."""
        asked = self.open[0] if self.open else None
        return asked if asked and asked.complete and self.mode != "response" else None

    @property
    def pending(self) -> bytes:
        """What was said and can't be read yet."""
        return self._said

    def _read(self) -> bool:
        if self.mode == "command":
            return self._command()
        if self.mode == "response":
            return self._response()
        if self.mode == "text":
            return self._text()
        if self.mode == "chunk":
            return self._chunk()
        return False

    def _command(self) -> bool:
        line, end, rest = self._said.partition(self.end)
        if not end:
            return False
        self._said = rest
        asked = self._understood(line if end == b"\r\n" else line.removesuffix(b"\r"))
        self.open.append(asked)
        self.asked.append(asked)
        if asked.junk:
            if asked.verb == "BDAT":
                self.mode = "over"  # nobody knows how many octets follow
        elif asked.verb in BARRIERS:
            self.mode = "reply"
        return True

    def _understood(self, line: bytes) -> Asked:
        match = _COMMAND.fullmatch(line)
        if match is None or len(line) > LINE - 2 or any(octet in line for octet in b"\r\n\0"):
            return Asked("", line + b"\r\n", junk=True)
        asked = Asked(match[1].decode().upper(), line + b"\r\n")
        if asked.verb == "BDAT":
            size = _CHUNK.fullmatch(match[2] or b"")
            if size is None:
                asked.junk = True
            else:
                self._left, asked.last, asked.complete = int(size[1]), bool(size[2]), False
                self.mode = "chunk"
        return asked

    def _chunk(self) -> bool:
        asked = next(one for one in reversed(self.asked) if one.verb == "BDAT")
        piece, self._said = self._said[: self._left], self._said[self._left :]
        self._left -= len(piece)
        asked.chunk += piece
        if self._left:
            return False
        asked.complete = True
        self.mode = "command"
        return True

    def _text(self) -> bool:
        text, end, rest = (b"\r\n" + self.text + self._said).partition(END)
        if not end:
            self.text, self._said = self.text + self._said, b""
            return False
        self._said, self.text = rest, b""
        asked = Asked("end", mail=self.mail)
        if self.mail is not None:
            self.mail.text = (text + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]
            self.mail.ended = True
            self.mails.append(self.mail)
        self.open.append(asked)
        self.asked.append(asked)
        self.mode = "command"
        return True

    def _response(self) -> bool:
        line, end, rest = self._said.partition(self.end)
        if not end:
            return False
        self._said = rest
        self.open[0].left = 1
        self.open[0].response = line
        self.mode = "reply"
        return True

    # The one who replies.

    def replied(self, octets: bytes) -> list[tuple[Asked | None, bytes]]:
        """The replies that are complete now, each with what it answers; `ValueError` if that is none."""
        self._replied += octets
        found: list[tuple[Asked | None, bytes]] = []
        start = at = 0
        while (match := _REPLY.match(self._replied, at)) is not None:
            at = match.end()
            if match[0][3:4] != b"-":
                raw = self._replied[start:at]
                found.append((self._reply(raw), raw))
                start = at
        if b"\n" in self._replied[at:]:
            raise ValueError(f"not a reply: {self._replied[at:]!r}")
        self._replied = self._replied[start:]
        return found

    def secured(self) -> None:
        """The handshake is done: all that was said before is forgotten (RFC 3207 4.2)."""
        self.mail, self.keywords, self.mode = None, set(), "command"

    def _reply(self, raw: bytes) -> Asked | None:
        if self._echo is not None and self._echo.replies[-1] == raw:
            return self._echo
        self._echo = None
        if not self.open:
            self.unasked.append(raw)
            return None
        asked = self.open[0]
        if asked.ends and not asked.replies:
            self._decides(asked, raw)
        asked.replies.append(raw)
        asked.left -= 1
        if asked.verb == "AUTH" and 300 <= code(raw) < 400:
            self.mode = "response"
        elif not asked.left:
            self.open.popleft()
            self._answered(asked, raw)
        self._read_on()
        return asked

    def _decides(self, asked: Asked, raw: bytes) -> None:
        """The first reply to the end of a text: it is known what it is about, and how many there will be."""
        mail = asked.mail = self.mail
        recipients = mail.recipients if mail and self.each else []
        single = self._out_of_place(asked) or (self.curt and 500 <= code(raw) <= 504)
        asked.left = 1 if single else max(len(recipients), 1)
        passed = _NUMBER.search(raw) is not None
        self._echo = asked if single and passed and len(recipients) > 1 and not self.curt else None
        if mail is None or (code(raw) >= 400 and self._out_of_place(asked)):
            return
        mail.replies = asked.replies
        if asked.verb == "BDAT":
            mail.text += asked.chunk
            mail.chunked = True
            mail.ended = asked.complete  # else the server did not wait for it
            self.mails += [mail] * asked.complete

    def _out_of_place(self, asked: Asked) -> bool:
        """A chunk that was not offered, or that can't help any more, is refused by a single reply."""
        return asked.verb == "BDAT" and (
            "CHUNKING" not in self.keywords or bool(self.mail and self.mail.dead)
        )

    def _answered(self, asked: Asked, raw: bytes) -> None:
        if self.mode == "reply" and asked.verb in BARRIERS:
            self.mode = "command"
        yes = code(raw) < 300
        if asked.junk:
            return
        if asked.verb in HELLOS and yes:
            self.mail = None
            self.keywords = {line[4:].split(b" ")[0].decode("latin-1") for line in raw.split(b"\r\n")[1:-1]}
        elif asked.verb == "MAIL" and not yes and self.mail and not self.mail.recipients:
            self.mail.given_up = True  # who begins another one does not count on it
        elif asked.verb == "MAIL" and yes:
            self.mail = Mail(asked.address, b"BINARYMIME" in asked.line.upper())
        elif asked.verb == "RCPT" and yes and self.mail is not None:
            self.mail.recipients.append(asked)
        elif asked.verb == "RSET" and yes:
            self.mail = None
        elif asked.verb == "DATA" and code(raw) == 354:
            self.mode = "text"
        elif asked.verb == "STARTTLS" and code(raw) == 220:
            self.mode = "tls"
        elif asked.verb == "QUIT":
            self.mode = "over"
        elif asked.verb == "BDAT" or asked.verb == "end":
            self._moved(asked, yes)

    def _moved(self, asked: Asked, yes: bool) -> None:
        mail = self.mail
        if mail is None or (not yes and self._out_of_place(asked)):
            return
        if asked.ends:
            self.mail = None
        else:
            mail.text += asked.chunk
            mail.dead = mail.dead or not yes
