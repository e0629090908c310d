"""Which mechanisms a proxy may offer, and what can be read of them."""

import base64

import pytest

from mailweir.relay.sasl import Responses, usable


def b64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


@pytest.mark.parametrize(
    ("mechanism", "anywhere", "clear", "strict", "asked"),
    [
        ("PLAIN", True, False, True, True),
        ("login", True, False, True, True),
        ("XOAUTH2", True, False, True, True),
        ("OAUTHBEARER", True, False, True, True),
        ("CRAM-MD5", True, True, True, False),
        ("SCRAM-SHA-256", True, True, True, False),
        ("SCRAM-SHA-256-PLUS", False, False, False, False),
        ("EXTERNAL", False, False, False, False),
        ("GSSAPI", True, True, False, False),
        ("DIGEST-MD5", True, True, False, False),
        ("NTLM", True, True, False, False),
        ("X-OWN", True, True, False, False),
        ("ANONYMOUS", True, True, True, False),
    ],
)
def test_usable(mechanism: str, anywhere: bool, clear: bool, strict: bool, asked: bool) -> None:
    assert usable(mechanism, plaintext=True, refuse_unknown=False, asked=False) is anywhere
    assert usable(mechanism, plaintext=False, refuse_unknown=False, asked=True) is clear
    assert usable(mechanism, plaintext=True, refuse_unknown=True, asked=False) is strict
    assert usable(mechanism, plaintext=True, refuse_unknown=True, asked=True) is asked


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
    assert reader.take(b"AQ==") is None


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
        ("PLAIN", [b64(b"\0bob\0secret"), b64(b"more")], "bob"),
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
