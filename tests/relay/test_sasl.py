"""Which mechanisms a proxy may offer, and what can be read of them."""

import base64

import pytest

from mailweir.relay.sasl import Responses, shown, usable


def b64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


# Where a mechanism is offered: on a connection where secrets may pass; on one where they may not; as the
# first, by a listener that refuses what it doesn't know; and there with a plugin that wants to see logins.
ROWS = {
    "PLAIN": (True, False, True, True),
    "login": (True, False, True, True),
    "XOAUTH2": (True, False, True, True),
    "OAUTHBEARER": (True, False, True, True),
    "CRAM-MD5": (True, True, True, False),
    "SCRAM-SHA-1": (True, True, True, False),
    "SCRAM-SHA-256": (True, True, True, False),
    "SCRAM-SHA-512": (True, True, True, False),
    "ANONYMOUS": (True, True, True, False),
    "OTP": (True, True, True, False),
    "DIGEST-MD5": (True, True, False, False),
    "GSSAPI": (True, True, False, False),
    "GS2-KRB5": (True, True, False, False),
    "NTLM": (True, True, False, False),
    "X-OWN": (True, True, False, False),
    "SCRAM-SHA-1-PLUS": (False, False, False, False),
    "SCRAM-SHA-256-PLUS": (False, False, False, False),
    "GS2-KRB5-PLUS": (False, False, False, False),
    "EXTERNAL": (False, False, False, False),
}


@pytest.mark.parametrize(("mechanism", "offered"), ROWS.items())
def test_usable(mechanism: str, offered: tuple[bool, ...]) -> None:
    assert offered == (
        usable(mechanism, plaintext=True, refuse_unknown=False, asked=False),
        usable(mechanism, plaintext=False, refuse_unknown=False, asked=False),
        usable(mechanism, plaintext=True, refuse_unknown=True, asked=False),
        usable(mechanism, plaintext=True, refuse_unknown=True, asked=True),
    )


@pytest.mark.parametrize(
    "mechanism", [*(name.upper() for name in ROWS if name != "X-OWN"), "SECRET", "", "A-PLUS"]
)
def test_the_log_has_no_name_that_nobody_knows(mechanism: str) -> None:
    """The base64 of a password may stand where the mechanism should."""
    assert shown(mechanism) == (
        mechanism if mechanism.capitalize() not in ("Secret", "", "A-plus") else "unknown"
    )


@pytest.mark.parametrize(
    ("mechanism", "responses", "authzid", "user", "secret"),
    [
        ("PLAIN", [b"\0bob\0secret"], "", "bob", "secret"),
        ("plain", [b"root\0bob\0sec ret"], "root", "bob", "sec ret"),
        ("PLAIN", [b"\0b\xc3\xb6b\0\xff"], "", "b\xf6b", "\xff"),
        ("LOGIN", [b"bob", b"secret"], "", "bob", "secret"),
        ("LOGIN", [b"", b""], "", "", ""),
        ("XOAUTH2", [b"user=bob\1auth=Bearer t=k\1\1"], "", "bob", "t=k"),
        ("OAUTHBEARER", [b"n,a=b=2Co=3Db,\1host=h\1auth=bearer tk\1\1"], "", "b,o=b", "tk"),
        ("OAUTHBEARER", [b"n,,\1auth=Bearer tk\1\1"], "", "", "tk"),
    ],
)
def test_credentials(mechanism: str, responses: list[bytes], authzid: str, user: str, secret: str) -> None:
    reader = Responses(mechanism)
    for response in responses[:-1]:
        assert reader.take(b64(response)) is None
    credentials = reader.take(b64(responses[-1]) or b"=")
    assert credentials is not None and credentials.mechanism == mechanism.upper()
    assert (credentials.authzid, credentials.user, credentials.secret()) == (authzid, user, secret)


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("PLAIN", b"not base64!"),
        ("PLAIN", b"abc"),
        ("PLAIN", b64(b"bob\0secret")),
        ("PLAIN", b64(b"\0bob\0secret\0")),
        ("PLAIN", b"="),
        ("LOGIN", b"Ym9i\0"),
        ("LOGIN", b"="),
        ("XOAUTH2", b64(b"user=bob\1\1")),
        ("OAUTHBEARER", b64(b"user=bob\1auth=Bearer tk\1\1")),
        ("OAUTHBEARER", b64(b"n,a=bob,\1auth=Basic tk\1\1")),
    ],
)
def test_what_cant_be_read(mechanism: str, response: bytes) -> None:
    with pytest.raises(ValueError):
        Responses(mechanism).take(response)


def test_other_mechanisms_are_not_looked_into() -> None:
    assert Responses("CRAM-MD5").take(b"anything at all") is None


@pytest.mark.parametrize(
    ("mechanism", "responses", "user"),
    [
        ("CRAM-MD5", [b64(b"bob o 0123")], "bob o"),
        ("SCRAM-SHA-1", [b64(b"n,,n=b=2Cob,r=x")], "b,ob"),
        ("SCRAM-SHA-1", [b64(b"n,,n=bob,r=x"), b64(b"c=biws,r=x")], "bob"),
        ("SCRAM-SHA-1", [b64(b"c=biws,r=x")], ""),
        ("CRAM-MD5", [b"!"], ""),
        ("XOAUTH2", [b64(b"user=bob\1auth=Bearer tk\1\1"), b"AQ=="], "bob"),
        ("OTP", [b64(b"x")], ""),
    ],
)
def test_who_logs_in(mechanism: str, responses: list[bytes], user: str) -> None:
    reader = Responses(mechanism)
    for response in responses:
        reader.take(response)
    assert reader.user == user


def test_an_empty_initial_response_is_no_user_name() -> None:
    """Dovecot asks for the name again; who would count that response, would take the password for the name."""
    reader = Responses("LOGIN")
    with pytest.raises(ValueError):
        reader.take(b"=")
    assert reader.take(b64(b"bob")) is None
    assert reader.take(b64(b"secret")) is not None
    assert reader.user == "bob"


AGAIN = {  # what may follow complete credentials: the first, what follows, whose the second are; None: nobody's
    "PLAIN": ("PLAIN", [b"\0bob\0secret"], b64(b"\0eve\0hidden"), "eve"),
    "XOAUTH2": ("XOAUTH2", [b"user=bob\1auth=Bearer tk\1\1"], b64(b"user=eve\1auth=Bearer tk\1\1"), "eve"),
    "an empty answer to a refused token": ("XOAUTH2", [b"user=bob\1auth=Bearer tk\1\1"], b"", None),
    "the same in RFC 7628": ("OAUTHBEARER", [b"n,a=bob,\1auth=Bearer tk\1\1"], b"AQ==", None),
}


@pytest.mark.parametrize(("mechanism", "first", "then", "user"), AGAIN.values(), ids=AGAIN.keys())
def test_a_server_that_asks_on(mechanism: str, first: list[bytes], then: bytes, user: str | None) -> None:
    reader = Responses(mechanism)
    for response in first:
        assert reader.take(b64(response)) is not None
    credentials = reader.take(then)
    assert (credentials.user if credentials is not None else None) == user


@pytest.mark.parametrize(
    ("mechanism", "first", "then"),
    [
        ("PLAIN", [b"\0bob\0secret"], b"AQ=="),
        ("PLAIN", [b"\0bob\0secret"], b""),
        ("LOGIN", [b"bob", b"secret"], b64(b"secret")),  # a name, or the password once more?
        ("OAUTHBEARER", [b"n,a=bob,\1auth=Bearer tk\1\1"], b64(b"\0eve\0hidden")),
    ],
)
def test_what_nobody_can_read_behind_credentials(mechanism: str, first: list[bytes], then: bytes) -> None:
    reader = Responses(mechanism)
    for response in first:
        reader.take(b64(response))
    with pytest.raises(ValueError):
        reader.take(then)
    assert reader.user == "bob"
