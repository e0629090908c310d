"""SASL (RFC 4422) as a proxy sees it: which mechanisms may be offered, and whose credentials they carry.

The dialogue itself belongs to the client and the server and passes as octets. But a mechanism that binds
to a TLS channel, or to the client's certificate, can't work across two connections, and one that sends
the secret in clear may not be offered on a clear one. The secrets that are read here are never logged.
"""

import base64
import binascii
from collections.abc import Callable

from mailweir.session import Credentials

READABLE = frozenset({"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"})
"""The secret, or a token as good as one, is on the line: readable for plugins, and for whoever taps it."""

TOKENS = frozenset({"XOAUTH2", "OAUTHBEARER"})
"""A token that was refused is answered by a challenge with the reason, and the client's answer to that, empty
or a single ^A, says nothing (RFC 7628 3.2.3)."""

BOUND = frozenset({"EXTERNAL"})
"""Proves something about the connection it runs on, and ours is another one. So do all `-PLUS`."""

LAYERED = frozenset({"GSSAPI", "DIGEST-MD5"})
"""May wrap all that follows in a security layer of its own, which nobody between can read."""

FOREIGN = frozenset({"GSSAPI", "GS2-KRB5", "NTLM", "DIGEST-MD5"})
"""Works only where the client knows the server by its real name, or not through a filter."""

LIVE = frozenset({"CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "ANONYMOUS", "OTP"})
"""Challenge and response: we can pass them on, not read them."""


def usable(mechanism: str, *, plaintext: bool, refuse_unknown: bool, asked: bool) -> bool:
    """Tell whether a client may be offered `mechanism`, and may use it.

    `plaintext`: secrets may pass on the client's connection. `refuse_unknown`: what we don't know is not
    offered. `asked`: a plugin wants to see every login, so what it can't read is a way round it.
    """
    name = mechanism.upper()
    if name in BOUND or name.endswith("-PLUS"):
        return False
    if name in READABLE:
        return plaintext
    return not refuse_unknown or (name in LIVE and not asked)


def shown(mechanism: str) -> str:
    """Its name for the log. One that nobody knows may be a password on the wrong line."""
    known = mechanism.removesuffix("-PLUS") in READABLE | BOUND | LAYERED | FOREIGN | LIVE
    return mechanism if known else "unknown"


class Responses:
    """Reads the client's half of one dialogue: the credentials of `READABLE` mechanisms, of others the name.

    `user` is who logs in, as far as it was said yet and can be read. A server that asks on behind complete
    credentials may get others, which are given out like the first.

    >>> responses = Responses("LOGIN")
    >>> responses.take(b"Ym9i"), responses.take(b"c2VjcmV0"), responses.user
    (None, Credentials(LOGIN, user='bob'), 'bob')
    """

    def __init__(self, mechanism: str) -> None:
        self.mechanism = mechanism.upper()
        self.user = ""
        self._user: bytes | None = None
        self._read = _READERS.get(self.mechanism)
        self._complete = False

    def take(self, response: bytes) -> Credentials | None:
        """One response in base64 without its CRLF, `=` for an empty one: the credentials, once complete.

        `ValueError` if it can't be read, though its mechanism should be readable.
        """
        if self._read is None:
            self.user = self.user or _named(self.mechanism, response)
            return None
        try:
            octets = b"" if response == b"=" else base64.b64decode(response, validate=True)
        except binascii.Error:
            raise ValueError("not base64") from None
        if self._complete and self.mechanism in TOKENS and octets in (b"", b"\1"):
            return None
        if self._complete and self.mechanism == "LOGIN":
            raise ValueError("neither a name nor a password")
        if self.mechanism == "LOGIN" and self._user is None:
            if response == b"=":  # Dovecot takes it for no response at all, and asks for the name again
                raise ValueError("no user name")
            self._user = octets
            return None
        authzid, user, secret = self._read(self._user or b"", octets)
        self._complete = True
        self.user = text(user)
        return Credentials(self.mechanism, self.user, text(secret), text(authzid))


def text(octets: bytes) -> str:
    """Octets of a name or password: UTF-8, or else Latin-1, so that different octets stay different."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _named(mechanism: str, response: bytes) -> str:
    """Who logs in, where only that can be read: CRAM-MD5 (RFC 2195), the first message of SCRAM (RFC 5802)."""
    if mechanism in READABLE:
        return ""
    try:
        said = text(base64.b64decode(response, validate=True))
    except binascii.Error:
        return ""
    if mechanism == "CRAM-MD5":
        return said.rpartition(" ")[0]
    if mechanism.startswith("SCRAM-"):
        name = next((part[2:] for part in said.split(",") if part.startswith("n=")), "")
        return name.replace("=2C", ",").replace("=3D", "=")
    return ""


_Parts = tuple[bytes, bytes, bytes]


def _plain(_: bytes, octets: bytes) -> _Parts:
    parts = octets.split(b"\0")  # RFC 4616 2: [authzid] NUL authcid NUL passwd
    if len(parts) != 3:
        raise ValueError("not three parts")
    return parts[0], parts[1], parts[2]


def _login(user: bytes, octets: bytes) -> _Parts:
    return b"", user, octets


def _xoauth2(_: bytes, octets: bytes) -> _Parts:
    pairs = dict(_pair(part) for part in octets.split(b"\1") if part)
    return b"", pairs.get(b"user", b""), _token(pairs)


def _oauthbearer(_: bytes, octets: bytes) -> _Parts:
    header, *parts = octets.split(b"\1")  # RFC 7628 3.1, with the GS2 header of RFC 5801 4 before it
    fields = header.split(b",")
    if len(fields) < 2:
        raise ValueError("no GS2 header")
    user = fields[1].removeprefix(b"a=").replace(b"=2C", b",").replace(b"=3D", b"=")
    return b"", user, _token(dict(_pair(part) for part in parts if part))


def _pair(part: bytes) -> tuple[bytes, bytes]:
    name, _, value = part.partition(b"=")
    return name.lower(), value


def _token(pairs: dict[bytes, bytes]) -> bytes:
    scheme, _, token = pairs.get(b"auth", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        raise ValueError("no bearer token")
    return token


_READERS: dict[str, Callable[[bytes, bytes], _Parts]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "XOAUTH2": _xoauth2,
    "OAUTHBEARER": _oauthbearer,
}
