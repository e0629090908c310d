"""How often a message was received already, told from a header in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.relay.smtp import words
from mailweir.relay.smtp.hops import FIELDS, OURS, Hops
from mailweir.relay.smtp.words import Answer

OWN = "by weir.example (mailweir)"
HOP = "Received: from a by b; Tue, 24 Nov 2026 17:00:00 +0000\r\n"
OTHER = "Subject: Received: x\r\n"
PAST_US = f"Received: from a {OWN}\r\n\twith ESMTP; Tue, 24 Nov 2026 17:00:00 +0000\r\n"

HEADERS: dict[str, tuple[str, Answer | None]] = {
    "none": ("", None),
    "no header": ("\r\nReceived:" + HOP * 200, None),
    "as many as may be": (OTHER + HOP * FIELDS + "\r\nhi", None),
    "one too many": (HOP * (FIELDS + 1) + "\r\nhi", words.LOOP),
    "in any case": (HOP.upper() * 60 + HOP.lower() * 60 + "\r\n", words.LOOP),
    "not in the body": (OTHER + "\r\n" + HOP * 200, None),
    "no body": (OTHER + HOP * 200, words.LOOP),
    "fields that only begin so": ("Received-SPF: x\r\nX-Received: y\r\n" * 200 + "\r\n", None),
    "past us as often as may be": (PAST_US * OURS + "\r\n", None),
    "past us too often": (PAST_US * OURS + HOP + PAST_US.upper() + "\r\n", words.LOOP),
    "others of our kind": (PAST_US.replace("weir.", "reiw.") * 50 + "\r\n", None),
}


def looked(text: bytes, size: int, *, topped: bool = False) -> Answer | None:
    """What is said of a text in pieces of `size` octets; the first objection stands."""
    hops = Hops(OWN.encode(), topped=topped)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return next((said for piece in pieces if (said := hops.objection(piece))), None)


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize(("header", "said"), HEADERS.values(), ids=HEADERS.keys())
def test_header(header: str, said: Answer | None, size: int) -> None:
    assert looked(header.encode(), size) is said


@given(
    st.lists(
        st.sampled_from(["\r\n", "\r", "\n", "Received:", "received", ":", "a", HOP, PAST_US]), max_size=60
    ),
    st.integers(1, 9),
)
def test_pieces_make_no_difference(parts: list[str], size: int) -> None:
    text = "".join(parts).encode() * 9
    assert looked(text, size) is looked(text, len(text) or 1)


@pytest.mark.parametrize("blank", [" ", "\t"])
@pytest.mark.parametrize("size", [1, 1000])
def test_nothing_may_be_folded_into_our_field(blank: str, size: int) -> None:
    text = f"{blank}by evil; Mon, 1 Jan 2001 00:00:00 +0000\r\n\r\nhi".encode()
    assert looked(text, size, topped=True) is words.FOLDED
    assert looked(text, size) is None
    assert looked(b"A:\r\n" + text, size, topped=True) is None


def test_empty_pieces_are_nothing() -> None:
    hops = Hops(OWN.encode(), topped=True)
    assert hops.objection(b"") is None
    assert hops.objection(b" a") is words.FOLDED
