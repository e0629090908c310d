"""TLS on a connection, and whom we believe as an upstream.

Twisted's memory BIO does TLS on top of any transport; here the OpenSSL connections for it are made: TLS 1.2
and newer, no renegotiation, no compression. A client checks chain and name within the handshake, so that
nothing goes up to whom it does not believe, and remembers in words what was wrong. What we show to clients
of ours is in `certificates`.
"""

import errno
from pathlib import Path
from weakref import WeakKeyDictionary

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from mailweir.net.addresses import is_number
from mailweir.net.handshake import names, why

_CODES = SSL.X509VerificationCodes
_EXPIRED = (_CODES.ERR_CERT_HAS_EXPIRED, _CODES.ERR_CERT_NOT_YET_VALID)
_UNKNOWN = (
    _CODES.ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
    _CODES.ERR_SELF_SIGNED_CERT_IN_CHAIN,
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    _CODES.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT,
)


NO_NOTIFY = "closed without TLS close_notify"
"""The connection ended, but not its TLS (RFC 8446 6.1)."""


class CertificateUnusable(Exception):
    """A file of ours that can't serve; the text names the file and says what to do."""


class Layer:
    """Puts TLS between a transport and a protocol that has been talking in clear, or is about to begin."""

    def __init__(
        self,
        creator: IOpenSSLClientConnectionCreator | IOpenSSLServerConnectionCreator,
        clock: IReactorTime,
    ) -> None:
        client = IOpenSSLClientConnectionCreator.providedBy(creator)
        self._factory = TLSMemoryBIOFactory(creator, client, Factory(), clock)

    def over(self, protocol: IProtocol) -> TLSMemoryBIOProtocol:
        """A new layer; `protocol` is not connected once more. The handshake begins with `makeConnection`."""
        return TLSMemoryBIOProtocol(self._factory, protocol, False)


class ClientTls:
    """Whom we believe as an upstream: the system's authorities (True), those of a file, or anybody (False)."""

    def __init__(self, verify: bool | Path, clock: IReactorTime) -> None:
        self._clock = clock
        self._context = fresh_context(SSL.TLS_CLIENT_METHOD)
        if isinstance(verify, Path):
            try:
                self._context.load_verify_locations(str(verify))
            except SSL.Error as error:
                raise CertificateUnusable(f"{verify}: {unreadable(verify, 'CA certificates')}") from error
        elif verify:
            self._context.set_default_verify_paths()
        if verify is not False:
            self._context.set_verify(SSL.VERIFY_PEER, _verify)

    def towards(self, host: str) -> Layer:
        """For connections to a server that must show a certificate for `host`, a name or a number."""
        return Layer(_Towards(self._context, host), self._clock)


@implementer(IOpenSSLClientConnectionCreator)
class _Towards:
    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        _checks[connection] = _Check(self._host)
        if not is_number(self._host):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection


class _Check:
    """Which name a server must prove, and what was wrong with its proof."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.wrong = ""


_checks: WeakKeyDictionary[SSL.Connection, _Check] = WeakKeyDictionary()
"""By connection: Twisted takes pyOpenSSL's own place for such things (`set_app_data`) for itself."""


def explain(error: BaseException | None, layer: TLSMemoryBIOProtocol | None) -> str:
    """Why a connection ended, in words; empty if it was closed in good order."""
    if isinstance(error, ConnectionDone):
        return ""
    if isinstance(error, SSL.Error):
        connection = layer.getHandle() if layer is not None else None
        check = _checks.get(connection) if connection is not None else None
        wrong = check.wrong if check is not None else ""
        return f"TLS: {wrong or why(error, connection)[1]}"
    if isinstance(error, ConnectionClosed) and error.__cause__ is not None:
        cause = error.__cause__
        return (cause.strerror or str(cause)).lower() if isinstance(cause, OSError) else str(cause)
    return NO_NOTIFY if layer is not None else "connection lost"


def _verify(connection: SSL.Connection, shown: crypto.X509, code: int, depth: int, good: int) -> bool:
    """Called by OpenSSL for each certificate of the chain, the server's own last."""
    check = _checks[connection]
    certificate = shown.to_cryptography()
    if not good:
        check.wrong = complaint(certificate, code, "verify")
        return False
    if depth == 0:
        verify = verify_certificate_ip_address if is_number(check.host) else verify_certificate_hostname
        try:
            verify(certificate, check.host)
        except (VerificationError, CertificateError, ValueError):
            hosts = ", ".join(names(certificate)) or "no name at all"
            check.wrong = f"certificate is for {hosts}, not for {check.host}"
            return False
    return True


def complaint(certificate: x509.Certificate, code: int, key: str) -> str:
    """What OpenSSL has against a certificate; `key` of the configuration could change its mind."""
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


def fresh_context(method: int) -> SSL.Context:
    """What all our connections have in common."""
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_SINGLE_DH_USE
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


def unreadable(path: Path, what: str) -> str:
    """Why a PEM file could not be taken."""
    try:
        path.read_bytes()
    except OSError as error:
        if error.errno == errno.EACCES:
            return "permission denied: mailweir's user must be able to read it"
        return (error.strerror or str(error)).lower()
    return f"there is no {what.removeprefix('a ')} in PEM form in it"
