"""What a TLS handshake came to: what was agreed, or why nothing was.

OpenSSL's words for a failure are many and change; the keeper is told what they mean, and the metric has a
reason of a closed set.
"""

from enum import StrEnum
from functools import lru_cache
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL
from OpenSSL._util import lib  # pyOpenSSL has no name of its own for SSL_session_reused(3)
from twisted.protocols.tls import TLSMemoryBIOProtocol

from mailweir import metrics
from mailweir.net.complaints import names
from mailweir.session import Certificate, Leg, Tls


class Reason(StrEnum):
    """Why a handshake failed."""

    VERSION = "version"
    CIPHER = "cipher"
    CERTIFICATE = "certificate"
    NO_CERTIFICATE = "no_certificate"
    DISTRUSTED = "distrusted"
    REFUSED = "refused"
    NOT_TLS = "not_tls"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    GIVEN_UP = "given_up"
    OTHER = "other"


_TRUST = "the other side does not trust our certificate"
# fmt: off
FAILURES = (  # what OpenSSL says contains; the reason; what that means
    ("unsupported protocol", Reason.VERSION, "no version in common; the other side is too old for the minimum here"),
    ("alert protocol version", Reason.VERSION, "no version in common; the other side has another minimum"),
    ("inappropriate fallback", Reason.VERSION, "the other side tried again with an older version than it could"),
    ("no shared cipher", Reason.CIPHER, "none of its ciphers is allowed here, or none fits our certificate's key"),
    ("no suitable key share", Reason.CIPHER, "no group for the key exchange in common"),
    ("no shared group", Reason.CIPHER, "no group for the key exchange in common"),
    ("no suitable signature algorithm", Reason.CIPHER, "it takes no signature that our certificate's key can make"),
    ("no ciphers available", Reason.CIPHER, "no cipher for the versions allowed here"),
    ("peer did not return a certificate", Reason.NO_CERTIFICATE, "a client certificate is required, and none was shown"),
    ("certificate required", Reason.NO_CERTIFICATE, "the other side wants a certificate of ours"),
    ("certificate verify failed", Reason.CERTIFICATE, "its certificate is not acceptable"),
    ("unknown ca", Reason.DISTRUSTED, f"{_TRUST}: it does not know the authority"),
    ("alert certificate expired", Reason.DISTRUSTED, f"{_TRUST}: it has expired, it says"),
    ("alert certificate revoked", Reason.DISTRUSTED, f"{_TRUST}: it was revoked, it says"),
    ("alert certificate unknown", Reason.DISTRUSTED, _TRUST),
    ("alert unsupported certificate", Reason.DISTRUSTED, f"{_TRUST}: it can't use such a one"),
    ("alert bad certificate", Reason.DISTRUSTED, f"{_TRUST}: perhaps it is for another name"),
    ("alert handshake failure", Reason.REFUSED, "the other side finds nothing acceptable in what we offer"),
    ("alert access denied", Reason.REFUSED, "the other side doesn't let us in"),
    ("alert unrecognized name", Reason.REFUSED, "the other side has no certificate for that name"),
    ("alert", Reason.REFUSED, "the other side broke off"),
    ("http request", Reason.NOT_TLS, "HTTP is spoken there"),
    ("wrong version number", Reason.NOT_TLS, "no TLS is spoken there"),
    ("packet length too long", Reason.NOT_TLS, "no TLS is spoken there"),
    ("record layer failure", Reason.NOT_TLS, "no TLS is spoken there"),
)
# fmt: on


objections: WeakKeyDictionary[SSL.Connection, str] = WeakKeyDictionary()
"""What we found wrong with a certificate, by connection: OpenSSL's error doesn't say it."""


def why(error: BaseException | None, connection: SSL.Connection | None = None) -> tuple[Reason, str]:
    """Why a connection ended within its handshake: the reason, and in words what OpenSSL's mean."""
    if not isinstance(error, SSL.Error):
        return Reason.CLOSED, "closed during the handshake"
    words = said(error)
    objection = objections.get(connection) if connection is not None else None
    for fragment, reason, meaning in FAILURES:
        if fragment in words:
            return reason, objection or f"{meaning} ({words})"
    return Reason.OTHER, objection or words or "handshake failed"


def said(error: SSL.Error) -> str:
    """OpenSSL's own words; the list of an error holds (library, function, reason)."""
    if error.args and isinstance(error.args[0], list):
        return ", ".join(str(entry[-1]) for entry in error.args[0])
    return ""


def agreed(layer: TLSMemoryBIOProtocol) -> Tls:
    """What a finished handshake agreed on."""
    connection = layer.getHandle()
    name = connection.get_servername() or b""
    shown = connection.get_peer_certificate(as_cryptography=True)
    return Tls(
        connection.get_protocol_version_name(),
        connection.get_cipher_name() or "",
        name.decode("ascii", "replace"),
        bool(lib.SSL_session_reused(connection._ssl)),
        None if shown is None else facts(shown),
    )


def count(listener: str, leg: Leg, tls: Tls) -> None:
    """A handshake succeeded."""
    metrics.HANDSHAKES.cell(listener, leg, "ok", tls.version, "").add()
    if tls.resumed:
        metrics.RESUMED.cell(listener, leg).add()


def count_failure(listener: str, leg: Leg, reason: Reason) -> None:
    """A handshake failed, mostly before there was a version."""
    metrics.HANDSHAKES.cell(listener, leg, "failed", "", reason).add()


@lru_cache(256)
def facts(certificate: x509.Certificate) -> Certificate:
    """What plugins see of a certificate; kept, because servers show the same one again and again."""
    return Certificate(
        certificate.subject.rfc4514_string(),
        tuple(names(certificate)),
        certificate.issuer.rfc4514_string(),
        certificate.fingerprint(SHA256()).hex(),
        certificate.not_valid_after_utc,
    )
