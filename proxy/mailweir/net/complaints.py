"""What is wrong with a certificate, in words for whoever must mend it."""

from cryptography import x509
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from mailweir.net.addresses import is_number

_CODES = SSL.X509VerificationCodes
_EXPIRED = (_CODES.ERR_CERT_HAS_EXPIRED, _CODES.ERR_CERT_NOT_YET_VALID)
_UNKNOWN = (
    _CODES.ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
    _CODES.ERR_SELF_SIGNED_CERT_IN_CHAIN,
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    _CODES.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT,
)


def not_acceptable(certificate: x509.Certificate, code: int, key: str = "verify") -> str:
    """What OpenSSL's verification means by `code` (X509_STORE_CTX_get_error(3)); `key` of the configuration
    could change its mind.
    """
    subject = certificate.subject.rfc4514_string() or ", ".join(names(certificate))
    if code in _EXPIRED:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        what = "has expired" if code == _CODES.ERR_CERT_HAS_EXPIRED else "is not valid yet"
        return (
            f"certificate {what}: {subject} is valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
        )
    if code in _UNKNOWN:
        issuer = certificate.issuer.rfc4514_string()
        return f"certificate is signed by nobody we trust ({issuer}); `{key}` may name the file of its CA"
    return f"certificate {subject} is not acceptable (X.509 error {code})"


def wrong_name(certificate: x509.Certificate, host: str) -> str:
    """Why a server with this certificate is not `host`, a name or a number (RFC 9525); empty if it is."""
    verify = verify_certificate_ip_address if is_number(host) else verify_certificate_hostname
    try:
        verify(certificate, host)
    except (VerificationError, CertificateError, ValueError):
        shown = ", ".join(names(certificate)) or "no name at all"
        return f"certificate is for {shown}, not for {host}"
    return ""


def names(certificate: x509.Certificate) -> list[str]:
    """The host names, addresses and mailboxes that a certificate is for (RFC 5280 4.2.1.6)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    hosts = [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    numbers = [str(number) for number in found.get_values_for_type(x509.IPAddress)]
    return hosts + numbers + found.get_values_for_type(x509.RFC822Name)
