"""The arguments of MAIL and RCPT: a path and parameters (RFC 5321 4.1.1.2, 4.1.1.3).

Read leniently, as servers do: a space after the colon, no angle brackets, octets beyond ASCII. What we
can't read at all is None; nothing here judges whether an address is a good one.
"""

import re
from typing import NamedTuple

_BRACKETED = rb'<((?:[^">\\]++|"(?:[^"\\]++|\\.)*+"|\\.)*+)>'
_BARE = rb"([^\s<>\"]++)"
_PATH = re.compile(rb" *+(?:" + _BRACKETED + rb"|" + _BARE + rb")(?: +(.*+))?+", re.DOTALL)
_ROUTE = re.compile(rb"@[^:\"]*+:")


class Path(NamedTuple):
    """`address` without brackets and source route (to be ignored, RFC 5321 C); empty for `<>`."""

    address: str
    parameters: str


def path(arguments: bytes, keyword: bytes) -> Path | None:
    """Read what follows `MAIL ` or `RCPT `; `keyword` is `FROM:` or `TO:`.

    >>> path(b"To:<@hop:ann@example.org> NOTIFY=NEVER", b"TO:")
    Path(address='ann@example.org', parameters='NOTIFY=NEVER')
    """
    if arguments[: len(keyword)].upper() != keyword:
        return None
    match = _PATH.fullmatch(arguments, len(keyword))
    if match is None:
        return None
    address = match[1] if match[1] is not None else match[2]
    route = _ROUTE.match(address)
    if route is not None:
        address = address[route.end() :]
    return Path(_text(address), _text(match[3] or b""))


def edit(arguments: bytes, keyword: bytes, address: str | None = None, given: str | None = None) -> bytes:
    """`arguments` with another address, other parameters, or both; what is None keeps its octets.

    >>> edit(b"to: <@hop:ann@example.org>  notify=NEVER", b"TO:", "bob@example.net")
    b'to: <bob@example.net>  notify=NEVER'
    >>> edit(b"FROM:<ann@example.org> SIZE=1", b"FROM:", given="")
    b'FROM:<ann@example.org>'
    """
    match = _PATH.fullmatch(arguments, len(keyword))
    if match is None:
        return keyword + b"<" + (address or "").encode() + b">" + (b" " + given.encode() if given else b"")
    bracketed = match[1] is not None
    start, end = (match.start(1) - 1, match.end(1) + 1) if bracketed else match.span(2)
    path, rest = arguments[start:end], arguments[end:]
    if address is not None:
        path = b"<" + _octets(address, path) + b">"
    if given is not None:
        behind = match[3] or b""
        blank = rest[: len(rest) - len(behind)] or b" "
        rest = blank + _octets(given, behind) if given else b""
    return arguments[:start] + path + rest


def parameters(text: str) -> dict[str, str]:
    """`KEY=value` and `KEY`, keys in capitals; of a key given twice, the last.

    >>> parameters("size=10 SMTPUTF8")
    {'SIZE': '10', 'SMTPUTF8': ''}
    """
    pairs = (word.partition("=") for word in text.split())
    return {key.upper(): value for key, _, value in pairs}


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _octets(text: str, instead: bytes) -> bytes:
    """`text` as octets, in the charset of what it stands `instead` of: octets that were kept stay so."""
    octets = text.encode()
    try:
        return octets if _text(instead).encode() == instead else text.encode("latin-1")
    except UnicodeEncodeError:
        return octets
