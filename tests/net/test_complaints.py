"""What is wrong with a certificate, in words."""

import datetime

import pytest
import trustme
from cryptography import x509
from OpenSSL import SSL

from mailweir.net.complaints import names, not_acceptable, wrong_name

CODES = SSL.X509VerificationCodes


def certificate(*names: str, **more: object) -> x509.Certificate:
    made = trustme.CA().issue_cert(*names, **more)  # type: ignore[arg-type]
    return x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())


SAID = {
    CODES.ERR_CERT_HAS_EXPIRED: "certificate has expired: ",
    CODES.ERR_CERT_NOT_YET_VALID: "certificate is not valid yet: ",
    CODES.ERR_SELF_SIGNED_CERT_IN_CHAIN: "certificate is signed by nobody we trust (",
    CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "certificate is signed by nobody we trust (",
    CODES.ERR_CERT_SIGNATURE_FAILURE: "is not acceptable (X.509 error 7)",
}


@pytest.mark.parametrize(("code", "said"), SAID.items())
def test_what_openssl_means(code: int, said: str) -> None:
    assert said in not_acceptable(certificate("mx.example.org"), code)


def test_when_it_was_valid() -> None:
    end = datetime.datetime(2020, 2, 3, 4, 5, tzinfo=datetime.UTC)
    told = not_acceptable(certificate("mx.example.org", not_after=end), CODES.ERR_CERT_HAS_EXPIRED)
    assert told.endswith(" to 2020-02-03 04:05 UTC")


WHO = [
    ("mx.example.org", "mx.example.org", ""),
    ("*.example.org", "mx.example.org", ""),
    ("*.example.org", "a.mx.example.org", "certificate is for *.example.org, not for a.mx.example.org"),
    ("192.0.2.1", "192.0.2.1", ""),
    ("192.0.2.1", "192.0.2.2", "certificate is for 192.0.2.1, not for 192.0.2.2"),
    ("192.0.2.1", "mx.example.org", "certificate is for 192.0.2.1, not for mx.example.org"),
]


@pytest.mark.parametrize(("shown", "host", "said"), WHO)
def test_names(shown: str, host: str, said: str) -> None:
    assert wrong_name(certificate(shown), host) == said
    assert names(certificate(shown)) == [shown]


def test_a_certificate_without_a_name() -> None:
    authority = x509.load_pem_x509_certificate(trustme.CA().cert_pem.bytes())
    assert (
        wrong_name(authority, "mx.example.org") == "certificate is for no name at all, not for mx.example.org"
    )
