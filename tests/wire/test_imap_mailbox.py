"""Names of mailboxes in their spellings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.imap_mailbox import decoded, encoded

SPELT: dict[bytes, str | None] = {
    b"INBOX": "INBOX",
    b"inBox": "INBOX",
    b"&AGkAbgBiAG8AeA-": "INBOX",
    b"INBOX/a": "INBOX/a",
    b"Sent Items": "Sent Items",
    b"Entw&APw-rfe": "Entwürfe",
    "Entwürfe".encode(): "Entwürfe",
    b"&ZeVnLIqe-": "日本語",
    b"~peter/mail/&U,BTFw-/&ZeVnLIqe-": "~peter/mail/台北/日本語",
    b"&-": "&",
    b"a&-b": "a&b",
    b"&2D3cCQ-": "🐉",
    b"&": None,
    b"a&b": None,
    b"&APw": None,
    b"&A-": None,
    b"&2D0-": None,
    b"&!!!-": None,
    b"\xff": None,
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SPELT.items())
def test_decoded(name: bytes, text: str | None) -> None:
    assert decoded(name) == text


def test_utf8_needs_no_shift() -> None:
    assert decoded("a&b ü".encode(), utf8=True) == "a&b ü"
    assert encoded("a&b ü", utf8=True) == "a&b ü".encode()


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_there_and_back(text: str) -> None:
    name = encoded(text)
    assert name.isascii()
    assert decoded(name) == ("INBOX" if text.upper() == "INBOX" else text)


@given(st.binary(max_size=30))
def test_any_octets(name: bytes) -> None:
    decoded(name)
    decoded(name, utf8=True)
