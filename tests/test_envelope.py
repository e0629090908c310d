"""What plugins may write into an envelope, and what is their mistake."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.envelope import ADDRESS, PARAMETERS, Envelope, Recipient, check_address, check_parameters
from mailweir.verdict import Accept, Close, Defer, Discard, Quarantine, Reject
from mailweir.wire.smtp_path import Path, path


@pytest.mark.parametrize(
    ("address", "local", "domain"),
    [
        ("ann@Example.ORG", "ann", "example.org"),
        ('"a@b"@example.org', '"a@b"', "example.org"),
        ("postmaster", "postmaster", ""),
        ("", "", ""),
    ],
)
def test_recipient_parts(address: str, local: str, domain: str) -> None:
    recipient = Recipient(address)
    assert (recipient.local, recipient.domain) == (local, domain)


def test_accepted_in_order() -> None:
    recipients = [Recipient("a@x", accepted=True), Recipient("b@x"), Recipient("a@x", accepted=True)]
    assert Envelope("s@x", "", recipients).accepted == [recipients[0], recipients[2]]


GOOD = ["a@b", '"a b>"@c', '"a\\"b"@c', "postmaster", "é@b", "a@[IPv6:::1]", "a" * ADDRESS]
BAD = {
    "CR LF": "a@b\r\nRCPT TO:<x@y>",
    "LF": "a@b\n",
    "NUL": "a\0@b",
    "a blank": "a b@c",
    "an end": "a@b> X=y",
    "a beginning": "<a@b",
    "a quote that doesn't end": '"a@b',
    "a control in quotes": '"a\r\n"@b',
    "DEL": "a\x7f@b",
    "NEL": "a\x85@b",
    "a backslash": "a\\@b",
    "a source route": "@hop:a@b",
    "too long": "a" * (ADDRESS + 1),
    "too many octets": "é" * (ADDRESS // 2 + 1),
    "no text": "\ud800@b",
}


@pytest.mark.parametrize("address", GOOD)
def test_addresses(address: str) -> None:
    recipient, envelope = Recipient("x@y"), Envelope("x@y")
    recipient.address = envelope.sender = address
    assert (recipient.address, recipient.original, envelope.sender) == (address, "x@y", address)
    assert recipient.edited and envelope.edited


@pytest.mark.parametrize("address", BAD.values(), ids=BAD.keys())
def test_what_is_no_address(address: str) -> None:
    recipient, envelope = Recipient("x@y"), Envelope("x@y")
    with pytest.raises(ValueError):
        recipient.address = address
    with pytest.raises(ValueError):
        envelope.sender = address
    with pytest.raises(ValueError):
        envelope.add(address)
    assert (recipient.address, envelope.sender, envelope.recipients) == ("x@y", "x@y", [])
    assert not recipient.edited and not envelope.edited


def test_only_a_sender_may_be_nobody() -> None:
    envelope = Envelope("x@y")
    envelope.sender = ""
    with pytest.raises(ValueError, match="has an address"):
        Recipient("x@y").address = ""


@given(st.text('ab@.<>" \\\r\n\0é:', max_size=12))
def test_what_may_be_written_is_read_as_it_is(address: str) -> None:
    try:
        check_address(address)
    except ValueError:
        return
    assert path(b"TO:<" + address.encode() + b">", b"TO:") == Path(address, "")


@pytest.mark.parametrize("given", ["", "SIZE=1", "SIZE=1  AUTH=<> X=a=b", "é=ü", "A" * PARAMETERS])
def test_parameters(given: str) -> None:
    recipient, envelope = Recipient("x@y", "OLD"), Envelope("x@y", "OLD")
    recipient.parameters = envelope.parameters = given
    assert recipient.parameters == envelope.parameters == given
    assert recipient.edited and envelope.edited


@pytest.mark.parametrize("given", ["A\r\nRSET", "A\n", "A\0", "A\t", " A", "A ", "A" * (PARAMETERS + 1)])
def test_what_are_no_parameters(given: str) -> None:
    envelope = Envelope("x@y")
    for owner in (envelope, Recipient("x@y")):
        with pytest.raises(ValueError, match="parameters"):
            owner.parameters = given
    with pytest.raises(ValueError, match="parameters"):
        envelope.add("a@b", given)
    with pytest.raises(ValueError, match="not parameters"):
        check_parameters(" ")
    assert envelope.recipients == []


def test_the_same_again_is_no_change() -> None:
    recipient, envelope = Recipient("a@b", "X"), Envelope("c@d", "Y")
    recipient.address, recipient.parameters = "a@b", "X"
    envelope.sender, envelope.parameters = "c@d", "Y"
    assert not recipient.edited and not envelope.edited


def test_one_more_recipient() -> None:
    envelope = Envelope("x@y", "", [Recipient("a@b", accepted=True)])
    added = envelope.add("c@d", "NOTIFY=NEVER", required=False)
    assert (added.address, added.parameters, added.original) == ("c@d", "NOTIFY=NEVER", "")
    assert (added.added, added.required, envelope.add("e@f").required) == (True, False, True)
    assert [one.address for one in envelope.recipients] == ["a@b", "c@d", "e@f"]
    assert envelope.additions == tuple(envelope.recipients[1:])
    assert [one.address for one in envelope.accepted] == ["a@b"]


@pytest.mark.parametrize("verdict", [Reject("no"), Defer("later"), Discard("trap"), Quarantine("odd"), None])
def test_verdicts(verdict: Any) -> None:
    recipient = Recipient("a@b")
    recipient.verdict = verdict
    assert recipient.verdict is verdict and recipient.edited


@pytest.mark.parametrize("verdict", [Close("bye"), Accept(), "550 no"])
def test_what_is_no_verdict_for_one(verdict: Any) -> None:
    with pytest.raises(ValueError, match="one recipient"):
        Recipient("a@b").verdict = verdict


def test_removed_is_discarded() -> None:
    recipient = Recipient("a@b")
    Envelope("x@y", "", [recipient]).remove(recipient)
    assert isinstance(recipient.verdict, Discard)


CHANGES: list[Callable[[Envelope, Recipient], Any]] = [
    lambda envelope, recipient: setattr(envelope, "sender", "new@x"),
    lambda envelope, recipient: setattr(envelope, "parameters", "X"),
    lambda envelope, recipient: setattr(recipient, "address", "new@x"),
    lambda envelope, recipient: setattr(recipient, "parameters", "X"),
    lambda envelope, recipient: setattr(recipient, "verdict", Reject("no")),
    lambda envelope, recipient: envelope.add("new@x"),
    lambda envelope, recipient: envelope.remove(recipient),
]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_changed_any_more(change: Callable[[Envelope, Recipient], Any]) -> None:
    recipient = Recipient("a@b")
    envelope = Envelope("x@y", "", [recipient])
    envelope.fix()
    with pytest.raises(ValueError, match="can't be changed"):
        change(envelope, recipient)
    assert repr(envelope) == "Envelope('x@y', '', [Recipient('a@b', '')])"
    assert recipient.verdict is None
