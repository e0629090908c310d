"""The tokens of IMAP, only as deep as a relay must look: tags, atoms, strings, literals (RFC 9051 9).

Framing hangs on one question: does this line end in a literal, or in text that looks like one? The answer
needs to know whether the line's end stands in a quoted string; `quoting` follows them, in one pass and
without recursion. It can't be had by searching from the end.
"""

import re
from typing import NamedTuple

OUTSIDE, QUOTED, ESCAPED = range(3)
"""Where in a quoted string a place stands: in none, in one, behind a backslash in one."""

_STOPS = re.compile(rb'["\\]')
_LITERAL = re.compile(rb"(~?)\{([0-9]{1,19})(\+?)\}")
_NEAR = re.compile(rb"~?\{[0-9]+(\+?)\}\Z")
_TAG = re.compile(rb"[!#$&',-\[\]^-z|}~./0-9:;<=>?@]+")
_ATOM = re.compile(rb"[!#$&'+,-\[^-z|}~]+")
_STRING = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*+)"|([!#$&\'+,-\[\]^-z|}~\x80-\xff]++)')
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_LENIENT = re.compile(rb' *+(?:"((?:[^"\\]|\\.)*+)"|([^ "(){]++|[()]))', re.DOTALL)
_HIGHEST = 2**63 - 1


class Literal(NamedTuple):
    """What announces a literal at the end of a line (RFC 9051 4.3, RFC 7888, RFC 3516).

    `sync`: the sender waits for `+`. `binary`: literal8. `length` counts the octets of the announcement.
    """

    size: int
    sync: bool
    binary: bool
    length: int

    def announce(self, size: int) -> bytes:
        """A synchronising literal of the same kind with `size` octets."""
        return b"%s{%d}" % (b"~" if self.binary else b"", size)


def quoting(text: bytes, state: int = OUTSIDE) -> int:
    """Where the end of `text` stands, if its beginning stands in `state`.

    >>> quoting(b'a "b'), quoting(b'c\\\\', QUOTED), quoting(b'"d"', ESCAPED)
    (1, 2, 0)
    """
    at, size = 0, len(text)
    while at < size:
        if state == OUTSIDE:
            at = text.find(b'"', at) + 1
            if not at:
                return OUTSIDE
            state = QUOTED
        elif state == ESCAPED:
            at += 1
            state = QUOTED
        else:
            stop = _STOPS.search(text, at)
            if stop is None:
                return QUOTED
            at = stop.end()
            state = OUTSIDE if stop[0] == b'"' else ESCAPED
    return state


def announced(text: bytes) -> Literal | None:
    """The literal that the octets at the end of `text` announce; quoting is the caller's affair.

    `{n-}` is in no RFC, and a number beyond 63 bits no number of IMAP: both are text.
    """
    if not text.endswith(b"}"):
        return None
    at = text.rfind(b"{")
    found = _LITERAL.fullmatch(text, at - 1 if text[at - 1 : at] == b"~" else at) if at >= 0 else None
    if found is None or int(found[2]) > _HIGHEST:
        return None
    return Literal(int(found[2]), not found[3], bool(found[1]), len(found[0]))


def nearly_announced(text: bytes) -> bytes | None:
    """The end of `text` has the shape of a literal, whatever its number and surroundings.

    Gives `b"+"` if the sender would not wait, `b""` if it would.
    """
    found = _NEAR.search(text) if text.endswith(b"}") else None
    return found[1] if found else None


def is_tag(text: bytes) -> bool:
    """RFC 9051 9: one or more ASTRING-CHAR but `+`."""
    return _TAG.fullmatch(text) is not None


def is_atom(text: bytes) -> bool:
    return _ATOM.fullmatch(text) is not None


def tokens(text: bytes) -> list[bytes | str] | None:
    """Strings (`bytes`), and atoms and parentheses (`str`) in `text`, read as leniently as servers do.

    Dovecot needs no blank between two quoted strings, takes more than one, and any octet behind a backslash.
    None if a quoted string does not end, or at a brace.

    >>> tokens(b'("a\\\\b""c"  NIL)')
    ['(', b'ab', b'c', 'NIL', ')']
    """
    found: list[bytes | str] = []
    text, at = text.rstrip(b" "), 0
    while at < len(text):
        token = _LENIENT.match(text, at)
        if token is None:
            return None
        quoted, atom = token[1], token[2]
        found.append(atom.decode("latin-1") if atom is not None else _ESCAPE.sub(rb"\1", quoted))
        at = token.end()
    return found


def strings(text: bytes) -> list[bytes] | None:
    """The values of the astrings in `text`, one blank between them; None if it holds anything else.

    >>> strings(b'ann "a \\\\"b\\\\""')
    [b'ann', b'a "b"']
    """
    found, at = [], 0
    while text:
        string = _STRING.match(text, at)
        if string is None:
            return None
        found.append(string[2] if string[2] is not None else _ESCAPE.sub(rb"\1", string[1]))
        at = string.end()
        if at == len(text):
            break
        if text[at : at + 1] != b" ":
            return None
        at += 1
    return found
