"""Responses, each read whole, octet by octet, in two pieces cut anywhere, and with a tail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap_responses import LINE, LONG, Continue, ServerReader, Tagged, Untagged

Seen = list[str | bytes]

RESPONSES = {  # name: (on the wire, what is seen: names of what is understood, data in one piece)
    "completion": (b"a1 OK done\r\n", ["a1 OK"]),
    "no text": (b"a1 no\r\n", ["a1 NO"]),
    "greeting": (b"* OK [CAPABILITY IMAP4rev1] hi\r\n", ["* OK"]),
    "any case": (b"* capability IMAP4rev1\r\n", ["* CAPABILITY"]),
    "go on": (b"+ idling\r\n", ["+"]),
    "go on, old": (b"+\r\n", ["+"]),
    "data": (b"* 3 EXISTS\r\n* FLAGS (\\Seen)\r\n", [b"* 3 EXISTS\r\n* FLAGS (\\Seen)\r\n"]),
    "mixed": (
        b"* 3 EXISTS\r\n* OK x\r\n* 4 RECENT\r\na1 OK x\r\n",
        [b"* 3 EXISTS\r\n", "* OK", b"* 4 RECENT\r\n", "a1 OK"],
    ),
    "status text is no literal": (
        b"a1 OK done {5}\r\n* OK [ALERT] see {3}\r\n+ x {4}\r\n* 1 EXISTS\r\n",
        ["a1 OK", "* OK", "+", b"* 1 EXISTS\r\n"],
    ),
    "literal that looks like protocol": (
        b"* 1 FETCH (BODY[] {19}\r\n)\r\na1 OK done\r\n{9}\0 UID 7)\r\na1 OK x\r\n",
        [b"* 1 FETCH (BODY[] {19}\r\n)\r\na1 OK done\r\n{9}\0 UID 7)\r\n", "a1 OK"],
    ),
    "literal8": (
        b"* 1 FETCH (BINARY[1] ~{2}\r\n\0\r)\r\na1 OK x\r\n",
        [b"* 1 FETCH (BINARY[1] ~{2}\r\n\0\r)\r\n", "a1 OK"],
    ),
    "empty literal": (
        b"* 1 FETCH (BODY[] {0}\r\n)\r\na1 OK x\r\n",
        [b"* 1 FETCH (BODY[] {0}\r\n)\r\n", "a1 OK"],
    ),
    "two literals": (
        b"* 1 FETCH (A {2}\r\n{}B {3}\r\n\r\n*)\r\na1 OK x\r\n",
        [b"* 1 FETCH (A {2}\r\n{}B {3}\r\n\r\n*)\r\n", "a1 OK"],
    ),
    "quoted": (
        b'* 1 FETCH (BODY[TEXT] "a)b\\"] {5}")\r\n* LIST () "/" "x {3}\r\na1 OK x\r\n',
        [b'* 1 FETCH (BODY[TEXT] "a)b\\"] {5}")\r\n* LIST () "/" "x {3}\r\n', "a1 OK"],
    ),
    "section": (
        b'* 1 FETCH (BODY[HEADER.FIELDS ("X]Y")] NIL)\r\na1 OK x\r\n',
        [b'* 1 FETCH (BODY[HEADER.FIELDS ("X]Y")] NIL)\r\n', "a1 OK"],
    ),
    "bare LF": (b"* 3 EXISTS\n* 1 X {1}\n\n)\na1 OK x\n", [b"* 3 EXISTS\r\n* 1 X {1}\r\n\n)\r\n", "a1 OK"]),
    "long data": (
        b'* X "' + 3 * LONG * b"\\\\" + b'" {3}\r\na b\r\na1 OK x\r\n',
        [b'* X "' + 3 * LONG * b"\\\\" + b'" {3}\r\na b\r\n', "a1 OK"],
    ),
    "long data, no literal": (
        b'* X "' + 3 * LONG * b"x" + b" {3}\r\na1 OK x\r\n",
        [b'* X "' + 3 * LONG * b"x" + b" {3}\r\n", "a1 OK"],
    ),
}
FATAL = {
    "no response": b"hello\r\n",
    "empty": b"\r\n",
    "star alone": b"*\r\n",
    "bare CR": b"* 1 X\ry\r\n",
    "bare CR in long data": b"* X \r" + 3 * LONG * b"x",
    "long text": b"* OK " + LINE * b"x" + b"\r\n",
    "no status": b"a1 EXISTS\r\n",
}


def read(*pieces: bytes) -> tuple[Seen, bytes, ServerReader]:
    reader, seen, raw = ServerReader(), Seen(), b""
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next()) is not None:
            if isinstance(event, bytes):
                raw += event
                if seen and isinstance(last := seen[-1], bytes):
                    seen[-1] = last + event
                else:
                    seen.append(event)
                continue
            raw += event.raw
            assert reader.border
            if isinstance(event, Tagged):
                seen.append(f"{event.tag.decode()} {event.status}")
            elif isinstance(event, Untagged):
                seen.append(f"* {event.name}")
            else:
                assert isinstance(event, Continue)
                seen.append("+")
    return seen, raw, reader


@pytest.mark.parametrize(("wire", "seen"), RESPONSES.values(), ids=RESPONSES.keys())
def test_response(wire: bytes, seen: Seen) -> None:
    assert read(wire)[0] == seen
    assert read(wire)[2].border
    assert read(*(bytes([octet]) for octet in wire))[0] == seen
    assert read(wire + b"z OK\r\nz2 O")[0] == [*seen, "z OK"]
    for cut in range(0, len(wire), max(1, len(wire) // 100)):
        assert read(wire[:cut], wire[cut:])[0] == seen
    if b"\n" not in wire.replace(b"\r\n", b""):
        assert read(wire)[1] == wire


@pytest.mark.parametrize("wire", FATAL.values(), ids=FATAL.keys())
def test_fatal(wire: bytes) -> None:
    for pieces in ([wire], [wire[at : at + 1000] for at in range(0, len(wire), 1000)]):
        with pytest.raises(ProtocolError) as error:
            read(*pieces)
        assert error.value.fatal


def test_literal_comes_in_the_pieces_it_came_in() -> None:
    reader = ServerReader()
    reader.feed(b"* 1 FETCH (BODY[] {1000000}\r\nab")
    assert reader.next() == b"* 1 FETCH (BODY[] {1000000}\r\nab"
    assert not reader.border
    piece = bytes(65536)
    reader.feed(piece)
    assert reader.next() is piece
    assert reader.next() is None


def test_long_line_is_not_kept() -> None:
    reader = ServerReader()
    reader.feed(b"* SEARCH" + 40000 * b" 1")
    piece = reader.next()
    assert isinstance(piece, bytes) and len(piece) > LONG
    assert not reader.border
    assert len(reader.rest()) < 100


@given(
    st.lists(
        st.sampled_from(
            [
                b"* 1 X ",
                b"* OK ",
                b"a1 OK ",
                b"{3}",
                b" ~{2}",
                b'"',
                b"\\",
                b"\r\n",
                b"\n",
                b"\r",
                b"xyz",
                b"+ ",
            ]
        )
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
            seen, raw, reader = read(*pieces)
            assert raw + reader.rest() == wire or b"\n" in wire.replace(b"\r\n", b"")
            results.append(seen)
        except ProtocolError as error:
            results.append(error.text)
    assert results[0] == results[1] == results[2]
