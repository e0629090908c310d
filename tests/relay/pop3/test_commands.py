"""The table of reply forms (RFC 1939, 2449, 5034, 6856)."""

import pytest

from mailweir.relay.pop3.commands import NEVER, VERBS, Framing

MULTI, SINGLE = Framing.MULTI, Framing.SINGLE


@pytest.mark.parametrize(
    ("verb", "arguments", "framing"),
    [
        ("LIST", b"", MULTI),
        ("LIST", b" \t", MULTI),
        ("LIST", b"1", SINGLE),
        ("LIST", b"1 ", SINGLE),
        ("UIDL", b"", MULTI),
        ("UIDL", b"1", SINGLE),
        ("LANG", b"", MULTI),
        ("LANG", b"*", SINGLE),
        ("AUTH", b"", MULTI),
        ("AUTH", b"PLAIN", SINGLE),
        ("CAPA", b"", MULTI),
        ("RETR", b"1", MULTI),
        ("TOP", b"1 0", MULTI),
        ("STAT", b"", SINGLE),
        ("UTF8", b"", SINGLE),
        ("XTND", b"XLST", Framing.UNKNOWN),
    ],
)
def test_framing(verb: str, arguments: bytes, framing: Framing) -> None:
    assert VERBS[verb].framing(arguments) is framing


def test_barriers() -> None:
    assert {verb for verb, row in VERBS.items() if row.barrier} == {"AUTH", "STLS", "QUIT", "UTF8", "XTND"}


def test_what_is_never_sent_has_no_form() -> None:
    assert not NEVER & VERBS.keys()
