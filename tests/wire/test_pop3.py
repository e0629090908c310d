"""Tables of what clients and servers say, each read whole, octet by octet, in two pieces, and with a tail."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.errors import ProtocolError
from mailweir.wire.pop3 import (
    COMMAND,
    REPLY,
    SASL,
    Command,
    CommandReader,
    Reply,
    ReplyReader,
    Response,
    Text,
)

Seen = tuple[str, bytes] | str
"""An event's kind and its octets, or what was wrong."""

COMMANDS: dict[str, tuple[bytes, list[Seen]]] = {
    "a verb": (b"NOOP\r\n", [("NOOP", b"")]),
    "any case": (b"reTR 1\r\n", [("RETR", b"1")]),
    "blanks stay": (b"LIST \r\nLIST 1 \r\n", [("LIST", b""), ("LIST", b"1 ")]),
    "a password with blanks": (b"PASS  two  words \r\n", [("PASS", b" two  words ")]),
    "bare LF ends a line": (b"NOOP\nLIST 1\n", [("NOOP", b""), ("LIST", b"1")]),
    "an empty line": (b"\r\n", [("", b"")]),
    "a blank before the verb": (b" NOOP\r\n", [("", b"NOOP")]),
    "a tab is no space": (b"LIST\t1\r\n", [("LIST\t1", b"")]),
    "octets beyond ASCII": (b"USER b\xc3\xb6b\r\n\xff\r\n", [("USER", b"b\xc3\xb6b"), ("\xff", b"")]),
    "CR in a line": (b"NOOP\rDELE 1\r\nSTAT\r\n", ["CR or NUL in a line", ("STAT", b"")]),
    "CR CR LF": (b"NOOP\r\r\nSTAT\r\n", ["CR or NUL in a line", ("STAT", b"")]),
    "NUL": (b"LIST \0\r\nSTAT\r\n", ["CR or NUL in a line", ("STAT", b"")]),
    "as long as may be": (b"X" * (COMMAND - 2) + b"\r\n", [("X" * (COMMAND - 2), b"")]),
    "too long": (b"X" * (COMMAND - 1) + b"\r\nNOOP\r\n", ["line too long", ("NOOP", b"")]),
    "far too long": (b"X" * 9999 + b"\r\nNOOP\r\n", ["line too long", ("NOOP", b"")]),
    "a long AUTH": (b"auth X " + b"=" * 9999 + b"\r\n", [("AUTH", b"X " + b"=" * 9999)]),
    "too long an AUTH": (b"AUTH " + b"=" * SASL + b"\r\nNOOP\r\n", ["line too long", ("NOOP", b"")]),
}

REPLIES: dict[str, tuple[bytes, list[Seen]]] = {
    "yes": (b"+OK\r\n", [("ok", b"+OK\r\n")]),
    "yes with a text": (b"+OK 2 320\r\n", [("ok", b"+OK 2 320\r\n")]),
    "no": (b"-ERR [IN-USE] no\r\n", [("err", b"-ERR [IN-USE] no\r\n")]),
    "any case": (b"+ok\r\n-err\r\n", [("ok", b"+ok\r\n"), ("err", b"-err\r\n")]),
    "a challenge": (b"+ dXNlcg==\r\n", [("prompt", b"+ dXNlcg==\r\n")]),
    "an empty challenge": (b"+ \r\n+\r\n", [("prompt", b"+ \r\n"), ("prompt", b"+\r\n")]),
    "bare LF": (b"+OK\n+OK\r\n", [("ok", b"+OK\n"), ("ok", b"+OK\r\n")]),
    "CR in a reply is its own affair": (b"+OK a\rb\r\n", [("ok", b"+OK a\rb\r\n")]),
    "another protocol": (b"220 hello\r\n", ["neither +OK nor -ERR"]),
    "an empty line": (b"\r\n", ["neither +OK nor -ERR"]),
    "a text that nobody asked for": (b"+OK\r\n1 200\r\n", [("ok", b"+OK\r\n"), "neither +OK nor -ERR"]),
    "too long": (b"+OK " + b"x" * REPLY + b"\r\n", ["line too long"]),
}

TEXTS = {  # what follows a reply's line: (on the wire, the text, without its end)
    "empty": (b".\r\n", b""),
    "lines": (b"1 120\r\n2 200\r\n.\r\n", b"1 120\r\n2 200\r\n"),
    "stuffed": (b"..x\r\n\n.\r\n..\r\n.\r\n", b"..x\r\n\n.\r\n..\r\n"),
    "only CRLF . CRLF ends": (b"a\n.\nb\r\n.\nc\n.\r\n.\r\n", b"a\n.\nb\r\n.\nc\n.\r\n"),
    "looks like replies": (b"+OK\r\n-ERR\r\n.\r\n", b"+OK\r\n-ERR\r\n"),
}


def seen(reader: CommandReader | ReplyReader, *pieces: bytes) -> list[Seen]:
    """What comes out of a reader. Neighbouring pieces of a text are joined; an error of a server is the end."""
    found: list[Seen] = []
    for piece in pieces:
        reader.feed(piece)
        while True:
            try:
                event = reader.next()
            except ProtocolError as error:
                found.append(error.text)
                if isinstance(reader, ReplyReader):
                    return found
                continue
            if event is None:
                break
            if isinstance(event, Command):
                found.append((event.verb, event.arguments))
            elif isinstance(event, Response):
                found.append(("response", event.raw))
            elif isinstance(event, Reply):
                found.append(("ok" if event.ok else "prompt" if event.prompt else "err", event.raw))
            else:
                _join(found, event)
    return found


def _join(found: list[Seen], event: Text | bytes) -> None:
    octets = event if isinstance(event, bytes) else event.raw
    kind = "octets" if isinstance(event, bytes) else "text"
    last = found[-1] if found else ""
    if isinstance(last, tuple) and last[0] == kind:
        octets = last[1] + octets
        found.pop()
    found.append((kind + " end" if isinstance(event, Text) and event.last else kind, octets))


def reads(make: Callable[[], CommandReader | ReplyReader], wire: bytes, expected: list[Seen]) -> None:
    """The same comes out however the octets are cut."""
    assert seen(make(), wire) == expected
    assert seen(make(), *(bytes([octet]) for octet in wire)) == expected
    for cut in range(0, len(wire), max(1, len(wire) // 64)):
        assert seen(make(), wire[:cut], wire[cut:]) == expected


@pytest.mark.parametrize(("wire", "expected"), COMMANDS.values(), ids=COMMANDS.keys())
def test_commands(wire: bytes, expected: list[Seen]) -> None:
    reads(CommandReader, wire, expected)
    reads(CommandReader, wire + b"QUIT\r\n", [*expected, ("QUIT", b"")])
    assert seen(CommandReader(), wire + b"QUI") == expected


@pytest.mark.parametrize(("wire", "expected"), REPLIES.values(), ids=REPLIES.keys())
def test_replies(wire: bytes, expected: list[Seen]) -> None:
    reads(ReplyReader, wire, expected)
    if isinstance(expected[-1], tuple):
        reads(ReplyReader, wire + b"+OK next\r\n", [*expected, ("ok", b"+OK next\r\n")])
        assert seen(ReplyReader(), wire + b"+OK nex") == expected


@pytest.mark.parametrize(("wire", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_texts_end_where_they_end(wire: bytes, text: bytes) -> None:
    def server() -> ReplyReader:
        reader = ReplyReader()
        reader.text()
        return reader

    def client() -> CommandReader:
        reader = CommandReader()
        reader.text()
        return reader

    assert text + b".\r\n" == wire
    reads(server, wire, [("text end", wire)])
    reads(server, wire + b"+OK\r\n", [("text end", wire), ("ok", b"+OK\r\n")])
    reads(client, wire + b"QUIT\r\n", [("text end", wire), ("QUIT", b"")])


def test_a_text_is_told_only_where_the_relay_says_so() -> None:
    reader = ReplyReader()
    reader.feed(b"+OK 2 messages\r\n1 120\r\n2 200\r\n.\r\n+OK\r\n")
    assert isinstance(reader.next(), Reply)
    reader.text()
    text = reader.next()
    assert isinstance(text, Text) and text.last and text.octets == b"1 120\r\n2 200\r\n"
    assert text.raw == b"1 120\r\n2 200\r\n.\r\n"
    assert isinstance(reader.next(), Reply)
    assert reader.next() is None


def test_a_response_is_no_command() -> None:
    def reader() -> CommandReader:
        commands = CommandReader()
        commands.response()
        return commands

    reads(reader, b"QUIT\r\nQUIT\r\n", [("response", b"QUIT\r\n"), ("QUIT", b"")])
    reads(reader, b"*\n", [("response", b"*\n")])
    long = b"=" * (SASL - 2) + b"\r\n"
    reads(reader, long, [("response", long)])
    reads(reader, b"=" + long + b"*\r\n", ["line too long", ("response", b"*\r\n")])


def test_an_expected_response_can_be_called_off() -> None:
    reader = CommandReader()
    reader.response()
    reader.response(False)
    assert seen(reader, b"QUIT\r\n") == [("QUIT", b"")]


def test_an_open_reply_has_no_lines() -> None:
    reader = ReplyReader()
    reader.open()
    assert seen(reader, b"a\r\n.", b"\r\n+O", b"") == [("octets", b"a\r\n.\r\n+O")]
    reader.open(False)
    assert seen(reader, b"+OK\r\n") == [("ok", b"+OK\r\n")]


def test_what_goes_on_ends_in_crlf() -> None:
    assert Command(b"NOOP\n").line == Command(b"NOOP\r\n").line == b"NOOP\r\n"
    assert Response(b"*\n").line == b"*\r\n"
    assert Reply(b"+OK\n").line == b"+OK\r\n"
    line = b"RETR 1\r\n"
    assert Command(line).line is line


def test_rewriting_keeps_the_verb_as_it_was_written() -> None:
    assert Command(b"reTR 1\r\n").rewritten(b"2").raw == b"reTR 2\r\n"
    assert Command(b"LIST 1\r\n").rewritten(b"").raw == b"LIST\r\n"
    for octet in (b"\r", b"\n", b"\0"):
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            Command(b"RETR 1\r\n").rewritten(b"1" + octet + b"DELE 1")


def test_nothing_secret_is_printed() -> None:
    for event in (Command(b"PASS secret\r\n"), Command(b"secret\r\n"), Response(b"secret\r\n")):
        assert "secret" not in repr(event) and "SECRET" not in repr(event)


def test_a_line_without_end_costs_no_memory() -> None:
    reader = CommandReader()
    for _ in range(2000):
        reader.feed(b"x" * 65536)
        assert reader.next() is None
        assert reader.waiting <= COMMAND
    reader.feed(b"\r\nNOOP\r\n")
    with pytest.raises(ProtocolError, match="line too long"):
        reader.next()
    assert seen(reader) == [] and isinstance(reader.next(), Command)


LINES = st.lists(st.text("\r\n\0 .+OKA-ERRx").map(str.encode), max_size=12)


@given(LINES, st.booleans())
def test_cuts_make_no_difference_to_commands(pieces: list[bytes], text: bool) -> None:
    whole, cut = CommandReader(limit=8), CommandReader(limit=8)
    for reader in (whole, cut):
        if text:
            reader.text()
    assert seen(whole, b"".join(pieces)) == seen(cut, *pieces)


@given(LINES, st.booleans())
def test_cuts_make_no_difference_to_replies(pieces: list[bytes], text: bool) -> None:
    whole, cut = ReplyReader(limit=8), ReplyReader(limit=8)
    for reader in (whole, cut):
        if text:
            reader.text()
    assert seen(whole, b"".join(pieces)) == seen(cut, *pieces)


@given(LINES)
def test_commands_and_what_is_left_are_what_came(pieces: list[bytes]) -> None:
    wire = b"".join(pieces).replace(b"\r", b"").replace(b"\0", b"").replace(b"\n", b"\r\n")
    reader, raw = CommandReader(), b""
    reader.feed(wire)
    while (event := reader.next()) is not None:
        raw += event.raw
    assert raw + reader.rest() == wire


@given(st.binary())
def test_any_octets_give_events_or_a_protocol_error(octets: bytes) -> None:
    seen(CommandReader(), octets)
    seen(ReplyReader(), octets)
