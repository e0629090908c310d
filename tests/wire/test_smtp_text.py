"""Texts in pieces cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.dots import DotReader, stuff, unstuff
from mailweir.wire.smtp_text import DotWriter, HiddenEnds, Mender, Strays, stuffing

PIECES = st.lists(st.text("\r\n.a").map(str.encode), max_size=8)

STRAYS = {
    "a pair": ([b"a\r\nb"], False),
    "a pair cut in two": ([b"a\r", b"\nb"], False),
    "a pair cut by nothing": ([b"a\r", b"", b"\nb"], False),
    "LF": ([b"a\nb"], True),
    "CR": ([b"a\rb"], True),
    "CR at a seam": ([b"a\r", b"b"], True),
    "CR CR at a seam": ([b"a\r", b"\r\n"], True),
    "CR at the end": ([b"a\r"], True),
    "LF at the start": ([b"\n"], True),
}


@pytest.mark.parametrize(("pieces", "found"), STRAYS.values(), ids=STRAYS.keys())
def test_strays(pieces: list[bytes], found: bool) -> None:
    strays = Strays()
    last = len(pieces) - 1
    assert any(strays.found(piece, end=at == last) for at, piece in enumerate(pieces)) == found


@given(PIECES)
def test_strays_are_what_is_left_without_pairs(pieces: list[bytes]) -> None:
    strays = Strays()
    found = any([strays.found(piece) for piece in pieces] + [strays.found(b"", end=True)])
    left = b"".join(pieces).replace(b"\r\n", b"")
    assert found == (b"\r" in left or b"\n" in left)


MENDED = {
    "a pair": ([b"a\r\nb"], b"a\r\nb"),
    "a pair cut in two": ([b"a\r", b"\nb"], b"a\r\nb"),
    "LF": ([b"a\nb"], b"a\r\nb"),
    "LF at a seam": ([b"a", b"\n", b"b"], b"a\r\nb"),
    "LF LF": ([b"\n\n"], b"\r\n\r\n"),
    "LF behind a pair": ([b"\r", b"\n\n"], b"\r\n\r\n"),
    "CR": ([b"a\rb"], None),
    "CR at a seam": ([b"a\r", b"b"], None),
    "CR CR LF": ([b"a\r", b"\r\n"], None),
    "CR at the end": ([b"a\r"], None),
}


def mended(pieces: list[bytes]) -> bytes | None:
    mender, out = Mender(), b""
    for at, piece in enumerate([*pieces, b""]):
        octets = mender.mend(piece, end=at == len(pieces))
        if octets is None:
            return None
        assert not octets.endswith(b"\r") and not (out.endswith(b"\r") and octets.startswith(b"\n"))
        out += octets
    return out


@pytest.mark.parametrize(("pieces", "text"), MENDED.values(), ids=MENDED.keys())
def test_mended(pieces: list[bytes], text: bytes | None) -> None:
    assert mended(pieces) == text


@given(PIECES)
def test_mended_texts_are_lines_however_they_are_cut(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    out = mended(pieces)
    assert out == mended([text])
    if b"\r" in text.replace(b"\r\n", b""):
        assert out is None
    else:
        assert out == text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@given(PIECES)
def test_a_mended_text_ends_once(pieces: list[bytes]) -> None:
    """As it goes up by DATA: what was mended is stuffed by the lines that it has now."""
    writer, mender, wire = DotWriter(), Mender(), b""
    for piece in pieces:
        octets = mender.mend(piece)
        if octets is None:
            return
        wire += writer.write(octets)
    if mender.mend(b"", end=True) is None:
        return
    wire += writer.end()
    assert (b"\r\n" + wire).count(b"\r\n.\r\n") == 1 and wire.endswith(b".\r\n")
    assert not set(b"\r\n") & set(wire.replace(b"\r\n", b""))


@given(PIECES)
def test_what_is_written_is_read_again(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    writer = DotWriter()
    wire = b"".join(writer.write(piece) for piece in pieces) + writer.end()
    reader = DotReader()
    read = unstuff(b"".join(reader.feed(wire)), at_line_start=True)
    assert reader.ended and reader.rest == b""
    assert read == text if text.endswith(b"\r\n") or not text else read == text + b"\r\n"


@given(st.text("\r\n.a").map(str.encode), st.booleans())
def test_stuffing_is_what_stuff_adds(text: bytes, at_line_start: bool) -> None:
    stuffed = stuff(text, at_line_start=at_line_start)
    assert stuffing(stuffed, at_line_start=at_line_start) == len(stuffed) - len(text)


HIDDEN = {  # is it one: in a stuffed text, in one that is not
    b"a\r\n. \r\n": (True, False),
    b"a\r\n.\t \x0b\x0c\x1f\x7f\r\n": (True, False),
    b"a\r\n.\x85\r\n": (True, False),
    b"a\r\n.\xc2\x85\xc2\xa0\r\n": (True, False),
    b"a\r\n.\0\r\n": (True, False),
    b"a\r\n\0.\r\n": (True, True),
    b"a\r\n\0\0. \0\r\n": (True, True),
    b".\0\r\n": (True, False),
    b"\0.\r\n": (True, True),
    b"a\r\n..\r\n": (False, False),
    b"a\r\n.. \r\n": (False, False),
    b"a\r\n.a\r\n": (False, False),
    b"a\r\n. a\r\n": (False, False),
    b"a\r\n.\xc2\xab\r\n": (False, False),
    b"a\r\n .\r\n": (False, False),
    b"a\r\n\0a.\r\n": (False, False),
    b"a\0.\r\n": (False, False),
    "их.\r\n".encode(): (False, False),
}


@pytest.mark.parametrize(("text", "hidden"), HIDDEN.items(), ids=repr)
def test_hidden_ends(text: bytes, hidden: tuple[bool, bool]) -> None:
    for stuffed, wanted in zip((True, False), hidden, strict=True):
        for size in (1, 2, 3, len(text)):
            ends = HiddenEnds()
            found = [ends.found(text[at : at + size], stuffed=stuffed) for at in range(0, len(text), size)]
            assert any(found) is wanted, (stuffed, size)
        ends = HiddenEnds()
        assert [ends.found(piece, stuffed=stuffed) for piece in (text + b"..a\r\n", b"b")] == [wanted, False]


@given(st.lists(st.binary(max_size=3) | st.sampled_from([b"\r\n", b".", b"\0", b" ", b"\xc2", b"\x85"])))
def test_hidden_ends_however_cut(pieces: list[bytes]) -> None:
    for stuffed in (True, False):
        ends = HiddenEnds()
        found = any(ends.found(piece, stuffed=stuffed) for piece in pieces)
        assert found is HiddenEnds().found(b"".join(pieces), stuffed=stuffed)
