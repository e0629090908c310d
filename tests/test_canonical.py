"""The canonical forms are dkimpy's, however a body is cut."""

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import example, given
from hypothesis import strategies as st

from mailweir import canonical
from mailweir.canonical import ENDS_AT_ONCE, RelaxedBody, SimpleBody, relaxed_field, simple_field

OURS = {"relaxed": RelaxedBody, "simple": SimpleBody}
THEIRS = {"relaxed": Relaxed, "simple": Simple}


def form(kind: str, *pieces: bytes) -> bytes:
    body = OURS[kind]()
    return b"".join(octets for piece in pieces for octets in body.feed(piece)) + b"".join(body.finish())


BODIES = {  # RFC 6376 3.4.5, and what else may be cut in two: (body, relaxed, simple)
    "empty": (b"", b"", b"\r\n"),
    "empty lines": (b"\r\n\r\n\r\n", b"", b"\r\n"),
    "the RFC's": (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n", b" C \r\nD \t E\r\n"),
    "no line end": (b"a", b"a\r\n", b"a\r\n"),
    "blanks and no line end": (b"a \t", b"a\r\n", b"a \t\r\n"),
    "blank lines": (b"a\r\n \r\n\t\r\n", b"a\r\n", b"a\r\n \r\n\t\r\n"),
    "empty lines inside": (b"a\r\n\r\n\r\nb\r\n", b"a\r\n\r\n\r\nb\r\n", b"a\r\n\r\n\r\nb\r\n"),
    "CR alone": (b"a\r\r\n\r", b"a\r\r\n\r\r\n", b"a\r\r\n\r\r\n"),
    "LF alone": (b"a\n\r\n\r\n", b"a\n\r\n", b"a\n\r\n"),
    "blanks before a CR alone": (b"a \t\rb", b"a \rb\r\n", b"a \t\rb\r\n"),
}


@pytest.mark.parametrize(("body", "relaxed", "simple"), BODIES.values(), ids=BODIES.keys())
def test_bodies(body: bytes, relaxed: bytes, simple: bytes) -> None:
    for kind, wanted in (("relaxed", relaxed), ("simple", simple)):
        assert form(kind, body) == wanted
        assert form(kind, *(bytes([octet]) for octet in body)) == wanted
        for cut in range(len(body)):
            assert form(kind, body[:cut], body[cut:]) == wanted


_text = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"\t", b"  ", b"x", b"."])).map(b"".join)


@given(st.lists(_text), st.sampled_from(["relaxed", "simple"]))
@example([b"\r\n" * 3, b"\r\nx"], "simple")
def test_bodies_are_dkimpys(pieces: list[bytes], kind: str) -> None:
    body = b"".join(pieces)
    whole = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    assert form(kind, *pieces) == THEIRS[kind].canonicalize_body(whole)


FIELDS = {  # (field, relaxed)
    "the RFC's": (b"A: X\r\n", b"a:X\r\n"),
    "folded": (b"B : Y\t\r\n\tZ  \r\n", b"b:Y Z\r\n"),
    "empty": (b"A:\r\n", b"a:\r\n"),
    "colons": (b"A: b:c\r\n", b"a:b:c\r\n"),
    "no line end": (b"A: b", b"a:b\r\n"),
    "LF alone": (b"A: b\n c\n", b"a:b c\r\n"),
}


@pytest.mark.parametrize(("raw", "relaxed"), FIELDS.values(), ids=FIELDS.keys())
def test_fields(raw: bytes, relaxed: bytes) -> None:
    assert relaxed_field(raw) == relaxed
    assert simple_field(raw) == (raw if raw.endswith(b"\n") else raw + b"\r\n")


@given(st.lists(st.sampled_from([b"\r\n ", b"\r\n\t", b" ", b"\t", b"x", b":"])).map(b"".join))
def test_fields_are_dkimpys(value: bytes) -> None:
    ((name, wanted),) = Relaxed.canonicalize_headers([(b"X-Name ", value + b"\r\n")])
    assert relaxed_field(b"X-Name :" + value + b"\r\n") == name + b":" + wanted


def test_withheld_line_ends_are_only_counted() -> None:
    body = RelaxedBody()
    for _ in range(100):
        assert list(body.feed(b" \r\n" * ENDS_AT_ONCE)) == []
    assert max(len(octets) for octets in body.feed(b"x")) == 2 * ENDS_AT_ONCE


def test_work_is_by_the_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a piece holds, it is searched a few times, and not line by line."""
    searches, find = 0, canonical.sz.find  # type: ignore[attr-defined]

    def counted(octets: bytes, what: bytes) -> int:
        nonlocal searches
        searches += 1
        found: int = find(octets, what)
        return found

    monkeypatch.setattr("stringzilla.find", counted)
    for line in (b" \t x \r\n", b" " * 65536, b"\r\n", b" \r \n"):
        searches = 0
        form("relaxed", line * (65536 // len(line)))
        assert searches < 24
