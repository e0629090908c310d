"""Names of mailboxes: modified UTF-7 (RFC 3501 5.1.3), or UTF-8 as it is (RFC 9051 5.1, RFC 9755).

A name can be spelt in many ways, and a rule about it must know them all: `INBOX` in any case is one, and so
is what a server reads out of shifted letters that need no shift.
"""

import binascii
import re

_SHIFTED = re.compile(rb"&([^-&]*+)-")
_PRINTABLE = re.compile(r"[ -~]+")


def decoded(name: bytes, *, utf8: bool = False) -> str | None:
    """The name that `name` spells; None if it spells none. `utf8`: the client enabled it, so `&` is a letter.

    INBOX is always in capitals.

    >>> decoded(b"Entw&APw-rfe"), decoded(b"R&-D"), decoded(b"inbox"), decoded(b"&APw")
    ('Entwürfe', 'R&D', 'INBOX', None)
    """
    try:
        text = name.decode("utf-8") if utf8 or b"&" not in name else _unshifted(name)
    except (UnicodeError, binascii.Error, ValueError):
        return None
    return "INBOX" if text.upper() == "INBOX" else text


def encoded(name: str, *, utf8: bool = False) -> bytes:
    """`name` as modified UTF-7, or as UTF-8 where the client enabled that.

    >>> encoded("Entwürfe & R"), encoded("Entwürfe", utf8=True)
    (b'Entw&APw-rfe &- R', b'Entw\\xc3\\xbcrfe')
    """
    if utf8:
        return name.encode()
    out, at = [], 0
    for plain in _PRINTABLE.finditer(name):
        out += [_shifted(name[at : plain.start()]), plain[0].replace("&", "&-").encode()]
        at = plain.end()
    return b"".join([*out, _shifted(name[at:])])


def _shifted(text: str) -> bytes:
    if not text:
        return b""
    letters = binascii.b2a_base64(text.encode("utf-16-be"), newline=False).rstrip(b"=")
    return b"&" + letters.replace(b"/", b",") + b"-"


def _unshifted(name: bytes) -> str:
    out, at = [], 0
    for shift in _SHIFTED.finditer(name):
        out.append(_unshifted_plain(name[at : shift.start()]))
        letters = shift[1].replace(b",", b"/")
        if letters:
            octets = binascii.a2b_base64(letters + b"=" * (-len(letters) % 4), strict_mode=True)
            out.append(octets.decode("utf-16-be"))
        else:
            out.append("&")
        at = shift.end()
    return "".join([*out, _unshifted_plain(name[at:])])


def _unshifted_plain(octets: bytes) -> str:
    if b"&" in octets:
        raise ValueError("a shift does not end")
    return octets.decode("utf-8")
