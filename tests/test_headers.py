"""Untouched fields keep their octets whatever is done to the others; hostile blocks cost linear work."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir import headers as module
from mailweir.headers import (
    BLOCK,
    FIELD,
    FIELDS,
    RECEIVED,
    Field,
    HeaderError,
    Headers,
    HeaderTooBig,
    decoded,
    text_of,
)

BLOCKS: dict[str, tuple[bytes, list[tuple[str, str]]]] = {  # name: (block, name and value of its fields)
    "one field": (b"From: a@example.org\r\n\r\n", [("from", "a@example.org")]),
    "no fields": (b"\r\n", []),
    "nothing at all": (b"", []),
    "folded": (b"Subject: a\r\n b\r\n\tc\r\nTo: d\r\n\r\n", [("subject", "a b\tc"), ("to", "d")]),
    "no empty line": (b"From: a\r\nTo: b\r\n", [("from", "a"), ("to", "b")]),
    "no final CRLF": (b"From: a\r\nTo: b", [("from", "a"), ("to", "b")]),
    "blank before the colon": (b"From \t: a\r\n\r\n", [("from", "a")]),
    "empty value": (b"From:\r\nTo: \r\n\r\n", [("from", ""), ("to", "")]),
    "blanks only in a folding": (b"Subject:\r\n \r\n a\r\n\r\n", [("subject", "a")]),
    "not a field": (b"From: a\r\nno field\r\nTo: b\r\n\r\n", [("from", "a"), ("", ""), ("to", "b")]),
    "blank in the name": (b"Content Type: a\r\n\r\n", [("", "a")]),
    "octets beyond ASCII in the name": (b"Fr\xc3\xb6m: a\r\n\r\n", [("", "a")]),
    "begins with a folding": (b" a: b\r\nTo: c\r\n\r\n", [("", "b"), ("to", "c")]),
    "UTF-8": (b"Subject: gr\xc3\xbcn\r\n\r\n", [("subject", "grün")]),
    "Latin-1": (b"Subject: gr\xfcn\r\n\r\n", [("subject", "grün")]),
    "LF alone": (b"From: a\nTo: b\n c\n\n", [("from", "a"), ("to", "b c")]),
    "LF alone, empty line in mid-block": (b"From: a\n\n b: c\r\n\r\n", [("from", "a")]),
    "CR alone is no line end": (b"From: a\rTo: b\r\n\r\n", [("from", "a\rTo: b")]),
    "CR CR LF": (b"From: a\r\r\nTo: b\r\n\r\n", [("from", "a"), ("to", "b")]),
}


@pytest.mark.parametrize(("block", "fields"), BLOCKS.values(), ids=BLOCKS.keys())
def test_fields(block: bytes, fields: list[tuple[str, str]]) -> None:
    headers = Headers(block)
    assert [(field.name, field.value) for field in headers] == fields
    assert len(headers) == len(fields)
    assert headers.octets() == block
    for name, _ in fields:
        assert headers.get_all(name.upper()) == [value for other, value in fields if other == name]
        assert headers.get(name.upper()) == headers.get_all(name)[0]


@pytest.mark.parametrize(("block", "fields"), BLOCKS.values(), ids=BLOCKS.keys())
def test_added_fields_stand_at_the_ends(block: bytes, fields: list[tuple[str, str]]) -> None:
    headers = Headers(block)
    headers.add("X-Low", "1", top=False)
    if block.startswith(b" "):
        with pytest.raises(HeaderError, match="belongs to nothing"):
            headers.add("X-Second", "2")
        return
    headers.add("X-Second", "2")
    headers.add("X-First", "3\r\n 4")
    after = [("x-first", "3 4"), ("x-second", "2"), *fields, ("x-low", "1")]
    assert [(field.name, field.value) for field in headers] == after
    assert [(field.name, field.value) for field in Headers(headers.octets())] == after


def test_what_stands_behind_an_empty_line_in_mid_block_stays_there() -> None:
    headers = Headers(b"From: a\n\nbody: b\r\n\r\n")
    headers.add("X-Low", "1", top=False)
    assert headers.octets() == b"From: a\nX-Low: 1\r\n\nbody: b\r\n\r\n"


def test_a_field_below_one_without_an_end_begins_its_own_line() -> None:
    headers = Headers(b"From: a")
    headers.add("X-Low", "1", top=False)
    assert headers.octets() == b"From: a\r\nX-Low: 1\r\n"


def test_adding_on_top_looks_at_nothing() -> None:
    block = b"x" * 10 * BLOCK
    headers = Headers(block)
    headers.add("X-Seen", "yes")
    assert headers.octets() == b"X-Seen: yes\r\n" + block


def test_remove_and_replace() -> None:
    headers = Headers(b"A: 1\r\nB: 2\r\na : 3\r\nC: 4\r\n\r\n")
    assert headers.remove("a") == 2
    assert headers.remove("a") == 0
    (field,) = (field for field in headers if field.name == "b")
    headers.replace(field, "5")
    assert headers.octets() == b"B: 5\r\nC: 4\r\n\r\n"
    with pytest.raises(HeaderError, match="no longer"):
        headers.replace(field, "6")


def test_removing_nothing_is_no_edit() -> None:
    headers = Headers(b"A: 1\r\n\r\n")
    assert headers.remove("b") == 0
    assert not headers.edited


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "a"),
        ("A B", "a"),
        ("A:", "a"),
        ("Ä", "a"),
        ("A\r\nB", "a"),
        ("A", "a\r\nB: b"),
        ("A", "a\r\n"),
        ("A", "a\nb"),
        ("A", "a\rb"),
        ("A", "a\r\n \r\n"),
        ("A", "a\0"),
        ("A", "\ud800"),
    ],
)
def test_what_can_not_stand_in_a_message_is_refused(name: str, value: str) -> None:
    headers = Headers(b"From: a\r\n\r\n")
    with pytest.raises(HeaderError):
        headers.add(name, value)
    assert headers.octets() == b"From: a\r\n\r\n"


_name = st.sampled_from(["A", "b", "X-Long-Name"])
_raw = st.one_of(
    st.builds(lambda name, value: name.encode() + b":" + value + b"\r\n", _name, st.binary(max_size=9)),
    st.just(b"a:\r\n \t\r\n folded\r\n"),
    st.just(b"not a field\r\n"),
).filter(lambda raw: b"\n" not in raw[:-2] or raw.startswith(b"a:\r\n"))
_edit = st.one_of(
    st.tuples(st.just("add"), _name, st.booleans()),
    st.tuples(st.just("remove"), _name, st.just(True)),
    st.tuples(st.just("replace"), _name, st.just(True)),
)


@given(st.lists(_raw, max_size=8), st.lists(_edit, max_size=8))
def test_untouched_fields_keep_their_octets(raws: list[bytes], edits: list[tuple[str, str, bool]]) -> None:
    headers = Headers(b"".join(raws) + b"\r\n")
    model = [(raw.partition(b":")[0].lower() if b":" in raw else b"", raw) for raw in raws]
    for what, name, top in edits:
        key, line = name.lower().encode(), f"{name}: new".encode() + b"\r\n"
        if what == "add":
            headers.add(name, "new", top=top)
            model.insert(0 if top else len(model), (key, line))
        elif what == "remove":
            headers.remove(name)
            model = [entry for entry in model if entry[0] != key]
        else:
            found = next((field for field in headers if field.name == name.lower()), None)
            at = next((at for at, entry in enumerate(model) if entry[0] == key), None)
            assert (found is None) == (at is None)
            if found is not None and at is not None:
                headers.replace(found, "new")
                model[at] = (key, model[at][1].partition(b":")[0] + b": new\r\n")
    assert headers.octets() == b"".join(raw for _, raw in model) + b"\r\n"


@given(st.binary(), st.booleans())
def test_any_block_comes_out_again(block: bytes, bottom: bool) -> None:
    headers = Headers(block)
    fields = [field.raw for field in headers]
    assert block.startswith(b"".join(fields))
    headers.add("X", "y", top=not bottom and block[:1] not in (b" ", b"\t"))
    left = headers.octets().replace(b"X: y\r\n", b"", 1)
    assert left == block or left == b"".join(fields) + b"\r\n"


def test_limits() -> None:
    enough = Headers(b"A: b\r\n" * FIELDS + b"\r\n")
    assert len(enough) == FIELDS
    with pytest.raises(HeaderTooBig, match="more than"):
        len(Headers(b"A: b\r\n" * (FIELDS + 1)))
    with pytest.raises(HeaderTooBig, match="octets"):
        Headers(b"A: " + b"b" * BLOCK).get("a")
    assert len(Field(b"A: " + b"b" * (FIELD - 3)).value) == FIELD - 3
    with pytest.raises(HeaderTooBig, match="field a"):
        _ = Field(b"A: " + b"b" * FIELD).value
    assert len(Field(b"Received: " + b"b" * FIELD).value) == FIELD
    with pytest.raises(HeaderTooBig, match="field received"):
        _ = Field(b"Received: " + b"b" * RECEIVED).value


def test_a_hundred_thousand_lines_are_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    class Counted(Field):
        __slots__ = ()

        def __init__(self, raw: bytes) -> None:
            nonlocal made
            made += 1
            super().__init__(raw)

    monkeypatch.setattr(module, "Field", Counted)
    with pytest.raises(HeaderTooBig):
        len(Headers(b":\r\n" * (BLOCK // 3)))
    assert made <= FIELDS + 1
    made = 0
    assert len(Headers(b"A:\r\n" + b" \r\n" * 80_000)) == 1  # one field, folded eighty thousand times
    assert made == 1


def test_no_pattern_can_backtrack() -> None:
    """Each repetition is possessive, bounded, or of a class that what follows it can't belong to."""
    assert "*+" in module._FIELD.pattern.decode() and "*[^+]" not in module._FIELD.pattern.decode()
    steps = re.findall(r"\]([*+]\+?|\{[\d,]+\})", module._WORD.pattern)
    assert steps == ["{1,40}", "{0,20}", "*+"]


WORDS = {
    "plain": ("invoice.pdf", "invoice.pdf"),
    "Q": ("=?utf-8?q?gr=C3=BCn_x?=", "grün x"),
    "B": ("=?UTF-8?B?Z3LDvG4=?=", "grün"),
    "B without padding": ("=?UTF-8?B?Z3LDvG4?=", "grün"),
    "Latin-1": ("=?iso-8859-1?Q?gr=FCn?=", "grün"),
    "language (RFC 2231 5)": ("=?us-ascii*en?Q?hi?=", "hi"),
    "two, the blank between goes": ("=?utf-8?q?a?= \t=?utf-8?q?b?=", "ab"),
    "a character cut in two": ("=?utf-8?b?w7w?= =?utf-8?q?=C3?= =?utf-8?q?=BC?=", "üü"),
    "two charsets": ("=?utf-8?q?=C3=BC?= =?iso-8859-1?q?=FC?=", "üü"),
    "text between": ("x =?utf-8?q?a?= y =?utf-8?q?b?= z", "x a y b z"),
    "within a word, as nobody should": ("a=?utf-8?q?b?=c", "abc"),
    "blanks inside, as nobody should": ("=?utf-8?q?a b?=", "a b"),
    "not base64": ("=?utf-8?b?A?= =?utf-8?q?b?=", "=?utf-8?b?A?= b"),
    "unknown charset": ("=?x-none?q?=C3=BC?=", "ü"),
    "a charset that is slow": ("=?idna?q?xn--a?=", "xn--a"),
    "a charset that is no charset": ("=?rot13?q?abc?=", "abc"),
    "broken UTF-8": ("=?utf-8?q?=FF?=", "\N{REPLACEMENT CHARACTER}"),
    "not ended": ("=?utf-8?q?abc", "=?utf-8?q?abc"),
    "beyond ASCII inside": ("=?utf-8?q?ü?=", "=?utf-8?q?ü?="),
}


@pytest.mark.parametrize(("text", "wanted"), WORDS.values(), ids=WORDS.keys())
def test_encoded_words(text: str, wanted: str) -> None:
    assert decoded(text) == wanted


@pytest.mark.parametrize("call", [decoded, lambda text: text_of(text.encode("utf-8", "ignore"), text)])
@given(
    st.lists(
        st.sampled_from(["=?", "?=", "?", "utf-8", "utf-7", "iso-2022-jp", "q", "b", "=", "é", " ", "A"])
    )
)
def test_any_text_decodes(call: Callable[[str], str], parts: list[str]) -> None:
    assert isinstance(call("".join(parts)), str)


def test_a_sealed_header_is_read_and_not_edited() -> None:
    headers = Headers(b"A: b\r\n\r\n")
    assert headers.seal("it has left") == ""
    (field,) = headers
    for edit in (
        lambda: headers.add("C", "d"),
        lambda: headers.remove("A"),
        lambda: headers.replace(field, "c"),
    ):
        with pytest.raises(HeaderError, match="it has left"):
            edit()
    assert headers.get("a") == "b" and headers.octets() == headers.original
    assert headers.seal("") == "it has left"
    headers.add("C", "d")
    assert headers.edited
