"""Signs messages with DKIM (RFC 6376), by RSA (RFC 8301) and Ed25519 (RFC 8463).

    plugins:
      dkim:
        domain: example.org             # one key ...
        selector: mail
        key: {file: mail.pem}           # PEM; for Ed25519 also the base64 seed that dknewkey writes
        keys:                           # ... or several: of other domains, or RSA and Ed25519 for one
          - {domain: example.net, selector: rsa, key: {file: rsa.pem}}
          - {domain: example.net, selector: ed, key: {file: ed.pem}}
        authenticated: true             # who logged in may have mail signed
        networks: [192.0.2.0/24, unix]  # and who comes from here, logged in or not
        canonicalization: relaxed/relaxed
        headers: [from, subject, date]  # the default is HEADERS
        oversign: [from, subject]       # of these nobody may add another; the default is OVERSIGN

A message is signed by every key of the domain of its author: there must be one From field with one
mailbox, or the recipient could be shown another author than we checked. What can't be signed passes
unsigned, with a line in the log. Signed is what leaves: the header with everybody's edits, the body as it
is spooled.

The body is hashed in pieces (`mailweir.RelaxedBody`); a large one in a thread, where hashing and the key's
operation let the loop run.
"""

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated, Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, BaseModel, model_validator

from mailweir import (
    Counter,
    Field,
    HeaderError,
    Headers,
    HeaderTooBig,
    Message,
    RelaxedBody,
    Secret,
    Session,
    SimpleBody,
    hookimpl,
    log_event,
    printable,
    relaxed_field,
    simple_field,
)

HEADERS = (
    "from sender reply-to subject date message-id to cc mime-version content-type content-transfer-encoding"
    " content-id content-description resent-date resent-from resent-sender resent-to resent-cc"
    " resent-message-id in-reply-to references list-id list-help list-unsubscribe list-unsubscribe-post"
    " list-subscribe list-post list-owner list-archive"
)
"""RFC 6376 5.4.1 and RFC 8058 4: fields that are signed if they are there, as often as they are there."""

OVERSIGN = (
    "from sender reply-to subject date message-id to cc mime-version content-type content-transfer-encoding"
)
"""Fields that change what is shown, or how: signed once more than they are there (RFC 6376 8.15)."""

NEVER = {"dkim-signature", "received", "return-path"}
"""Fields that others add or change on the way (RFC 6376 5.4)."""

AT_ONCE = 64 * 1024
"""Octets of a message that is signed on the spot: 1 ms with an RSA key of 2048 bits."""

MAILBOXES = 2048
"""Characters of a From field that is looked at."""

RSA_BITS = 1024
"""What verifiers take at least (RFC 8301 3.2)."""

SIGNED = Counter("mailweir_dkim_messages_total", "Messages met at signing, by what was done.", ("result",))

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]
Key = RSAPrivateKey | Ed25519PrivateKey

_ADDRESS = r'(?:"(?:[^"\\]|\\.)*+"|[^\s"<>(),;:\\@]++)@([^\s"<>(),;:\\@\[\]]++)'
_COMMENTS = r"\s*(?:\([^()\\]*+\)\s*)*"
_MAILBOX = re.compile(
    rf'(?:{_COMMENTS}{_ADDRESS}|(?:[^"<>(),;:\\]++|"(?:[^"\\]|\\.)*+"|\([^()\\]*+\))*+<\s*{_ADDRESS}\s*>)'
    rf"{_COMMENTS}",
    re.DOTALL,
)
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)


def parsed_key(secret: Secret) -> Key:
    """The private key in a secret; `ValueError` says what it is instead."""
    octets = secret.octets().strip()
    if not octets.startswith(b"-----"):
        try:
            return Ed25519PrivateKey.from_private_bytes(base64.b64decode(octets, validate=True))
        except ValueError:
            raise ValueError(
                f"{secret.source} holds no private key: neither PEM nor the base64 seed of an Ed25519 key"
            ) from None
    try:
        key = load_pem_private_key(octets, None)
    except TypeError:
        raise ValueError(f"the key in {secret.source} has a passphrase; take it away") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{secret.source} holds no private key that can be read") from None
    if isinstance(key, RSAPrivateKey) and key.key_size < RSA_BITS:
        raise ValueError(f"the RSA key in {secret.source} has {key.key_size} bits; verifiers want {RSA_BITS}")
    if not isinstance(key, Key):
        raise ValueError(f"the key in {secret.source} is neither RSA nor Ed25519")
    return key


def _a_key(secret: Secret) -> Secret:
    parsed_key(secret)
    return secret


def _host(value: str) -> str:
    host = domain_of(value)
    if not _HOST.fullmatch(host):
        raise ValueError("must be a domain like example.org")
    return host


def _fields(value: list[str]) -> list[str]:
    names = [name.lower() for name in value]
    for name in names:
        if name in NEVER:
            raise ValueError(f"{name} changes on the way, so it can't be signed")
        if not Field(f"{name}:".encode()).name:
            raise ValueError("must be names of header fields")
    if "from" not in names:
        raise ValueError("must contain from (RFC 6376 5.4)")
    return list(dict.fromkeys(names))


class KeyEntry(BaseModel):
    """One key and the name of its public half: `selector._domainkey.domain`."""

    domain: Annotated[str, AfterValidator(_host)]
    selector: Annotated[str, AfterValidator(_host)]
    key: Annotated[Secret, AfterValidator(_a_key)]


class Signer:
    """One key at work."""

    def __init__(self, entry: KeyEntry) -> None:
        self.domain = entry.domain
        self.selector = entry.selector
        self._key = parsed_key(entry.key)
        self.algorithm: Algorithm = "rsa-sha256" if isinstance(self._key, RSAPrivateKey) else "ed25519-sha256"

    def sign(self, octets: bytes) -> bytes:
        """The signature of `octets`; RFC 8463 3: Ed25519 signs their SHA-256."""
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(octets, PKCS1v15(), SHA256())
        return self._key.sign(hashlib.sha256(octets).digest())


class Unsigned(Exception):
    """This message can't be signed; `result` is the metric's label, the text is for the log."""

    def __init__(self, result: str, reason: str) -> None:
        super().__init__(reason)
        self.result = result


class Dkim:
    """The plugin."""

    class Settings(BaseModel):
        domain: Annotated[str, AfterValidator(_host)] | None = None
        selector: Annotated[str, AfterValidator(_host)] | None = None
        key: Annotated[Secret, AfterValidator(_a_key)] | None = None
        keys: list[KeyEntry] = []
        authenticated: bool = True
        networks: list[Literal["unix"] | IPv4Network | IPv6Network] = []
        canonicalization: Literal["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"] = (
            "relaxed/relaxed"
        )
        headers: Annotated[list[str], AfterValidator(_fields)] = HEADERS.split()
        oversign: Annotated[list[str], AfterValidator(_fields)] = OVERSIGN.split()

        @model_validator(mode="after")
        def _together(self) -> Self:
            if self.domain and self.selector and self.key:
                self.keys = [KeyEntry(domain=self.domain, selector=self.selector, key=self.key), *self.keys]
            elif self.domain or self.selector or self.key:
                raise ValueError("domain, selector and key belong together")
            if not self.keys:
                raise ValueError("a key is missing: domain, selector and key, or a list of them as keys")
            names = [(entry.selector, entry.domain) for entry in self.keys]
            for name in set(names):
                if names.count(name) > 1:
                    raise ValueError(f"two keys for {name[0]}._domainkey.{name[1]}")
            return self

    def __init__(self, settings: Settings) -> None:
        self._signers: dict[str, list[Signer]] = {}
        for entry in settings.keys:
            self._signers.setdefault(entry.domain, []).append(Signer(entry))
        self._authenticated = settings.authenticated
        self._unix = "unix" in settings.networks
        self._networks = [network for network in settings.networks if not isinstance(network, str)]
        self._form = settings.canonicalization
        head, _, body = settings.canonicalization.partition("/")
        self._field = FIELD_FORMS[head]
        self._body = BODY_FORMS[body]
        self._headers = settings.headers
        self._oversign = set(settings.oversign)

    @hookimpl
    def sign(self, session: Session, message: Message) -> Awaitable[None] | None:
        if message.stage not in ("smtp", "lmtp"):
            return None
        try:
            signers = self._signers_for(session, message.headers)
        except (Unsigned, HeaderTooBig) as error:
            self._passes(session, message, error)
            return None
        if message.size > AT_ONCE:
            return self._later(session, message, signers)
        self._add(session, message, self.signatures(message, signers))
        return None

    async def _later(self, session: Session, message: Message, signers: list[Signer]) -> None:
        self._add(session, message, await asyncio.to_thread(self.signatures, message, signers))

    def _add(self, session: Session, message: Message, signatures: list[str]) -> None:
        try:
            for value in reversed(signatures):
                message.headers.add("DKIM-Signature", value)
        except HeaderError as error:
            self._passes(session, message, error)
        else:
            SIGNED.cell("signed").add()

    def _passes(self, session: Session, message: Message, error: Exception) -> None:
        SIGNED.cell(error.result if isinstance(error, Unsigned) else "header").add()
        log_event("dkim: not signed", {"session": session.id, "id": message.id, "reason": str(error)})

    def _signers_for(self, session: Session, headers: Headers) -> list[Signer]:
        """The keys that may sign for this session and this author."""
        if not (session.login and self._authenticated) and not self._listed(session):
            raise Unsigned("session", "the client has not logged in and is in none of the networks")
        domain = author_domain(headers)
        signers = self._signers.get(domain)
        if signers is None:
            raise Unsigned("domain", f"there is no key for {printable(domain, 100)}")
        return signers

    def _listed(self, session: Session) -> bool:
        if not session.client.port:
            return self._unix
        if not self._networks:
            return False
        address = ip_address(session.client.host.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)

    def signatures(self, message: Message, signers: list[Signer]) -> list[str]:
        """The values of the DKIM-Signature fields, in the order of the keys. Knows no loop."""
        names, fields = self._chosen(message.headers)
        body_hash = _base64(_hash(self._body(), message.body()))
        head = b"".join(self._field(field) for field in fields)
        values = []
        for signer in signers:
            value = (
                f"v=1; a={signer.algorithm}; c={self._form};\r\n\td={signer.domain}; s={signer.selector};"
                f" t={int(time.time())};\r\n\th={_folded(names)};\r\n\tbh={body_hash};\r\n\tb="
            )
            own = self._field(f"DKIM-Signature: {value}\r\n".encode()).removesuffix(b"\r\n")
            signature = _base64(signer.sign(head + own))
            values.append(
                value + "\r\n\t".join(signature[at : at + 72] for at in range(0, len(signature), 72))
            )
        return values

    def _chosen(self, headers: Headers) -> tuple[list[str], list[bytes]]:
        """The names for h=, and the fields that they mean, from the bottom up (RFC 6376 5.4.2)."""
        found: dict[str, list[bytes]] = {name: [] for name in self._headers}
        for field in headers:
            if field.name in found:
                found[field.name].insert(0, field.raw)
        names, fields = [], []
        for name, raws in found.items():
            names += [name] * (len(raws) + (name in self._oversign))
            fields += raws
        return names, fields


def author_domain(headers: Headers) -> str:
    """The domain of the one author."""
    fields = [field for field in headers if field.name == "from"]
    if len(fields) != 1:
        raise Unsigned("from", f"there are {len(fields)} From fields" if fields else "there is no From field")
    value = fields[0].value
    mailbox = _MAILBOX.fullmatch(value) if len(value) <= MAILBOXES else None
    if mailbox is None:
        raise Unsigned("from", "the From field is not one mailbox")
    return domain_of(mailbox[1] or mailbox[2])


def domain_of(text: str) -> str:
    """A domain in the form in which domains are compared and looked up."""
    host = text.rstrip(".").lower()
    if not host.isascii() and len(host) <= 253:
        try:
            return host.encode("idna").decode("ascii")
        except UnicodeError:
            pass
    return host


def _hash(body: SimpleBody, pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        for octets in body.feed(piece):
            digest.update(octets)
    for octets in body.finish():
        digest.update(octets)
    return digest.digest()


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _folded(names: list[str]) -> str:
    """Names for h=, on lines of some 70 characters (RFC 6376 3.5 allows blanks around the colons)."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > 70:
            lines.append("")
        lines[-1] += name + ":"
    return "\r\n\t ".join(lines).removesuffix(":")


FIELD_FORMS: dict[str, Callable[[bytes], bytes]] = {"relaxed": relaxed_field, "simple": simple_field}
BODY_FORMS: dict[str, type[SimpleBody]] = {"relaxed": RelaxedBody, "simple": SimpleBody}
