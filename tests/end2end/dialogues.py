"""Conversations word for word: what clients of every kind say, and what no client should.

A dialogue is a function of a `Line`, which says hello before and QUIT after it.
"""

import base64
import socket
from collections.abc import Callable

from end2end.dovecot import PASSWORD, WRONG_PASSWORD
from end2end.fakes import Gone, Peer, connect
from end2end.peers import LIMIT, SENDER, USER, Door, Told

HEAD = (
    b"From: Writer <writer@example.net>\r\n"
    b"To: Reader <reader@example.org>\r\n"
    b"Subject:  Two  blanks, a\r\n\tfold and a tab\t\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <one@example.net>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"\r\n"
)
MESSAGE = HEAD + b"Hello\r\n"


class Line:
    """A connection to a server that writes down all that it is told."""

    def __init__(self, door: Door, token: str) -> None:
        self.server = door.server
        self.token = token
        self.peer: Peer = connect(door.port, 20)
        self.heard: list[str] = []
        self.mail = 0
        self._accepted = 0

    def address(self, name: str = "") -> str:
        """A recipient of this conversation."""
        return f"<{self.token}{name}@example.org>"

    def hear(self) -> int:
        """One reply; its code."""
        reply = self.peer.reply().decode("utf-8", "backslashreplace")
        self.heard.append(reply)
        return int(reply[:3])

    def hello(self) -> None:
        """EHLO or LHLO. What is offered isn't written down: there mailweir has words of its own."""
        self.peer.say(b"%s client.example.net\r\n" % (b"LHLO" if self.server.protocol == "lmtp" else b"EHLO"))
        reply = self.peer.reply()
        self.heard.append(f"{reply[:3].decode()} hello\r\n")
        if reply.startswith(b"250"):
            self._accepted = 0

    def say(self, *commands: str | bytes) -> list[int]:
        """Commands, all in one write, and the codes of their replies."""
        lines = [line.encode() if isinstance(line, str) else line for line in commands]
        self.peer.say(b"".join(line + b"\r\n" for line in lines))
        codes = []
        for line in lines:
            codes.append(self.hear())
            verb = line[:4].upper()
            if verb in (b"MAIL", b"RSET"):
                self._accepted = 0
            elif verb == b"RCPT":
                self._accepted += codes[-1] // 100 == 2
        return codes

    def envelope(self, *parameters: str, names: tuple[str, ...] = ("",)) -> None:
        """MAIL, and a RCPT for each name, one after the other."""
        self.say(" ".join([f"MAIL FROM:<{SENDER}>", *parameters]))
        for name in names:
            self.say(f"RCPT TO:{self.address(name)}")

    def data(self, text: bytes = MESSAGE) -> None:
        """DATA, and `text`, if it is asked for; its dots are doubled here."""
        if self.say("DATA") == [354]:
            stuffed = b"\r\n" + text
            self.peer.say(stuffed.replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
            self.fate()

    def chunk(self, octets: bytes, last: bool = False) -> None:
        """BDAT."""
        self.peer.say(b"BDAT %d%s\r\n%s" % (len(octets), b" LAST" if last else b"", octets))
        if last:
            self.fate()
        else:
            self.hear()

    def fate(self) -> None:
        """What became of a message: one reply, by LMTP one for each recipient."""
        if self.server.protocol == "lmtp":
            self.mail += sum(self.hear() == 250 for _ in range(self._accepted or 1))
        elif self.hear() == 250:
            self.mail += self._accepted
        self._accepted = 0

    def log_in(self, password: str = PASSWORD) -> list[int]:
        secret = base64.b64encode(f"\0{USER}\0{password}".encode()).decode()
        return self.say(f"AUTH PLAIN {secret}")


Dialogue = Callable[[Line], None]


def converse(dialogue: Dialogue, door: Door, token: str, log_in: bool = True) -> Told:
    """Hold a dialogue; where the server wants a login, after one, unless `log_in` is false."""
    line = Line(door, token)
    try:
        line.hear()
        line.hello()
        if door.server.must_log_in and log_in:
            line.log_in()
            line.hello()
        dialogue(line)
        line.say("QUIT")
    except Gone:
        line.heard.append("closed")
    finally:
        line.peer.close()
    return Told("".join(line.heard), line.mail)


def _one_message(line: Line) -> None:
    line.envelope()
    line.data()


def _three_messages(line: Line) -> None:
    for number in range(3):
        line.envelope(names=(str(number),))
        line.data(MESSAGE + b"number %d\r\n" % number)


def _refused_recipients(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}>")
    for name in "abc":
        line.say(f"RCPT TO:{line.address(name)}")
        line.say(f"RCPT TO:<{line.server.unknown}>")
    line.data()


def _nobody_accepted(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}>")
    line.say(f"RCPT TO:<{line.server.unknown}>")
    line.data()
    line.say("RSET")
    _one_message(line)


def _sixty_recipients(line: Line) -> None:
    line.envelope(names=tuple(f"-{number:02}" for number in range(60)))
    line.data()


def _same_recipient_twice(line: Line) -> None:
    line.envelope(names=("", ""))
    line.say("RSET")
    _one_message(line)


def _reset(line: Line) -> None:
    line.envelope(names=("a", "b"))
    line.say("RSET")
    line.say("DATA")
    line.envelope(names=("c",))
    line.say("RSET")
    line.say("RSET")
    _one_message(line)
    line.say("RSET")


def _hello_again(line: Line) -> None:
    line.envelope(names=("a",))
    line.hello()
    line.data()
    _one_message(line)


def _out_of_order(line: Line) -> None:
    line.say(f"RCPT TO:{line.address()}")
    line.say("DATA")
    line.say(f"MAIL FROM:<{SENDER}>")
    line.say(f"MAIL FROM:<{SENDER}>")
    line.say("RSET")
    _one_message(line)


def _mistakes(line: Line) -> None:
    for wrong in ("MAIL", "MAIL FROM", "MAIL FROM:", "MAIL FROM:<a@b", "MAIL FROM:<a@b.example> X=Y"):
        line.say(wrong)
    line.say("RSET")
    line.say(f"MAIL FROM:<{SENDER}>")
    for wrong in ("RCPT", "RCPT TO:", "RCPT TO:<>", "RCPT TO:<a@>", f"RCPT TO:{line.address()} NONSENSE=1"):
        line.say(wrong)
    line.say("RSET")
    line.say("RSET now")


def _small_talk(line: Line) -> None:
    line.say("NOOP")
    line.say("NOOP with words")
    line.say("noop")
    line.say(f"VRFY {line.address()}")


def _senders(line: Line) -> None:
    for path in ("<>", f"<{SENDER}>", '<"two words"@example.net>', "<a+b=c@example.net>"):
        line.say(f"MAIL FROM:{path}")
        line.say(f"RCPT TO:{line.address()}")
        line.data()


def _loose_syntax(line: Line) -> None:
    line.say(f"mail from: <{SENDER}>")
    line.say(f"Rcpt To: {line.address()}")
    line.data()


def _source_route(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}>")
    line.say(f"RCPT TO:<@relay.example.net:{line.address()[1:]}")
    line.data()


def _eight_bits(line: Line) -> None:
    line.envelope("BODY=8BITMIME", names=("a",))
    line.data(MESSAGE + "Grüße\r\n".encode())
    line.envelope("BODY=7BIT", names=("b",))
    line.data(MESSAGE + b"\xff\xfe\x80\r\n")
    line.envelope(names=("c",))
    line.data(MESSAGE + b"\xff\xfe\x80\r\n")


def _utf8_addresses(line: Line) -> None:
    line.say("MAIL FROM:<grüße@example.net> SMTPUTF8 BODY=8BITMIME")
    line.say(f"RCPT TO:<{line.token}ü@example.org>")
    line.say("RSET")
    line.envelope("SMTPUTF8", names=("a",))
    line.data(MESSAGE)


def _notifications(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}> RET=HDRS ENVID=QQ+2B314159")
    line.say(f"RCPT TO:{line.address('a')} NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2Bone@example.org")
    line.say(f"RCPT TO:{line.address('b')} NOTIFY=NEVER")
    line.say(f"RCPT TO:{line.address('c')} ORCPT=rfc822;other@example.org")
    line.say(f"RCPT TO:{line.address('d')} NOTIFY=NEVER,DELAY")
    line.data()


def _announced_too_big(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}> SIZE={100 * LIMIT}")
    line.say("RSET")
    line.envelope("SIZE=1000")
    line.data()


def _too_big(line: Line) -> None:
    line.envelope(names=("a",))
    line.data(HEAD + (b"x" * 998 + b"\r\n") * (LIMIT * 5 // 4 // 1000))


def _dots(line: Line) -> None:
    line.envelope()
    line.data(HEAD + b".\r\n..\r\n.x\r\n...\r\n\r\n.\r\n. \r\n.\t.\r\nthe end.\r\n.\r\n")


def _long_lines(line: Line) -> None:
    line.envelope()
    line.data(HEAD + b"x" * 998 + b"\r\n" + b"y" * 1900 + b"\r\nshort\r\n")


def _empty_messages(line: Line) -> None:
    line.envelope(names=("a",))
    line.data(HEAD)
    line.envelope(names=("b",))
    line.data(HEAD + b"\r\n\r\n")
    line.envelope(names=("c",))
    line.data(HEAD + b".\r\n")


def _a_quarter_megabyte(line: Line) -> None:
    row = bytes(range(32, 127)) + b"\r\n"
    line.envelope()
    line.data(HEAD + row * (LIMIT // 4 // len(row)))


def _long_command(line: Line) -> None:
    line.say("NOOP " + "x" * 3000)
    line.say("NOOP")


DIALOGUES: dict[str, Dialogue] = {
    function.__name__.lstrip("_").replace("_", " "): function
    for function in (
        *(_one_message, _three_messages, _refused_recipients, _nobody_accepted, _sixty_recipients),
        *(_same_recipient_twice, _reset, _hello_again, _out_of_order, _mistakes, _small_talk, _senders),
        *(_loose_syntax, _source_route, _eight_bits, _utf8_addresses, _notifications, _announced_too_big),
        *(_too_big, _dots, _long_lines, _empty_messages, _a_quarter_megabyte, _long_command),
    )
}
"""For every server."""


def _group(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}>", f"RCPT TO:{line.address()}", f"RCPT TO:<{line.server.unknown}>", "DATA")
    line.peer.say(MESSAGE + b".\r\n")
    line.fate()


def _next_message_behind_a_text(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}>", f"RCPT TO:{line.address('a')}", "DATA")
    line.peer.say(MESSAGE + b".\r\n" + f"MAIL FROM:<{SENDER}>\r\nRCPT TO:{line.address('b')}\r\n".encode())
    line.fate()
    for _ in range(2):
        line.hear()
    line.say("RSET", "NOOP")


def _group_of_nobody(line: Line) -> None:
    """RFC 2920 3.1: a server may ask for the text although it accepted nobody."""
    codes = line.say(f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{line.server.unknown}>", "DATA")
    if codes[-1] == 354:
        line.peer.say(b".\r\n")
        line.hear()


def _text_in_drops(line: Line) -> None:
    line.peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.say(f"MAIL FROM:<{SENDER}>", f"RCPT TO:{line.address()}", "DATA")
    for octet in MESSAGE + b"..\r\n.\r\n":
        line.peer.say(bytes([octet]))
    line.fate()


def _quit_behind_a_text(line: Line) -> None:
    """As Exim does."""
    line.say(f"MAIL FROM:<{SENDER}>", f"RCPT TO:{line.address()}", "DATA")
    line.peer.say(MESSAGE + b".\r\nQUIT\r\n")
    line.fate()
    line.hear()
    line.heard.append(f"{line.peer.rest()!r}\r\n")


PIPELINED: dict[str, Dialogue] = {
    function.__name__.lstrip("_").replace("_", " "): function
    for function in (
        _group,
        _next_message_behind_a_text,
        _quit_behind_a_text,
        _group_of_nobody,
        _text_in_drops,
    )
}
"""For servers with PIPELINING."""


def _one_chunk(line: Line) -> None:
    line.envelope()
    line.chunk(MESSAGE, last=True)


def _chunks(line: Line) -> None:
    line.envelope()
    for start in range(0, len(MESSAGE), 100):
        line.chunk(MESSAGE[start : start + 100])
    line.chunk(b"", last=True)


def _no_line_end(line: Line) -> None:
    line.envelope(names=("a",))
    line.chunk(MESSAGE + b"the end", last=True)
    line.envelope(names=("b",))
    line.chunk(MESSAGE)
    line.chunk(b".", last=True)


def _dots_in_chunks(line: Line) -> None:
    line.envelope()
    line.chunk(HEAD + b".\r\n.\r\n..\r\n")
    line.chunk(b".\r\n", last=True)


def _pipelined_chunks(line: Line) -> None:
    line.peer.say(
        f"MAIL FROM:<{SENDER}> BODY=8BITMIME\r\nRCPT TO:{line.address()}\r\n".encode()
        + b"BDAT %d\r\n%sBDAT 8 LAST\r\nGr\xc3\xbc\xc3\x9f\r\n" % (len(MESSAGE), MESSAGE)
    )
    for _ in range(3):
        line.hear()
    line.mail += line.hear() == 250


def _chunk_for_nobody(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}>")
    line.say(f"RCPT TO:<{line.server.unknown}>")
    line.chunk(MESSAGE)
    line.say("RSET")
    _one_chunk(line)


def _chunks_given_up(line: Line) -> None:
    line.envelope(names=("a",))
    line.chunk(MESSAGE)
    line.say("RSET")
    _one_chunk(line)


CHUNKED: dict[str, Dialogue] = {
    function.__name__.lstrip("_").replace("_", " "): function
    for function in (
        *(_one_chunk, _chunks, _no_line_end, _dots_in_chunks, _pipelined_chunks),
        *(_chunk_for_nobody, _chunks_given_up),
    )
}
"""For servers with CHUNKING."""


def _wrong_password(line: Line) -> None:
    line.log_in(WRONG_PASSWORD)
    line.log_in()
    line.hello()
    _one_message(line)


def _twice(line: Line) -> None:
    line.log_in()
    line.log_in()


def _given_up(line: Line) -> None:
    line.say("AUTH LOGIN")
    line.say("*")
    line.say("AUTH PLAIN")
    line.say("*")


def _nonsense(line: Line) -> None:
    line.say("AUTH")
    line.say("AUTH NONSENSE")
    line.say("AUTH PLAIN")
    line.say("!!!")


def _in_a_transaction(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}>")
    line.log_in()


def _no_login(line: Line) -> None:
    line.say(f"MAIL FROM:<{SENDER}>")


LOGINS: dict[str, Dialogue] = {
    function.__name__.lstrip("_").replace("_", " "): function
    for function in (_wrong_password, _twice, _given_up, _nonsense, _in_a_transaction, _no_login)
}
"""For servers that take a password on a clear connection."""
