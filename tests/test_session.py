"""The nouns: addresses, recipients, secrets, ids."""

import itertools

import pytest

from mailweir.session import Address, Credentials, Session, session_ids


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


@pytest.mark.parametrize(
    ("stage", "fixed"), [("smtp", False), ("lmtp", False), ("append", True), ("retr", True)]
)
def test_only_a_transaction_has_an_envelope_to_change(stage: str, fixed: bool) -> None:
    session = Session("s", "l", "smtp", Address("/run/x"), Address("/run/y"), 0.0)
    assert session.begin(stage, 1.0).envelope.fixed is fixed
