"""The nouns: addresses, recipients, secrets, ids."""

import itertools

import pytest

from mailweir.session import Address, Credentials, Envelope, Recipient, Session, session_ids


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address("192.0.2.1", 25), "192.0.2.1:25"),
        (Address("2001:db8::1", 25), "[2001:db8::1]:25"),
        (Address("/run/lmtp", 0), "unix:/run/lmtp"),
    ],
)
def test_address_as_text(address: Address, text: str) -> None:
    assert str(address) == text


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


def test_secret_is_not_printed() -> None:
    credentials = Credentials("PLAIN", "ann", "hunter2")
    assert "hunter2" not in repr(credentials) + str(credentials) + f"{credentials}"
    assert credentials.secret() == "hunter2"


def test_ids_are_unique_and_sorted() -> None:
    ids = list(itertools.islice(session_ids(), 1000))
    assert len(set(ids)) == 1000
    assert {len(each) for each in ids} == {13}


@pytest.mark.parametrize(
    ("client", "loopback"),
    [
        (Address("127.0.0.1", 1), True),
        (Address("::1", 1), True),
        (Address("/run/x", 0), True),
        (Address("192.0.2.1", 1), False),
        (Address("1270.example", 1), False),
    ],
)
def test_loopback(client: Address, loopback: bool) -> None:
    assert Session("s", "l", "smtp", client, Address("::", 25), 0.0).loopback is loopback
