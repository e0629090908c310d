"""A client and a server that keep to the rules, but for one moment; both act on a `Stage`.

What the server answers has a name: the verb, or "greeting", "response" (a line of SASL), "end", "between"
(the second reply of LMTP), "LAST" (the last chunk); so have moments at which no answer is due: "handshake",
"text" and "chunk" (the first octets of one are there). At the moment of that name the server does the deed
that a test gave it, in place of answering. What the client says has the same names.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mailweir.testing.play import TLS, Stage

TEXT = b"Subject: x\r\n\r\n..dot\r\n" + b"a line of text\r\n" * 20
HALF = len(TEXT) // 2
FINAL = b"250 queued\r\n"
UNSTUFFED = TEXT.replace(b"\r\n..", b"\r\n.")

Deed = Callable[["Server", bytes], int]
"""Handed the answer that would be due now (empty where none is); how many times it was given all the same."""


class Server:
    """Upstream. `commands` are the verbs it was told, `texts` those that came with their ends.

    `began` is what came of the text that is under way, `served` how many positive final replies were said.
    Once `silent` it says nothing, whatever it hears; `withheld` is what it would have said.
    """

    def __init__(self, stage: Stage, offer: Sequence[str], moment: str, deed: Deed) -> None:
        self.stage = stage
        self.side = stage.upstream
        self.commands: list[str] = []
        self.texts: list[bytes] = []
        self.began = b""
        self.served = 0
        self.struck = False
        self.silent = False
        self.gone = False
        self.withheld = b""
        self.offer = offer
        self.moment = moment
        self._deed = deed
        self._heard = b""
        self._reads: Callable[[], bool] = self._command
        self._recipients = 0
        self._prompts = 0
        self._left = 0
        self._last = False
        self.side.full = moment == "text"

    @property
    def half(self) -> bool:
        """It waits for more of a text or a chunk."""
        return self._reads == self._text or (self._reads == self._chunk and self._left > 0)

    def greet(self) -> None:
        self._answer("greeting", b"220 mail.example.org\r\n")

    def act(self) -> bool:
        """Hear what was said meanwhile, and answer; False if nothing was."""
        side = self.side
        if side.state == "aborted" and not self.gone:
            self.leave()
            return True
        if side.secured:
            side.secured = 0
            if self.at("handshake") is None:
                self.stage.relay.upstream_secured(TLS)
            return True
        if not side.heard:
            return False
        self._heard, side.heard = self._heard + side.heard, b""
        while self._heard and self._reads():
            pass
        return True

    def say(self, octets: bytes) -> None:
        if self.side.state == "open":
            self.stage.say("upstream", octets)

    def leave(self, reason: str = "") -> None:
        self.silent = self.gone = True
        self.stage.relay.upstream_gone(reason)

    def speak_on(self) -> None:
        """Say what was withheld, and all that is due from now on."""
        self.silent, withheld, self.withheld = False, self.withheld, b""
        self.served += withheld.count(FINAL)
        self.say(withheld)

    def at(self, moment: str, due: bytes = b"") -> int | None:
        """Do the deed if this is its moment, and give what it gives."""
        if moment != self.moment or self.struck:
            return None
        self.struck = True
        return self._deed(self, due)

    def _answer(self, name: str, octets: bytes) -> int:
        """How many times it was said."""
        if self.silent:
            self.withheld += octets
            return 0
        done = self.at(name, octets)
        if done is not None:
            return done
        self.say(octets)
        return 1

    def _line(self) -> bytes | None:
        line, end, rest = self._heard.partition(b"\r\n")
        if not end:
            return None
        self._heard = rest
        return line

    def _command(self) -> bool:
        line = self._line()
        if line is None:
            return False
        words = line.split()
        verb = words[0].decode().upper()
        self.commands.append(verb)
        if verb == "BDAT":
            self._left, self._last = int(words[1]), words[-1] == b"LAST"
            self._reads = self._chunk
        elif verb == "DATA":
            self._reads = self._text
            self._answer(verb, b"354 go\r\n")
        elif verb == "AUTH":
            self._prompts, self._reads = 2, self._response
            self._answer(verb, b"334 VXNlcm5hbWU6\r\n")
        elif verb in ("EHLO", "LHLO"):
            rows = ("mail.example.org", *self.offer)
            lines = [f"250{'-' if row is not rows[-1] else ' '}{row}\r\n" for row in rows]
            self._answer("EHLO", "".join(lines).encode())
        elif verb == "QUIT":
            self._answer(verb, b"221 bye\r\n")
        else:
            if verb in ("MAIL", "RSET"):
                self._recipients, self.began = 0, b""
            self._recipients += verb == "RCPT"
            self._answer(verb, b"220 go\r\n" if verb == "STARTTLS" else b"250 ok\r\n")
        return True

    def _response(self) -> bool:
        if self._line() is None:
            return False
        self._prompts -= 1
        if not self._prompts:
            self._reads = self._command
        self._answer("response", b"334 UGFzc3dvcmQ6\r\n" if self._prompts else b"235 welcome\r\n")
        return True

    def _text(self) -> bool:
        if not self.began:
            self.at("text")
        self.began, self._heard = self.began + self._heard, b""
        text, end, rest = (b"\r\n" + self.began).partition(b"\r\n.\r\n")
        if not end:
            return False
        self._heard = rest
        self._complete((text + b"\r\n").replace(b"\r\n..", b"\r\n.")[2:], "end")
        return True

    def _chunk(self) -> bool:
        if not self.began:
            self.at("chunk")
        taken, self._heard = self._heard[: self._left], self._heard[self._left :]
        self.began += taken
        self._left -= len(taken)
        if self._left:
            return False
        if self._last:
            self._complete(self.began, "LAST")
        else:
            self._reads = self._command
            self._answer("BDAT", b"250 chunk\r\n")
        return True

    def _complete(self, text: bytes, name: str) -> None:
        self._reads = self._command
        self.texts.append(text)
        self.began = b""
        # who takes nothing more is sent no more than the first piece of a stored text
        self.side.full = self.moment == "chunk"
        each = self.stage.session.protocol == "lmtp"
        for place in range(self._recipients if each else 1):
            self.served += self._answer("between" if place else name, FINAL)


class Step(NamedTuple):
    """What a client says at once, and the first digits of the replies that it then waits for.

    One without octets is a pause, at which the server may have its moment.
    """

    name: str
    octets: bytes
    wants: str


class Client:
    """`replies` are all that it heard. If another server is dialled for it, that is the `successor`."""

    def __init__(self, stage: Stage, server: Server) -> None:
        self.stage = stage
        self.server = server
        self.successor: Server | None = None
        self.replies: list[bytes] = []

    def act(self, groups: Sequence[Sequence[Step]]) -> None:
        """Say one group after the other; give up when its last reply is not what was wanted."""
        for group in groups:
            wants = "".join(step.wants for step in group)
            before = len(self.replies)
            if group[0].octets:
                self.stage.say("client", b"".join(step.octets for step in group))
            else:
                self.server.at(group[0].name)
            self.listen()
            came = "".join(reply[:1].decode() for reply in self.replies[before:])
            if len(came) != len(wants) or came[-1:] != wants[-1:] or self.stage.client.state != "open":
                return

    def listen(self) -> None:
        """Let both sides speak until neither has anything to say."""
        while self.server.act() or self._succeeded() or self.hear():
            pass

    def _succeeded(self) -> bool:
        """Another server was dialled, and does something."""
        if self.successor is None:
            if self.stage.upstream is self.server.side:
                return False
            self.successor = Server(self.stage, self.server.offer, "never", lambda server, due: 0)
            self.successor.greet()
            return True
        return self.successor.act()

    def hear(self) -> bool:
        side = self.stage.client
        heard, side.heard = side.heard, b""
        self.replies += re.findall(rb"(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n", heard)
        assert heard.endswith(b"\r\n") or not heard, heard
        return bool(heard)


def mail(protocol: str) -> list[Step]:
    """Two messages to two recipients, by DATA and by BDAT."""
    final = "22" if protocol == "lmtp" else "2"
    to = [Step("MAIL", b"MAIL FROM:<ann@example.org>\r\n", "2")]
    to += [Step("RCPT", b"RCPT TO:<%s@example.net>\r\n" % name, "2") for name in (b"bob", b"cid")]
    return [
        hello(protocol),
        Step("NOOP", b"NOOP\r\n", "2"),
        Step("idle", b"", ""),
        to[0],
        Step("RSET", b"RSET\r\n", "2"),
        *to[:2],
        Step("in mail", b"", ""),
        to[2],
        Step("DATA", b"DATA\r\n", "3"),
        Step("text", TEXT[:HALF], ""),
        Step("end", TEXT[HALF:] + b".\r\n", final),
        *to,
        Step("chunk", b"BDAT 20\r\n" + UNSTUFFED[:10], ""),
        Step("BDAT", UNSTUFFED[10:20], "2"),
        Step("LAST", b"BDAT %d LAST\r\n" % (len(UNSTUFFED) - 20) + UNSTUFFED[20:], final),
        Step("QUIT", b"QUIT\r\n", "2"),
    ]


def again(protocol: str) -> list[Step]:
    """One more message, and the end, of a client that has given up what it had begun."""
    steps = mail(protocol)
    first = [step.name for step in steps].index("RSET")
    message = steps[first : [step.name for step in steps].index("end") + 1]
    return [step for step in (*message, steps[-1]) if step.octets]


def login(protocol: str) -> list[Step]:
    """AUTH with two responses."""
    return [
        hello(protocol),
        Step("AUTH", b"AUTH LOGIN\r\n", "3"),
        Step("response", b"YW5u\r\n", "3"),
        Step("response", b"c2VjcmV0\r\n", "2"),
        Step("QUIT", b"QUIT\r\n", "2"),
    ]


def hello(protocol: str) -> Step:
    return Step("EHLO", b"LHLO me\r\n" if protocol == "lmtp" else b"EHLO me\r\n", "2")


ALONE = ("EHLO", "AUTH", "response", "text", "QUIT")
LAST_IN_GROUP = ("NOOP", "DATA")


def groups(steps: Sequence[Step], moment: str, *, hasty: bool) -> list[list[Step]]:
    """The steps as they are said: alone, or in the groups of RFC 2920 3.1. No pauses but the moment's."""
    said: list[list[Step]] = []
    closed = True
    for step in steps:
        if not step.octets and step.name != moment:
            continue
        alone = not hasty or not step.octets or step.name in ALONE
        if alone or closed:
            said.append([])
        said[-1].append(step)
        closed = alone or step.name in LAST_IN_GROUP
    return said
