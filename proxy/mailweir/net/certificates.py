"""What we show to clients: certificates, chosen by name and by key, and taken anew when their files change.

Each listener has its own terms, and for them a set of OpenSSL contexts, one for each group of certificates
that are for the same name: with one RSA and one ECDSA in it, OpenSSL takes the one the client can verify.
A set is replaced as a whole, or not at all; handshakes under way end with the old one.

Sessions are resumed by tickets (RFC 5077, RFC 8446 2.2), of which we keep nothing but the key. It belongs to
a set, so it is never older than `TICKET_KEYS`; a client with an older ticket does a full handshake.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailweir import log, metrics
from mailweir.net.complaints import names, not_acceptable
from mailweir.net.handshake import objections, said
from mailweir.net.tls import CertificateUnusable, Layer, fresh_context, load_pair, unreadable

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Forward secrecy and authenticated encryption, nothing else (RFC 9325 4.2); TLS 1.3 has no others."""

LOOK = 30.0
"""Seconds between two looks at the files."""

TICKET_KEYS = 12 * 3600.0
"""Seconds that the key of tickets is in use."""

TICKETS = 2 * 3600
"""Seconds for which a ticket is good."""

_NO_PROOF = re.compile(r"NULL|ADH|AECDH|RC4|DES|EXP")
"""In the names of ciphers that hide nothing, prove nothing, or are broken."""

Pair = tuple[Path, Path]
"""A chain of certificates, the server's own first, and the key of that one; PEM files."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a listener asks of TLS. `client_ca`: clients are asked for a certificate of its authorities."""

    minimum: Literal["1.2", "1.3"] = "1.2"
    ciphers: str = ""
    client_ca: Path | None = None
    required: bool = False


class Certificates:
    """Our certificates, for all listeners. The first is for clients whose name none is for, or who say none."""

    def __init__(self, pairs: Sequence[Pair], clock: IReactorTime) -> None:
        self._pairs = pairs
        self._clock = clock
        self._servers: dict[Terms, ServerTls] = {}
        self._layers: dict[Terms, Layer] = {}
        self._stamps = {path: _stamp(path) for pair in pairs for path in pair}
        self._made = clock.seconds()

    def layer(self, terms: Terms) -> Layer:
        """For a listener; the same for the same terms. `CertificateUnusable` if a file can't serve."""
        if terms not in self._layers:
            if terms.client_ca is not None:
                self._stamps.setdefault(terms.client_ca, _stamp(terms.client_ca))
            server = self._servers[terms] = ServerTls(self._pairs, terms)
            self._layers[terms] = Layer(server, self._clock)
        return self._layers[terms]

    def publish(self) -> None:
        """From now on these are the certificates that the metrics tell of."""
        expiries = [(str(path), leaf(path).not_valid_after_utc.timestamp()) for path, _ in self._pairs]
        metrics.CERTIFICATE_EXPIRY.forget()  # no alert about what a reload has dropped
        metrics.CERTIFICATES_OK.cell().set(1)
        for path, expires in expiries:
            metrics.CERTIFICATE_EXPIRY.cell(path).set(expires)

    def look(self) -> None:
        """Take what changed. What can't be used is reported once; then the old ones serve on."""
        stamps = {path: _stamp(path) for path in self._stamps}
        changed, now = stamps != self._stamps, self._clock.seconds()
        if not changed and now - self._made < TICKET_KEYS:
            return
        self._stamps, self._made = stamps, now
        try:
            fresh = {terms: ServerTls(self._pairs, terms) for terms in self._servers}
            self.publish()
        except (CertificateUnusable, OSError, ValueError) as error:
            metrics.CERTIFICATES_OK.cell().set(0)
            log.logger().error("certificates not taken, the old ones serve on", reason=str(error))
            return
        for terms, server in fresh.items():
            self._servers[terms].become(server)
        if changed:
            log.logger().info("certificates taken anew", certificates=len(self._pairs))


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """All certificates on one listener's terms."""

    def __init__(self, pairs: Sequence[Pair], terms: Terms) -> None:
        """At least one of `pairs`. `CertificateUnusable` if one can't serve."""
        made: dict[tuple[Pair, ...], SSL.Context] = {}
        for pair in pairs:
            made[(pair,)] = _context([pair], terms)  # each is tried, even one that nobody will be shown
        groups: dict[str, tuple[Pair, ...]] = {}
        for pair in pairs:
            for name in names(leaf(pair[0])):
                groups[name] = (*groups.get(name, ()), pair)
        self._names: dict[str, SSL.Context] = {}
        for name, group in groups.items():
            if group not in made:
                made[group] = _context(group, terms)
            self._names[name] = made[group]
        own = next(iter(names(leaf(pairs[0][0]))), None)
        self._default = made[(pairs[0],)] if own is None else self._names[own]
        self._default.set_tlsext_servername_callback(self._choose)

    def become(self, other: "ServerTls") -> None:
        """From the next handshake on, be as the other."""
        self._names, self._default = other._names, other._default

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._default, None)

    def _choose(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        wildcard = "*." + name.partition(".")[2]
        context = self._names.get(name) or self._names.get(wildcard)
        if context is not None:
            connection.set_context(context)


def leaf(certificate: Path) -> x509.Certificate:
    """The first certificate of a file: the server's own."""
    return x509.load_pem_x509_certificates(certificate.read_bytes())[0]


def pair_refused(pair: Pair) -> str:
    """Why OpenSSL would not show a pair that is sound in itself (its key is too short, say); empty if it would."""
    try:
        _context([pair], Terms())
    except CertificateUnusable as error:
        return str(error)
    return ""


def ciphers_mistake(text: str) -> str:
    """What is wrong with a list of ciphers in OpenSSL's words; empty if nothing is.

    OpenSSL itself passes over what it doesn't know beside something that it knows.
    """
    for word in re.split(r"[:, ]+", text):
        if not re.fullmatch(r"[A-Za-z0-9_+@=.!-]+", word):
            return "must be names of ciphers as `openssl ciphers` takes them, with : between them"
        if word[0] not in "!-+@" and not _known(word):
            return f"OpenSSL knows no cipher {word}"
    scratch = fresh_context(SSL.TLS_SERVER_METHOD)
    try:
        _set_ciphers(scratch, text)
    except SSL.Error as error:
        return f"OpenSSL does not take it: {said(error) or error}"
    bad = [name for name in SSL.Connection(scratch, None).get_cipher_list() if _NO_PROOF.search(name)]
    return f"allows {bad[0]}, which protects nobody" if bad else ""


def _known(word: str) -> bool:
    try:
        _set_ciphers(SSL.Context(SSL.TLS_SERVER_METHOD), word + ("" if _is_suite(word) else ":@SECLEVEL=0"))
    except SSL.Error:
        return False
    return True


def _is_suite(word: str) -> bool:
    """A cipher of TLS 1.3, which OpenSSL keeps in a list of their own."""
    return word.startswith("TLS_")


def _set_ciphers(context: SSL.Context, text: str) -> None:
    words = re.split(r"[:, ]+", text)
    suites = [word for word in words if _is_suite(word)]
    older = [word for word in words if not _is_suite(word)]
    if suites:
        context.set_tls13_ciphersuites(":".join(suites).encode())
    if older:
        context.set_cipher_list(":".join(older).encode())


def _context(pairs: Iterable[Pair], terms: Terms) -> SSL.Context:
    """The certificates of one name; of two with a key of one kind OpenSSL takes the first."""
    context = fresh_context(SSL.TLS_SERVER_METHOD)
    if terms.minimum == "1.3":
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
    _set_ciphers(context, CIPHERS)
    if terms.ciphers:
        _set_ciphers(context, terms.ciphers)
    context.set_timeout(TICKETS)
    context.set_session_id(b"mailweir")
    kinds: set[str] = set()
    for certificate, key in pairs:
        kind = _kind(certificate)
        if kind not in kinds:
            kinds.add(kind)
            load_pair(context, certificate, key)
    if terms.client_ca is not None:
        _ask(context, terms.client_ca, terms.required)
    return context


def _kind(certificate: Path) -> str:
    try:
        return type(leaf(certificate).public_key()).__name__
    except (OSError, ValueError) as error:
        raise CertificateUnusable(f"{certificate}: {unreadable(certificate, 'a certificate')}") from error


def _ask(context: SSL.Context, authorities: Path, required: bool) -> None:
    """Let clients be asked for a certificate (RFC 8446 4.3.2)."""
    try:
        context.load_verify_locations(str(authorities))
        context.load_client_ca(os.fsencode(authorities))
    except SSL.Error as error:
        raise CertificateUnusable(f"{authorities}: {unreadable(authorities, 'CA certificates')}") from error
    context.set_verify(SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0), _verify)


def _verify(connection: SSL.Connection, shown: crypto.X509, code: int, depth: int, good: int) -> bool:
    """Called by OpenSSL for each certificate of a client's chain."""
    if not good:
        objections[connection] = not_acceptable(shown.to_cryptography(), code, "client_ca")
    return bool(good)


def _stamp(path: Path) -> Stamp:
    """What tells that a file is another, or was written to."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size
