"""One message stays one message, whatever octets a client puts where a text might end.

Each form is sent to a relay in front of the sloppiest server there is (`end2end.sloppy`), in every way a
text can come. Then the client was told of as many messages as the server believes to have got.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from end2end.sloppy import END, FEW, FORMS, Sloppy, two_in_one
from mailweir.chain.chain import Plug
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.relay.rules import Rules, SmtpRules
from mailweir.testing.play import Stage


class Head:
    @hookimpl
    def message_head(self, message: Message) -> None:
        message.headers.add("X-Seen", "yes")


class Whole:
    @hookimpl
    def message(self, message: Message) -> None:
        assert b"".join(message.pieces())


class Judge:
    @hookimpl(edits=False)
    def message(self, message: Message) -> None:
        assert b"".join(message.pieces())


CHAINS: dict[str, Callable[[], list[Any]]] = {
    "none": list,
    "head": lambda: [Head()],
    "end": lambda: [Judge()],
    "whole": lambda: [Whole()],
}

RULES = {
    "reject": SmtpRules(),
    "reject NUL too": SmtpRules(nul="reject"),
    "normalize": SmtpRules(bare_newline="normalize"),
    "normalize but NUL": SmtpRules(bare_newline="normalize", nul="reject"),
}
OFFERS = {
    "CHUNKING": (b"PIPELINING", b"8BITMIME", b"CHUNKING", b"ENHANCEDSTATUSCODES"),
    "no CHUNKING": (b"PIPELINING", b"8BITMIME", b"ENHANCEDSTATUSCODES"),
    "nothing": (b"8BITMIME",),
}
Dialect = Literal["smtp", "lmtp"]
PROTOCOLS: tuple[Dialect, ...] = ("smtp", "lmtp")
Pieces = Iterator[bytes]


def by_data(text: bytes) -> Pieces:
    yield b"DATA\r\n"
    yield text + b".\r\n"


def by_one_chunk(text: bytes) -> Pieces:
    yield b"BDAT %d LAST\r\n" % len(text) + text


def by_two_chunks(text: bytes) -> Pieces:
    at = text.index(b"MAIL FROM") - 2
    yield b"BDAT %d\r\n" % at + text[:at]
    yield b"BDAT %d LAST\r\n" % (len(text) - at) + text[at:]


def by_chunks_of_three(text: bytes) -> Pieces:
    chunks = [text[at : at + 3] for at in range(0, len(text), 3)]
    yield b"".join(b"BDAT %d\r\n" % len(chunk) + chunk for chunk in chunks) + b"BDAT 0 LAST\r\n"


WAYS: dict[str, Callable[[bytes], Pieces]] = {
    "DATA": by_data,
    "one chunk": by_one_chunk,
    "two chunks": by_two_chunks,
    "small chunks": by_chunks_of_three,
}


class Played:
    """A relay between a client in the middle of a transaction and the sloppy server."""

    def __init__(
        self, chain: str, protocol: Dialect, rules: SmtpRules, offers: Sequence[bytes] = OFFERS["CHUNKING"]
    ) -> None:
        plugs = [Plug(f"plug{number}", plugin) for number, plugin in enumerate(CHAINS[chain]())]
        self.stage = Stage(protocol, plugs, Rules(upstream="server", hostname="weir.example", smtp=rules))
        self.server = Sloppy(lmtp=protocol == "lmtp", offers=offers)
        self._lost = False
        self.stage.begin()
        self.stage.say("upstream", Sloppy.GREETING)
        hello = b"LHLO" if protocol == "lmtp" else b"EHLO"
        self.say(hello + b" me\r\n")
        self.say(b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.net>\r\nRCPT TO:<eve@example.net>\r\n")

    def say(self, octets: bytes, size: int = 100_000) -> bytes:
        """The client says this, in pieces of this size; what it hears."""
        stage = self.stage
        heard = b""
        for piece in (octets[at : at + size] for at in range(0, len(octets), size)):
            if stage.client.state == "open":
                stage.say("client", piece)
                self._answer()
                heard, stage.client.heard = heard + stage.client.heard, b""
        return heard

    def _answer(self) -> None:
        """Let the server hear, and answer, until all is quiet."""
        upstream = self.stage.upstream
        while upstream.heard:
            octets, upstream.heard = upstream.heard, b""
            said = self.server.feed(octets)
            if said and upstream.state == "open":
                self.stage.say("upstream", said)
        if upstream.state != "open" and not self._lost:
            self._lost = True
            self.stage.relay.upstream_gone("")


@dataclass(frozen=True)
class Attempt:
    """One way to send a text, and what stands between client and server."""

    way: str = "DATA"
    chain: str = "none"
    protocol: Dialect = "smtp"
    rules: SmtpRules = RULES["reject"]
    offers: Sequence[bytes] = OFFERS["CHUNKING"]
    size: int = 100_000
    lines: int = 1

    def send(self, text: bytes) -> bool:
        """Whether the client was told that it was accepted."""
        played = Played(self.chain, self.protocol, self.rules, self.offers)
        for piece in WAYS[self.way](text):
            heard = played.say(piece, self.size)
        finals: list[bytes] = re.findall(rb"(?m)^[2-5](?=\d\d )", heard)
        messages = played.server.messages
        accepted = finals[-1] == b"2"
        assert [message.sender for message in messages] == [b"ann@example.org"] * accepted, messages
        if self.way == "DATA":
            assert len(finals) == (2 if self.protocol == "lmtp" else 1), heard
            assert not stray(played.server.heard)
        if accepted:
            assert set(finals) == {b"2"}
            added = b"X-Seen: yes\r\n" if self.chain == "head" else b""
            assert messages[0].text == added + lawful(text, stuffed=self.way == "DATA")
        played.say(b"NOOP\r\n")
        assert b"evil" not in b"".join(played.server.commands)
        return accepted

    def harmless(self, text: bytes) -> bool:
        """As it would leave, it is one message for every server."""
        mends = self.rules.bare_newline == "normalize"
        if self.rules.nul == "reject" and b"\0" in text:
            return False
        if stray(text.replace(b"\r\n", b"").replace(b"\n", b"") if mends else text):
            return False
        if self.way == "DATA" and self.chain == "none" and not mends:
            return not deceives(text)
        return not deceives(stuffed(lawful(text, stuffed=self.way == "DATA")))

    def judge(self, forms: dict[str, bytes]) -> None:
        """Nothing is accepted that could deceive, and nothing refused without need."""
        for name, form in forms.items():
            text = two_in_one(form, lines=self.lines)
            try:
                assert self.send(text) is self.harmless(text)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None


def stray(octets: bytes) -> bool:
    return re.search(rb"\r(?!\n)|(?<!\r)\n", octets) is not None


def lawful(text: bytes, *, stuffed: bool) -> bytes:
    """What RFC 5321 makes of a text that was accepted, where LF is mended."""
    text = (b"\r\n" + text).replace(b"\r\n.", b"\r\n")[2:] if stuffed else text
    return re.sub(rb"(?<!\r)\n", b"\r\n", text)


def stuffed(text: bytes) -> bytes:
    return (b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:]


def deceives(text: bytes) -> bool:
    """Without anybody between, the server gets two messages."""
    server = Sloppy()
    server.feed(b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
    server.feed(text + END[2:])
    return len(server.messages) > 1


def test_the_server_falls_for_what_others_fell_for() -> None:
    assert sum(deceives(two_in_one(form)) for form in FORMS.values()) > 700
    assert sum(deceives(two_in_one(form)) for form in FEW.values()) >= 30


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
def test_one_message_stays_one(rules: SmtpRules, chain: str, way: str) -> None:
    """However cut, in both protocols, whatever upstream offers; of the forms another sixth each time."""
    cases = itertools.product(PROTOCOLS, OFFERS.values(), [100_000, 3, 1])
    for number, (protocol, offers, size) in enumerate(cases):
        some = dict(list(FEW.items())[number % 6 :: 6])
        Attempt(way, chain, protocol, rules, offers, size).judge(some)


MIXED = {
    **{f"by DATA, {name}": Attempt(rules=rules) for name, rules in RULES.items()},
    "by BDAT": Attempt("one chunk"),
    "by BDAT that becomes DATA": Attempt("one chunk", offers=OFFERS["no CHUNKING"]),
}


@pytest.mark.parametrize("attempt", MIXED.values(), ids=MIXED.keys())
def test_every_mixture_stays_one(attempt: Attempt) -> None:
    attempt.judge(FORMS)


@pytest.mark.parametrize("offers", OFFERS.values(), ids=OFFERS.keys())
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_text_that_leaves_before_it_is_judged(protocol: Dialect, offers: Sequence[bytes]) -> None:
    Attempt("DATA", "end", protocol, offers=offers, size=30_000, lines=20_000).judge(FEW)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_passes_is_what_was_said(protocol: Dialect, way: str) -> None:
    """Under `pass` the server has to know what it does, and it hears what the client said."""
    for name, form in FEW.items():
        played = Played("none", protocol, SmtpRules(bare_newline="pass"))
        before, text = len(played.server.heard), two_in_one(form)
        for piece in WAYS[way](text):
            played.say(piece)
        said, heard = b"".join(WAYS[way](text)), played.server.heard[before:]
        assert said.startswith(heard), name
        assert said == heard or deceives(text), name


HIDDEN_COMMANDS: dict[str, bytes] = {
    "behind LF": b"NOOP\nXCLIENT ADDR=192.0.2.9\r\n",
    "behind CR": b"NOOP\rXCLIENT ADDR=192.0.2.9\r\n",
    "behind CR CR LF": b"NOOP\r\r\nXCLIENT ADDR=192.0.2.9\r\n",
    "behind CR NUL LF": b"NOOP\r\0\nXCLIENT ADDR=192.0.2.9\r\n",
    "behind LF CR": b"NOOP\n\rXCLIENT ADDR=192.0.2.9\r\n",
    "behind NUL": b"NOOP\0XCLIENT ADDR=192.0.2.9\r\n",
    "in arguments, behind LF": b"MAIL FROM:<a@b>\nXCLIENT ADDR=192.0.2.9\r\n",
    "in arguments, behind CR": b"RCPT TO:<a@b>\rXCLIENT ADDR=192.0.2.9\r\n",
    "in arguments, behind NUL": b"RCPT TO:<a@b>\0XCLIENT ADDR=192.0.2.9\r\n",
    "in a quoted local part": b'RCPT TO:<"a\nXCLIENT ADDR=192.0.2.9"@b>\r\n',
    "of BDAT": b"BDAT 0\nXCLIENT ADDR=192.0.2.9\r\n",
    "of BDAT, behind NUL": b"BDAT 0\0\nXCLIENT ADDR=192.0.2.9\r\n",
    "behind 5,000 octets": b"NOOP " + b"x" * 5000 + b"\nXCLIENT ADDR=192.0.2.9\r\n",
    "behind 5,000 octets and NUL": b"NOOP " + b"x" * 5000 + b"\0XCLIENT ADDR=192.0.2.9\r\n",
    "behind nothing": b"\nXCLIENT ADDR=192.0.2.9\r\n",
    "behind SP": b" XCLIENT ADDR=192.0.2.9\r\n",
    "behind TAB": b"\tXCLIENT ADDR=192.0.2.9\r\n",
    "behind VT": b"\vXCLIENT ADDR=192.0.2.9\r\n",
    "behind FF": b"\fXCLIENT ADDR=192.0.2.9\r\n",
    "behind NEL": b"\x85XCLIENT ADDR=192.0.2.9\r\n",
    "behind a no-break space": b"\xc2\xa0XCLIENT ADDR=192.0.2.9\r\n",
    "behind a byte order mark": b"\xef\xbb\xbfXCLIENT ADDR=192.0.2.9\r\n",
    "in front of TAB": b"XCLIENT\tADDR=192.0.2.9\r\n",
    "in front of VT": b"XCLIENT\vADDR=192.0.2.9\r\n",
    "in front of FF": b"XCLIENT\fADDR=192.0.2.9\r\n",
    "in front of NUL": b"XCLIENT\0 ADDR=192.0.2.9\r\n",
    "in front of a colon": b"XCLIENT: ADDR=192.0.2.9\r\n",
    "with the eighth bit": bytes(octet | 0x80 for octet in b"XCLIENT") + b" ADDR=192.0.2.9\r\n",
    "in wide letters": "\uff38\uff23\uff2c\uff29\uff25\uff2e\uff34 ADDR=192.0.2.9\r\n".encode(),
    "with a backspace": b"XCLIENX\bT ADDR=192.0.2.9\r\n",
    "in any case": b"xClient ADDR=192.0.2.9\r\n",
}


@pytest.mark.parametrize("size", [100_000, 1])
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
@pytest.mark.parametrize("command", HIDDEN_COMMANDS.values(), ids=HIDDEN_COMMANDS.keys())
def test_no_command_gets_by_in_another(command: bytes, protocol: Dialect, size: int) -> None:
    played = Played("none", protocol, SmtpRules())
    before = list(played.server.commands)
    heard = played.say(command, size)
    assert re.fullmatch(rb"50\d [^\r\n]*\r\n(50\d [^\r\n]*\r\n)?", heard)
    assert played.server.commands == before
    if not command.startswith(b"BDAT"):
        assert played.say(b"NOOP\r\n") == b"250 2.0.0 ok\r\n"
        assert played.server.commands == [*before, b"NOOP"]


@pytest.mark.parametrize("newlines", ["normalize", "pass"])
@pytest.mark.parametrize("command", HIDDEN_COMMANDS.values(), ids=HIDDEN_COMMANDS.keys())
def test_where_lf_ends_a_line_it_does_so_for_both(
    command: bytes, newlines: Literal["normalize", "pass"]
) -> None:
    for protocol, size in itertools.product(PROTOCOLS, (100_000, 1)):
        played = Played("none", protocol, SmtpRules(bare_newline=newlines))
        heard = played.say(command, size)
        assert re.fullmatch(rb"((250|50\d) [^\r\n]*\r\n){1,2}", heard)
        assert not stray(played.server.heard)
        assert not any(b"XCLIENT" in line.upper() for line in played.server.commands)


WITHHELD = (b"BODY=BINARYMIME", b"REQUIRETLS", b"TRANSID=x", b"CONPERM")
"""Parameters of MAIL that belong to a keyword which is not offered where plugins look at messages."""

HIDING: dict[str, bytes] = {
    "alone": b"<ann@example.org> %s",
    "behind another": b"<ann@example.org> SMTPUTF8 %s",
    "before another": b"<ann@example.org> %s SMTPUTF8",
    "before another of its kind": b"<ann@example.org> %s BODY=8BITMIME",
    "behind another of its kind": b"<ann@example.org> BODY=8BITMIME %s",
    "behind two blanks": b"<ann@example.org>  %s",
    "behind TAB": b"<ann@example.org>\t%s",
    "behind TAB in parameters": b"<ann@example.org> SMTPUTF8\t%s",
    "behind VT": b"<ann@example.org> SMTPUTF8\v%s",
    "behind FF": b"<ann@example.org>\f%s",
    "behind nothing": b"<ann@example.org>%s",
    "behind a bare address": b"ann@example.org %s",
    "behind a bare address and TAB": b"ann@example.org\t%s",
    "behind a blank first": b" <ann@example.org> %s",
    "behind brackets in quotes": b'<"ann> "@example.org> %s',
    "behind a route": b"<@hop,@hop:ann@example.org> %s",
    "behind nobody": b"<> %s",
    "behind an unfinished path": b"<ann@example.org %s",
    "behind an unfinished quote": b'<"ann@example.org> %s',
}


@pytest.mark.parametrize("said", HIDING.values(), ids=HIDING.keys())
def test_no_parameter_gets_by_that_was_not_offered(said: bytes) -> None:
    for parameter in WITHHELD:
        played = Played("head", "smtp", SmtpRules())
        played.server.commands.clear()
        given = said % parameter
        heard = played.say(b"RSET\r\nMAIL FROM:" + given + b"\r\nmail from:" + given.lower() + b"\r\n")
        assert re.fullmatch(rb"250 .*\r\n(5(55|01) 5.5.4 .*\r\n){2}", heard), (parameter, heard)
        assert played.server.commands == [b"RSET"]
