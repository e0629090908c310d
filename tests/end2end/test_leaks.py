import base64

import pytest

from end2end.dovecot import PASSWORD
from end2end.leaks import forms, found

WRITTEN = {
    "as it is": f"login with {PASSWORD!r}",
    "in hexadecimal": f"00{PASSWORD.encode().hex()}ff",
    "in base64, 0 octets behind a border": base64.b64encode(PASSWORD.encode()).decode(),
    "in base64, 1 octets behind a border": base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode(),
    "in base64, 2 octets behind a border": base64.b64encode(f"\0bob\0{PASSWORD}".encode()).decode(),
}


def test_every_form_has_a_case() -> None:
    assert [name for name, _ in forms(PASSWORD)] == list(WRITTEN)


@pytest.mark.parametrize(("form", "text"), WRITTEN.items())
def test_a_secret_is_found(form: str, text: str) -> None:
    assert found(PASSWORD, f'{{"event":"{text}"}}') == [form]


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("after", range(4))
def test_base64_is_found_wherever_the_secret_begins_and_ends(before: int, after: int) -> None:
    around = base64.b64encode(b"\xff" * before + PASSWORD.encode() + b"\xff" * after).decode()
    assert found(PASSWORD, around) == [f"in base64, {before % 3} octets behind a border"]


def test_capital_digits_are_found() -> None:
    assert found(PASSWORD, PASSWORD.encode().hex().upper()) == ["in hexadecimal"]


def test_what_is_not_there_is_not_found() -> None:
    everything_else = " ".join(text for text in WRITTEN.values()).replace(PASSWORD, "***")
    assert found("another-9Xw2pQ", everything_else) == []
    assert found(PASSWORD, PASSWORD[1:] + PASSWORD.lower()) == []
