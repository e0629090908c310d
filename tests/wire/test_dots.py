"""One table of texts, each read whole, octet by octet, in two pieces cut anywhere, and with a tail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.dots import DotReader, stray, stuff, unstuff

TEXTS = {  # name: (on the wire without the end, what comes out)
    "empty": (b"", b""),
    "one line": (b"a\r\n", b"a\r\n"),
    "stuffed dot stays": (b"..\r\n", b"..\r\n"),
    "dot in the line": (b"a.\r\n", b"a.\r\n"),
    "dot and more": (b"..a\r\n.b\r\n", b"..a\r\n.b\r\n"),
    "almost ends, LF": (b"a\n.\nb\r\n", b"a\n.\nb\r\n"),
    "almost ends, CR": (b"a\r.\rb\r\n", b"a\r.\rb\r\n"),
    "almost ends, mixed": (b"a\r\n.\nb\n.\r\nc\r\n", b"a\r\n.\nb\n.\r\nc\r\n"),
    "CR CR LF": (b"a\r\r\n", b"a\r\r\n"),
    "blank lines": (b"\r\n\r\n", b"\r\n\r\n"),
    "any octet": (bytes(range(256)) + b"\r\n", bytes(range(256)) + b"\r\n"),
}


def read(*pieces: bytes) -> tuple[bytes, bytes | None]:
    """The text in `pieces`, and what followed its end (None: no end yet)."""
    reader, text = DotReader(), b""
    for at, piece in enumerate(pieces):
        if reader.ended:
            return text, reader.rest + b"".join(pieces[at:])
        text += b"".join(reader.feed(piece))
    return text, reader.rest if reader.ended else None


@pytest.mark.parametrize(("wire", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_text(wire: bytes, text: bytes) -> None:
    wire += b".\r\n"
    assert read(wire) == (text, b"")
    assert read(*(bytes([octet]) for octet in wire)) == (text, b"")
    assert read(wire + b"QUIT\r\n") == (text, b"QUIT\r\n")
    for cut in range(len(wire)):
        assert read(wire[:cut], wire[cut:]) == (text, b"")
        assert read(wire[:cut])[1] is None


@given(st.lists(st.text("\r\n.a").map(str.encode)))
def test_nothing_is_lost_or_added(pieces: list[bytes]) -> None:
    text, rest = read(*pieces)
    wire = b"".join(pieces)
    if rest is None:
        assert wire.startswith(text) and len(wire) - len(text) <= 4
    else:
        assert wire == text + b".\r\n" + rest


@given(st.binary())
def test_unstuff_reverses_stuff(text: bytes) -> None:
    assert unstuff(stuff(text, at_line_start=True), at_line_start=True) == text


@given(st.text("\r\na").map(str.encode))
def test_stray_is_what_is_left_without_pairs(text: bytes) -> None:
    left = text.replace(b"\r\n", b"")
    assert stray(text) == (b"\r" in left or b"\n" in left)
