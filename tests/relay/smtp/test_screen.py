"""Texts that may go on, and those that may not, as the listener's rules have it."""

from typing import Any

import pytest

from mailweir.relay.rules import Rules, SmtpRules
from mailweir.relay.smtp import words
from mailweir.relay.smtp.screen import Screen
from mailweir.relay.smtp.words import Answer
from mailweir.session import Transaction

TEXTS: dict[str, tuple[dict[str, Any], bool, list[bytes], bytes | Answer]] = {
    "lines": ({}, False, [b"a\r", b"\nb"], b"a\r\nb"),
    "LF": ({}, False, [b"a", b"\nb"], words.STRAY),
    "CR": ({}, False, [b"a\r", b"b"], words.STRAY),
    "LF, mended": ({"bare_newline": "normalize"}, False, [b"a", b"\n.\r", b"\nb"], b"a\r\n.\r\nb"),
    "CR can't be mended": ({"bare_newline": "normalize"}, False, [b"a\r", b"b"], words.STRAY_CR),
    "CR at the end can't be mended": ({"bare_newline": "normalize"}, False, [b"a\r"], words.STRAY_CR),
    "anything, passed": ({"bare_newline": "pass"}, False, [b"a\n\r", b"\rb"], b"a\n\r\rb"),
    "binary has no lines": ({}, True, [b"a\n\rb"], b"a\n\rb"),
    "binary is not mended": ({"bare_newline": "normalize"}, True, [b"a\n\rb"], b"a\n\rb"),
    "NUL": ({}, False, [b"a\0"], b"a\0"),
    "NUL, refused": ({"nul": "reject"}, False, [b"a", b"\0"], words.NUL),
    "NUL in binary": ({"nul": "reject"}, True, [b"a\0"], b"a\0"),
}


@pytest.mark.parametrize(("rules", "binary", "pieces", "found"), TEXTS.values(), ids=TEXTS.keys())
def test_texts(rules: dict[str, Any], binary: bool, pieces: list[bytes], found: bytes | Answer) -> None:
    transaction = Transaction("1", "smtp", 0.0)
    screen = Screen(Rules(smtp=SmtpRules(**rules)), transaction, binary=binary)
    out = b""
    for at, piece in enumerate(pieces):
        out += screen.look(piece, end=at == len(pieces) - 1)
    assert (out if screen.refusal is None else screen.refusal) == found
    if isinstance(found, Answer):
        assert screen.look(b"more", end=True) == b""


def test_size_is_counted_by_who_knows_the_framing() -> None:
    transaction = Transaction("1", "smtp", 0.0)
    screen = Screen(Rules(message_size=3), transaction, binary=False)
    transaction.size = 3
    assert screen.look(b"..xy", end=False) == b"..xy"
    transaction.size = 4
    assert screen.look(b"z", end=False) == b"" and screen.refusal is words.TOO_BIG
