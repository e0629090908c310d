"""TLS on a connection, and whom we believe as an upstream.

Twisted's memory BIO does TLS on top of any transport; here the OpenSSL connections for it are made: TLS 1.2
and newer, no renegotiation, no compression. A client checks chain and name within the handshake, so that
nothing goes up to whom it does not believe, and remembers in words what was wrong. What we show to clients
of ours is in `certificates`.
"""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

from OpenSSL import SSL, crypto
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

from mailweir.net import dane
from mailweir.net.addresses import is_number
from mailweir.net.complaints import not_acceptable, wrong_name
from mailweir.net.dane import Tlsa
from mailweir.net.handshake import objections, said, why

Verify = bool | Path | Literal["dane"]

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
    """Whom we believe as an upstream, and what we show to it.

    `verify`: the system's authorities (True), those of a file, anybody (False), or what the DNS says
    ("dane"). `name` is what its certificate must be for in place of the host that is dialled, `sni` what we
    ask for in place of that. `pair`: a certificate chain of ours and its key.
    """

    def __init__(
        self,
        verify: Verify,
        clock: IReactorTime,
        *,
        name: str = "",
        sni: str = "",
        pair: tuple[Path, Path] | None = None,
    ) -> None:
        self.dane = verify == "dane"
        self._clock = clock
        self._name = name
        self._sni = sni
        self._context = fresh_context(SSL.TLS_CLIENT_METHOD)
        if pair is not None:
            load_pair(self._context, *pair)
        if isinstance(verify, Path):
            try:
                self._context.load_verify_locations(str(verify))
            except SSL.Error as error:
                raise CertificateUnusable(f"{verify}: {unreadable(verify, 'CA certificates')}") from error
        elif verify and not self.dane:
            self._context.set_default_verify_paths()
        if verify is not False and not self.dane:
            self._context.set_verify(SSL.VERIFY_PEER, _verify)

    def towards(self, host: str, records: Sequence[Tlsa] = ()) -> Layer:
        """For connections to a server that must show a certificate for `host`, a name or a number.

        With `dane` the certificate must match one of `records`.
        """
        name = self._name or host
        sni = self._sni or ("" if is_number(name) else name)
        return Layer(_Towards(self._context, _Check(name, records if self.dane else None), sni), self._clock)


@implementer(IOpenSSLClientConnectionCreator)
class _Towards:
    def __init__(self, context: SSL.Context, check: "_Check", sni: str) -> None:
        self._context = context
        self._check = check
        self._sni = sni

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        _checks[connection] = self._check
        if self._sni:
            connection.set_tlsext_host_name(self._sni.encode("idna"))
        return connection


class _Check:
    """What a server must prove: its name, or that it is whom `records` mean."""

    def __init__(self, host: str, records: Sequence[Tlsa] | None) -> None:
        self.host = host
        self.records = records


_checks: WeakKeyDictionary[SSL.Connection, _Check] = WeakKeyDictionary()
"""By connection: Twisted takes pyOpenSSL's own place for such things (`set_app_data`) for itself."""


def distrusted(layer: TLSMemoryBIOProtocol) -> str:
    """What only a finished handshake can tell about a server: whether it is whom the DNS means (DANE).

    Empty if nothing is wrong. OpenSSL has checked all the rest, within the handshake.
    """
    connection = layer.getHandle()
    check = _checks[connection]
    if check.records is None:
        return ""
    chain = connection.get_peer_cert_chain(as_cryptography=True) or []
    return dane.objection(chain, check.records, check.host)


def explain(error: BaseException | None, layer: TLSMemoryBIOProtocol | None) -> str:
    """Why a connection ended, in words; empty if it was closed in good order."""
    if isinstance(error, ConnectionDone):
        return ""
    if isinstance(error, SSL.Error):
        connection = layer.getHandle() if layer is not None else None
        return f"TLS: {why(error, connection)[1]}"
    if isinstance(error, ConnectionClosed) and error.__cause__ is not None:
        cause = error.__cause__
        return (cause.strerror or str(cause)).lower() if isinstance(cause, OSError) else str(cause)
    return NO_NOTIFY if layer is not None else "connection lost"


def _verify(connection: SSL.Connection, shown: crypto.X509, code: int, depth: int, good: int) -> bool:
    """Called by OpenSSL for each certificate of the chain, the server's own last."""
    certificate = shown.to_cryptography()
    wrong = ""
    if not good:
        wrong = not_acceptable(certificate, code)
    elif depth == 0:
        wrong = wrong_name(certificate, _checks[connection].host)
    if wrong:
        objections[connection] = wrong
    return not wrong


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


def load_pair(context: SSL.Context, certificate: Path, key: Path) -> None:
    """Show this chain, whose first certificate's key is `key`; `CertificateUnusable` if that can't be."""
    try:
        context.use_certificate_chain_file(str(certificate))
    except SSL.Error as error:
        raise CertificateUnusable(f"{certificate}: OpenSSL does not take it: {said(error)}") from error
    try:
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except SSL.Error as error:
        if "mismatch" in said(error):
            text = f"the key {key} does not belong to the certificate {certificate}"
        else:
            text = f"{key}: {unreadable(key, 'a private key without passphrase')}"
        raise CertificateUnusable(text) from error


def unreadable(path: Path, what: str) -> str:
    """Why a PEM file could not be taken."""
    try:
        path.read_bytes()
    except OSError as error:
        if error.errno == errno.EACCES:
            return "permission denied: mailweir's user must be able to read it"
        return (error.strerror or str(error)).lower()
    return f"there is no {what.removeprefix('a ')} in PEM form in it"
