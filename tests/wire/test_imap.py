"""Commands, each read whole, octet by octet, in two pieces cut anywhere, and with a tail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap import LINE, ClientReader, CommandLine, Event, Line, Octets

Seen = list[tuple[str, ...]]

UNITS = {  # name: (on the wire, what is seen: lines as they leave, literals in one piece, faults)
    "plain": (b"a1 NOOP\r\n", [("a1", "NOOP", "a1 NOOP\r\n")]),
    "any case": (b"a1 nOOp\r\n", [("a1", "NOOP", "a1 nOOp\r\n")]),
    "second word": (b"a uid fetch 1:* ALL\r\n", [("a", "UID FETCH", "a uid fetch 1:* ALL\r\n")]),
    "odd tag": (b"]a.!1 NOOP\r\n", [("]a.!1", "NOOP", "]a.!1 NOOP\r\n")]),
    "plus is no tag": (b"+ NOOP\r\n", [("", "NOOP", "+ NOOP\r\n")]),
    "quoted tag": (b'"a" NOOP\r\n', [("", "NOOP", '"a" NOOP\r\n')]),
    "empty line": (b"\r\n", [("", "", "\r\n")]),
    "no command": (b"a1\r\n", [("a1", "", "a1\r\n")]),
    "two blanks": (b"a1  NOOP\r\n", [("a1", "", "a1  NOOP\r\n")]),
    "tab": (b"a1 COMPRESS\tDEFLATE\r\n", [("a1", "", "a1 COMPRESS\tDEFLATE\r\n")]),
    "UID alone": (b"a1 UID\r\n", [("a1", "", "a1 UID\r\n")]),
    "bare LF": (b"a1 NOOP\n", [("a1", "NOOP", "a1 NOOP\r\n")]),
    "bare CR": (b"a1 NOOP\rx\r\n", [("a1", "", "a1 NOOP\rx\r\n", "CR or NUL in a line")]),
    "NUL": (b"a1 LIST \0\r\n", [("a1", "LIST", "a1 LIST \0\r\n", "CR or NUL in a line")]),
    "non-synchronising literal": (
        b"a1 LOGIN {3+}\r\nann {4+}\r\n\r\n\0x\r\n",
        [
            ("a1", "LOGIN", "a1 LOGIN {3}\r\n"),
            ("ann",),
            ("more", " {4}\r\n"),
            ("\r\n\0x",),
            ("more", "\r\n"),
        ],
    ),
    "synchronising literal": (
        b"a1 LOGIN {3}\r\nann pw\r\n",
        [("a1", "LOGIN", "a1 LOGIN {3}\r\n"), ("ann",), ("more", " pw\r\n")],
    ),
    "empty literal": (
        b"a1 LOGIN {0+}\r\n pw\r\n",
        [("a1", "LOGIN", "a1 LOGIN {0}\r\n"), ("",), ("more", " pw\r\n")],
    ),
    "literal8": (
        b"a1 APPEND x ~{2+}\r\n\0)\r\n",
        [("a1", "APPEND", "a1 APPEND x ~{2}\r\n"), ("\0)",), ("more", "\r\n")],
    ),
    "literal in a list": (
        b"a1 APPEND x UTF8 (~{1+}\r\nx)\r\n",
        [("a1", "APPEND", "a1 APPEND x UTF8 (~{1}\r\n"), ("x",), ("more", ")\r\n")],
    ),
    "literal in a section": (
        b'a1 FETCH 1 BODY[HEADER.FIELDS ("X]" {3+}\r\nFoo)]\r\n',
        [
            ("a1", "FETCH", 'a1 FETCH 1 BODY[HEADER.FIELDS ("X]" {3}\r\n'),
            ("Foo",),
            ("more", ")]\r\n"),
        ],
    ),
    "literal and bare LF": (
        b"a1 LOGIN {3+}\nann x\n",
        [("a1", "LOGIN", "a1 LOGIN {3}\r\n"), ("ann",), ("more", " x\r\n")],
    ),
    "bare CR and a literal": (
        b"a1 X\r {1+}\r\nx\r\n",
        [("a1", "", "a1 X\r {1}\r\n", "CR or NUL in a line"), ("x",), ("more", "\r\n")],
    ),
    "quoted": (b'a1 LOGIN a "x{3}"\r\n', [("a1", "LOGIN", 'a1 LOGIN a "x{3}"\r\n')]),
    "escaped": (
        b'a1 LOGIN "\\"" {1+}\r\nx\r\n',
        [("a1", "LOGIN", 'a1 LOGIN "\\"" {1}\r\n'), ("x",), ("more", "\r\n")],
    ),
    "in an open quote": (
        b'a1 LOGIN a "x {3+}\r\n',
        [("a1", "LOGIN", 'a1 LOGIN a "x {3+}\r\n', "literal in a quoted string")],
    ),
    "glued to an atom": (
        b"a1 LOGIN a pass{3}\r\n",
        [("a1", "LOGIN", "a1 LOGIN a pass{3}\r\n", "literal out of place")],
    ),
    "number too large": (
        b"a1 X {99999999999999999999}\r\n",
        [("a1", "X", "a1 X {99999999999999999999}\r\n", "literal out of place")],
    ),
    "minus": (b"a1 X {3-}\r\n", [("a1", "X", "a1 X {3-}\r\n")]),
    "blank in the braces": (b"a1 X {3 }\r\n", [("a1", "X", "a1 X {3 }\r\n")]),
    "text behind": (b"a1 X {3} \r\n", [("a1", "X", "a1 X {3} \r\n")]),
}
FATAL = {
    "glued and not waiting": b"a1 LOGIN a pass{3+}\r\nabc\r\n",
    "too large and not waiting": b"a1 X {99999999999999999999+}\r\n",
    "line too long": b"a1 X " + LINE * b"x" + b"\r\n",
    "too much before login": b"a1 X {16385+}\r\n",
    "too much in parts": b"a1 X {9000+}\r\n" + 9000 * b"x" + b" {9000+}\r\n",
}


def row(event: Event) -> tuple[str, ...]:
    if isinstance(event, Octets):
        return (event.raw.decode("latin-1"),)
    fault = (event.fault,) if event.fault else ()
    line = event.octets.decode("latin-1")
    if isinstance(event, CommandLine):
        return (event.tag.decode(), event.name, line, *fault)
    return ("more", line, *fault)


def read(*pieces: bytes, limit: int = 16384) -> tuple[Seen, bytes, ClientReader]:
    """What was seen, the octets of all events, and the reader."""
    reader, seen, raw, inside = ClientReader(limit), Seen(), b"", False
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next()) is not None:
            raw += event.raw
            if isinstance(event, Octets) and inside:
                seen[-1] = (seen[-1][0] + event.raw.decode("latin-1"),)
            else:
                seen.append(row(event))
            inside = isinstance(event, Octets) and not event.last
            if isinstance(event, Line) and event.literal and event.literal.sync:
                assert reader.next() is None
                reader.literal_follows()
    return seen, raw, reader


@pytest.mark.parametrize(("wire", "seen"), UNITS.values(), ids=UNITS.keys())
def test_unit(wire: bytes, seen: Seen) -> None:
    assert read(wire)[:2] == (seen, wire)
    assert read(*(bytes([octet]) for octet in wire))[:2] == (seen, wire)
    assert read(wire + b"z NOOP\r\n")[0] == [*seen, ("z", "NOOP", "z NOOP\r\n")]
    for cut in range(len(wire)):
        assert read(wire[:cut], wire[cut:])[0] == seen
        assert read(wire[:cut])[0] != seen


@pytest.mark.parametrize("wire", FATAL.values(), ids=FATAL.keys())
def test_fatal(wire: bytes) -> None:
    for pieces in ([wire], [wire[at : at + 1000] for at in range(0, len(wire), 1000)]):
        with pytest.raises(ProtocolError) as error:
            read(*pieces)
        assert error.value.fatal


def test_after_login_literals_have_no_limit() -> None:
    assert read(b"a1 X {4294967296+}\r\nabc", limit=0)[0] == [("a1", "X", "a1 X {4294967296}\r\n"), ("abc",)]


def test_refused_literal_is_not_eaten() -> None:
    reader = ClientReader()
    reader.feed(b"a1 APPEND nosuch {5}\r\na2 NOOP\r\n")
    assert isinstance(reader.next(), CommandLine)
    assert reader.next() is None
    reader.unit_over()
    event = reader.next()
    assert isinstance(event, CommandLine) and event.tag == b"a2"


def test_dialogue_lines_have_no_tag_and_no_literal() -> None:
    reader = ClientReader()
    reader.dialogue = True
    reader.feed(b"DONE\r\nabc {3+}\r\n*\n")
    events = [reader.next() for _ in range(3)]
    assert [event.text for event in events if isinstance(event, Line)] == [b"DONE", b"abc {3+}", b"*"]
    reader.dialogue = False
    reader.feed(b"a1 NOOP\r\nleft")
    assert isinstance(reader.next(), CommandLine)
    assert (reader.rest(), reader.rest()) == (b"left", b"")


def test_arguments_stand_before_the_first_literal() -> None:
    reader = ClientReader()
    reader.feed(b'a1 UID FETCH 1 BODY[HEADER.FIELDS ("X" {3}\r\n')
    event = reader.next()
    assert isinstance(event, CommandLine) and event.arguments == b'1 BODY[HEADER.FIELDS ("X" '


@given(
    st.lists(
        st.sampled_from([b"a1 X ", b"{3+}", b" ~{2}", b'"', b"\\", b"\r\n", b"\n", b"\r", b"xyz", b"\0"])
    )
)
def test_cut_anywhere_the_same_or_an_error(tokens: list[bytes]) -> None:
    wire = b"".join(tokens)
    results: list[object] = []
    for pieces in (
        [wire],
        [bytes([octet]) for octet in wire],
        [wire[: len(wire) // 2], wire[len(wire) // 2 :]],
    ):
        try:
            seen, raw, _ = read(*pieces)
            assert wire.startswith(raw)
            results.append(seen)
        except ProtocolError as error:
            results.append(error.text)
    assert results[0] == results[1] == results[2]
