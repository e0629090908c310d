"""Lines and counted octets, whole and dripped, within limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.buffer import Buffer
from mailweir.wire.errors import LineTooLong


def lines(pieces: list[bytes], limit: int = 16, end: bytes = b"\r\n") -> tuple[list[bytes | str], bytes]:
    """All lines in `pieces` ("long" for one that was skipped), and what is left."""
    buffer, found = Buffer(), list[bytes | str]()
    for piece in pieces:
        buffer.feed(piece)
        while True:
            try:
                line = buffer.line(limit, end)
            except LineTooLong:
                found.append("long")
                continue
            if line is None:
                break
            found.append(line)
    return found, buffer.rest()


ROWS: dict[str, tuple[bytes, list[bytes | str], bytes]] = {
    "one": (b"NOOP\r\n", [b"NOOP\r\n"], b""),
    "two and a half": (b"a\r\nb\r\nc", [b"a\r\n", b"b\r\n"], b"c"),
    "bare LF is no end": (b"a\nb\r\n", [b"a\nb\r\n"], b""),
    "as long as may be": (b"x" * 14 + b"\r\n", [b"x" * 14 + b"\r\n"], b""),
    "too long": (b"x" * 15 + b"\r\na\r\n", ["long", b"a\r\n"], b""),
    "much too long": (b"x" * 900 + b"\r\na\r\n", ["long", b"a\r\n"], b""),
    "empty": (b"\r\n\r\n", [b"\r\n", b"\r\n"], b""),
}


@pytest.mark.parametrize(("wire", "found", "rest"), ROWS.values(), ids=ROWS.keys())
def test_lines(wire: bytes, found: list[bytes | str], rest: bytes) -> None:
    assert lines([wire]) == (found, rest)
    assert lines([bytes([octet]) for octet in wire]) == (found, rest)
    for cut in range(len(wire)):
        assert lines([wire[:cut], wire[cut:]]) == (found, rest)


def test_lf_lines() -> None:
    assert lines([b"a\nb\r", b"\n"], end=b"\n") == ([b"a\n", b"b\r\n"], b"")


def test_a_line_without_end_takes_no_memory() -> None:
    buffer = Buffer()
    for _ in range(1000):
        buffer.feed(b"x" * 1000)
        assert buffer.line(512) is None
        assert len(buffer) <= 1


def test_a_partial_line_behind_many_does_not_keep_them() -> None:
    buffer = Buffer()
    for _ in range(1000):
        buffer.feed(b"x" * 5000 + b"\r\nabc")
        assert buffer.line(10000) is not None
        assert len(buffer) < 10000
        assert len(buffer._data) < 20000


def test_take_and_peek() -> None:
    buffer = Buffer()
    buffer.feed(b"abcdef")
    assert (buffer.peek(2), buffer.take(2), len(buffer)) == (b"ab", b"ab", 4)
    buffer.feed(b"gh")
    assert (buffer.take(5), buffer.take(5), buffer.take(5)) == (b"cdefg", b"h", b"")


@given(st.lists(st.text("ab\r\n").map(str.encode)), st.integers(2, 6))
def test_any_cut_gives_the_same_lines(pieces: list[bytes], limit: int) -> None:
    assert lines(pieces, limit)[0] == lines([b"".join(pieces)], limit)[0]
