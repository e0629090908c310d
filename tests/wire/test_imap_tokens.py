"""Tokens by themselves, and what a place in a text stands in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.imap_tokens import OUTSIDE, Literal, announced, is_atom, is_tag, quoting, strings, tokens

STRINGS = {
    b"": [],
    b"ann": [b"ann"],
    b"ann secret]": [b"ann", b"secret]"],
    b'"" "a b"': [b"", b"a b"],
    b'"a\\"\\\\b"': [b'a"\\b'],
    b"\xe4\xff": [b"\xe4\xff"],
    b"ann ": None,
    b"ann  x": None,
    b'"a': None,
    b'"a"b': None,
    b'"a\\b"': None,
    b"(a)": None,
    b"a\r": None,
}
TOKENS: dict[bytes, list[bytes | str] | None] = {
    b"": [],
    b"  ann  x ": ["ann", "x"],
    b'"a""b"c': [b"a", b"b", "c"],
    b'("a\\b"NIL)': ["(", b"ab", "NIL", ")"],
    b"%*\\]\xff": ["%*\\]\xff"],
    b'"a\\"': None,
    b'a "b': None,
    b"{3": None,
}
LITERALS = {
    b"{3}": Literal(3, True, False, 3),
    b"x {003+}": Literal(3, False, False, 6),
    b"~{3}": Literal(3, True, True, 4),
    b"{9223372036854775807}": Literal(2**63 - 1, True, False, 21),
    b"{9223372036854775808}": None,
    b"{3-}": None,
    b"{}": None,
    b"{3} ": None,
    b"3}": None,
    b"": None,
}


@pytest.mark.parametrize(("text", "values"), STRINGS.items())
def test_strings(text: bytes, values: list[bytes] | None) -> None:
    assert strings(text) == values


@pytest.mark.parametrize(("text", "found"), TOKENS.items())
def test_tokens(text: bytes, found: list[bytes | str] | None) -> None:
    assert tokens(text) == found


@pytest.mark.parametrize(("text", "literal"), LITERALS.items())
def test_literal(text: bytes, literal: Literal | None) -> None:
    assert announced(text) == literal


@pytest.mark.parametrize("octet", [bytes([octet]) for octet in range(256)])
def test_one_octet(octet: bytes) -> None:
    special = octet < b"!" or octet > b"~" or octet in b'(){%*"\\'
    assert is_tag(octet) == (not special and octet != b"+")
    assert is_atom(octet) == (not special and octet != b"]")


@given(st.text('"\\a').map(str.encode), st.integers(0))
def test_quoting_is_the_same_in_two_pieces(text: bytes, cut: int) -> None:
    cut %= len(text) + 1
    assert quoting(text[cut:], quoting(text[:cut])) == quoting(text)


def test_a_backslash_outside_of_quotes_is_nothing_special() -> None:
    assert quoting(b'(\\Seen) \\"a"') == OUTSIDE
