"""DANE: the DNS says which certificate a server shows (RFC 6698, with the usages that RFC 7672 allows to SMTP).

`records` are from `tlsa`, which has taken care that nobody forged them.
"""

from collections.abc import Sequence
from hashlib import sha256, sha512
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags

from mailweir.net.complaints import not_acceptable, wrong_name

TA, EE = 2, 3
"""Certificate usages: a trust anchor, and the server's own certificate (RFC 7218 2.1). PKIX's 0 and 1 don't
count (RFC 7672 3.1.3)."""


class NoRecords(Exception):
    """There is nothing to compare a certificate with; the text says why."""


class Tlsa(NamedTuple):
    """One record, its fields as RFC 6698 2.1 numbers them."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def usable(self) -> bool:
        return self.usage in (TA, EE) and self.selector in (0, 1) and self.matching in (0, 1, 2)

    def matches(self, certificate: Certificate) -> bool:
        """All of the certificate or its key, as it is or as a digest."""
        if self.selector == 0:
            octets = certificate.public_bytes(Encoding.DER)
        else:
            octets = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if self.matching:
            octets = (sha256 if self.matching == 1 else sha512)(octets).digest()
        return octets == self.data


def objection(chain: Sequence[Certificate], records: Sequence[Tlsa], host: str) -> str:
    """Why a server that showed `chain`, its own certificate first, is not `host`; empty if it is.

    Of the server's own certificate only the record counts, neither names nor dates (RFC 7671 5.1). An anchor
    must have been shown, too, and has to vouch for a certificate of that name that is valid now (5.2).
    """
    if not chain:
        return "no certificate was shown"
    usable = [record for record in records if record.usable]
    if any(record.usage == EE and record.matches(chain[0]) for record in usable):
        return ""
    wrong = f"certificate matches no TLSA record of {host}"
    for anchor in chain[1:]:
        if any(record.usage == TA and record.matches(anchor) for record in usable):
            wrong = _vouches(anchor, chain) or wrong_name(chain[0], host)
            if not wrong:
                return ""
    return wrong


def _vouches(anchor: Certificate, chain: Sequence[Certificate]) -> str:
    """What OpenSSL has against the chain if it trusts `anchor` and nobody else."""
    store = X509Store()
    store.add_cert(X509.from_cryptography(anchor))
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)  # an anchor need not be a root
    leaf, *others = map(X509.from_cryptography, chain)
    try:
        X509StoreContext(store, leaf, others).verify_certificate()
    except X509StoreContextError as error:
        return not_acceptable(error.certificate.to_cryptography(), error.errors[0])
    return ""
