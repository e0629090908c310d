"""Whether a chain is what TLSA records say (RFC 6698 2.1, RFC 7671 5)."""

import datetime
from hashlib import sha256, sha512

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailweir.net.dane import Tlsa, objection

ROOT = trustme.CA()
MIDDLE = ROOT.create_child_ca()
HOST = "mx.example.org"
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
MISS = f"certificate matches no TLSA record of {HOST}"


def parsed(pem: trustme.Blob) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.bytes())


def chain(authority: trustme.CA = MIDDLE, name: str = HOST, **more: object) -> list[x509.Certificate]:
    """A server's, with the intermediate authority and the root behind it."""
    leaf = authority.issue_cert(name, **more)  # type: ignore[arg-type]
    return [*map(parsed, leaf.cert_chain_pems), parsed(ROOT.cert_pem)]


def record(usage: int, selector: int, matching: int, certificate: x509.Certificate) -> Tlsa:
    octets = certificate.public_bytes(Encoding.DER)
    if selector == 1:
        octets = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    data = (octets, sha256(octets).digest(), sha512(octets).digest())[matching]
    return Tlsa(usage, selector, matching, data)


@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize(("usage", "depth"), [(3, 0), (2, 1), (2, 2)])
def test_a_record_that_matches(usage: int, depth: int, selector: int, matching: int) -> None:
    shown = chain()
    good = record(usage, selector, matching, shown[depth])
    assert objection(shown, [good], HOST) == ""
    assert objection(shown, [record(3, 1, 1, chain()[0]), good], HOST) == ""
    assert objection(chain(), [record(3, selector, matching, shown[0])], HOST) == MISS
    assert objection(shown, [good._replace(data=good.data[:-1] + bytes([good.data[-1] ^ 1]))], HOST) == MISS


@pytest.mark.parametrize("record_", [(0, 1, 1), (1, 1, 1), (3, 2, 1), (3, 1, 3)])
def test_records_that_are_not_understood(record_: tuple[int, int, int]) -> None:
    """Among them those that also want a public authority's word (RFC 7672 3.1.3)."""
    shown = chain()
    data = record(3, 1, 1, shown[0]).data
    assert not Tlsa(*record_, data).usable
    assert objection(shown, [Tlsa(*record_, data)], HOST) == MISS


def test_the_servers_own_certificate_needs_neither_name_nor_date() -> None:
    shown = chain(name="other.example.org", not_after=PAST)
    assert objection(shown, [record(3, 1, 1, shown[0])], HOST) == ""
    assert objection(shown[:1], [record(3, 1, 1, shown[0])], HOST) == ""


def test_an_anchor_vouches_for_a_name_that_is_valid() -> None:
    other, old = chain(name="other.example.org"), chain(not_after=PAST)
    assert (
        objection(other, [record(2, 1, 1, other[1])], HOST)
        == f"certificate is for other.example.org, not for {HOST}"
    )
    assert "certificate has expired" in objection(old, [record(2, 1, 1, old[1])], HOST)


def test_an_anchor_that_was_merely_shown_vouches_for_nobody() -> None:
    """Anybody may put the right authority's certificate behind one of his own."""
    forged = [parsed(trustme.CA().issue_cert(HOST).cert_chain_pems[0]), parsed(MIDDLE.cert_pem)]
    assert "is signed by nobody we trust" in objection(forged, [record(2, 1, 1, forged[1])], HOST)


def test_the_servers_own_certificate_is_no_anchor() -> None:
    shown = chain()
    assert objection(shown, [record(2, 1, 1, shown[0])], HOST) == MISS
    assert objection(shown, [record(3, 1, 1, shown[1])], HOST) == MISS


def test_nothing_shown_and_nothing_known() -> None:
    assert objection([], [], HOST) == "no certificate was shown"
    assert objection(chain(), [], HOST) == MISS
