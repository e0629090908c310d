"""Arguments of IMAP commands: read, and changed one at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.imap_arguments import (
    DEPTH,
    Edit,
    Group,
    Node,
    Unreadable,
    Word,
    edited,
    parse,
    spelled,
    words,
)


def plain(nodes: tuple[Node, ...]) -> list[object]:
    """The tree without places: bytes for atoms, (bytes,) for strings, lists for groups."""
    return [
        plain(node.nodes) if isinstance(node, Group) else (node.value,) if node.string else node.value
        for node in nodes
    ]


READ: dict[str, tuple[list[bytes], list[bytes], list[object]]] = {
    "nothing": ([b""], [], []),
    "an atom": ([b"INBOX"], [], [b"INBOX"]),
    "a quoted string": ([rb'"Sec\"r\\et"'], [], [(rb'Sec"r\et',)]),
    "an empty string": ([b'""'], [], [(b"",)]),
    "a literal": ([b"", b""], [b"a\r\nb"], [(b"a\r\nb",)]),
    "a literal between": ([b"1 ", b" (X)"], [b"b"], [b"1", (b"b",), [b"X"]]),
    "a set and flags": ([rb"1:*,$ +FLAGS.SILENT (\Seen \Deleted $Junk)"], [], [b"1:*,$", b"+FLAGS.SILENT", [rb"\Seen", rb"\Deleted", b"$Junk"]]),
    "no flags": ([b"()"], [], [[]]),
    "a section": ([b"1 BODY.PEEK[HEADER.FIELDS (TO CC)]<0.10>"], [], [b"1", b"BODY.PEEK[HEADER.FIELDS (TO CC)]<0.10>"]),
    "a section with a bracket in quotes": ([b'(BODY["X]Y"] UID)'], [], [[b'BODY["X]Y"]', b"UID"]]),
    "a section with a literal": ([b"(BODY[HEADER.FIELDS (", b")] UID)"], [b"TO"], [[b"BODY[HEADER.FIELDS (TO)]", b"UID"]]),
    "groups within": ([b"OR (SUBJECT x) (NOT (SEEN))"], [], [b"OR", [b"SUBJECT", b"x"], [b"NOT", [b"SEEN"]]]),
    "groups side by side": ([b"((a)(b))"], [], [[[b"a"], [b"b"]]]),
    "patterns": ([b'"" %/*'], [], [(b"",), b"%/*"]),
    "brackets in a name": ([b"[Gmail]/Trash"], [], [b"[Gmail]/Trash"]),
    "raw UTF-8": (["Ä".encode()], [], ["Ä".encode()]),
}  # fmt: skip

REFUSED: dict[str, tuple[list[bytes], list[bytes]]] = {
    "two blanks": ([b"a  b"], []),
    "a blank before": ([b" a"], []),
    "a blank behind": ([b"a "], []),
    "a tab": ([b"a\tb"], []),
    "strings side by side": ([b'"a""b"'], []),
    "an open string": ([b'"a'], []),
    "a strange escape": ([rb'"a\b"'], []),
    "an open group": ([b"(a"], []),
    "a group too many": ([b"a)"], []),
    "a blank in a group": ([b"( a)"], []),
    "an open section": ([b"BODY["], []),
    "a brace": ([b"{3}"], []),
    "something behind a literal": ([b"", b"x"], [b"a"]),
    "something before a literal": ([b"x", b""], [b"a"]),
    "no octet for a field's name": ([b"BODY[HEADER.FIELDS (", b")]"], [b"\0"]),
    "a literal too few": ([b"", b""], []),
    "depth": ([b"(" * (DEPTH + 1) + b"a" + b")" * (DEPTH + 1)], []),
}


@pytest.mark.parametrize(("texts", "literals", "tree"), READ.values(), ids=READ)
def test_read(texts: list[bytes], literals: list[bytes], tree: list[object]) -> None:
    assert plain(parse(texts, literals)) == tree


@pytest.mark.parametrize(("texts", "literals"), REFUSED.values(), ids=REFUSED)
def test_refused(texts: list[bytes], literals: list[bytes]) -> None:
    with pytest.raises(Unreadable):
        parse(texts, literals)


@pytest.mark.parametrize(
    "value", [b"INBOX", b"a b", b'q"\\', b"", b"nil", b"x\r\ny", "Ä".encode(), b"a(b", b"]"]
)
def test_a_word_in_the_place_of_another(value: bytes) -> None:
    """Everything around it keeps its octets, and it is read as what was put there."""
    texts, literals = [b"1 ", b' (x "y")'], [b"old"]
    place = parse(texts, literals)[1]
    octets = spelled(value)
    edit = Edit(place.begin, place.end, *((octets,) if octets is not None else (b"", value)))
    made, held = edited(texts, literals, [edit])
    assert [word.value for word in words(parse(made, held))] == [b"1", value, b"x", b"y"]
    assert made[0].startswith(b"1 ") and made[-1].endswith(b' (x "y")')


@given(st.lists(st.sampled_from([b"a", b'"b c"', b"{}", b"(d (e))", b"BODY[1.MIME]<0.1>"]), min_size=1))
def test_places(arguments: list[bytes]) -> None:
    """Each node's place holds it alone, also behind literals; to put it there again changes nothing."""
    texts = b" ".join(arguments).split(b"{}")
    literals = [b"lit"] * (len(texts) - 1)
    nodes = parse(texts, literals)
    assert len(nodes) == len(arguments)
    for node, argument in zip(nodes, arguments, strict=True):
        if argument != b"{}":
            (part, begin), (same, end) = node.begin, node.end
            assert part == same and texts[part][begin:end] == argument
            assert edited(texts, literals, [Edit(node.begin, node.end, argument)]) == (texts, literals)
        else:
            assert edited(texts, literals, [Edit(node.begin, node.end, literal=b"lit")]) == (texts, literals)


@given(st.binary(max_size=40))
def test_any_octets(octets: bytes) -> None:
    try:
        found = parse([octets])
    except Unreadable:
        return
    assert all(isinstance(word, Word) for word in words(found))


@given(st.binary())
def test_spelled(value: bytes) -> None:
    octets = spelled(value)
    if octets is not None:
        (word,) = parse([octets])
        assert isinstance(word, Word) and word.value == value
