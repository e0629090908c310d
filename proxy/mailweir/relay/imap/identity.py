"""ID (RFC 2971): who the client says it is, without what only a proxy may say.

Dovecot believes `x-originating-ip` and its like of whoever comes from a trusted network, as we do. From our
clients such fields are taken out, however they are spelt; nothing else is changed. What can't be read as a
list of fields goes nowhere, since a server may read it all the same.
"""

from mailweir.relay.imap import literals, words
from mailweir.relay.imap.base import ImapBase
from mailweir.relay.imap.literals import Collect
from mailweir.relay.imap.table import Slot
from mailweir.wire.imap import CommandLine, Line
from mailweir.wire.imap_tokens import tokens

OURS = (b"x-originating-", b"x-connected-", b"x-session-", b"x-proxy-", b"x-forward-")
"""How the fields begin that a proxy tells a server, in any case of letters."""

Field = tuple[bytes, bytes | None]
"""A name and its value; None is NIL."""


def identify(relay: ImapBase, event: CommandLine) -> None:
    """`tag ID NIL` or `tag ID ("name" "value" ...)`."""
    Collect(relay, event.tag, lambda parts: _send(relay, event, parts)).begin(event)


def _send(relay: ImapBase, event: CommandLine, parts: list[Line | bytes]) -> None:
    slot = Slot(event.tag, event.name)
    fields = _fields(event, parts)
    if fields is None:
        relay.answer(words.tagged(event.tag, "BAD", "syntax error in ID"))
        return
    kept = [field for field in fields if not field[0].lower().startswith(OURS)]
    if len(kept) < len(fields):
        line = CommandLine(event.text[: event.at].rstrip(b" ") + b" " + _listed(kept) + b"\r\n")
        literals.forward(relay, line, slot)
    elif len(parts) == 1:
        literals.forward(relay, event, slot)
    else:
        literals.resend(relay, slot, parts)


def _fields(event: CommandLine, parts: list[Line | bytes]) -> list[Field] | None:
    """What the command says; None if it is no list of fields."""
    found: list[bytes | str] = []
    for part in parts:
        if isinstance(part, bytes):
            found.append(part)
            continue
        here = tokens(event.arguments if part is event else part.before)
        if here is None:
            return None
        found += here
    if len(found) == 1 and _value(found[0]) is None:
        return []
    if len(found) % 2 or found[:1] != ["("] or found[-1:] != [")"]:
        return None
    strings = found[1:-1]
    if "(" in strings or ")" in strings:
        return None
    fields = []
    for name, value in zip(strings[::2], strings[1::2], strict=True):
        read = _value(name)
        if read is None:
            return None
        fields.append((read, _value(value)))
    return fields


def _value(token: bytes | str) -> bytes | None:
    if isinstance(token, bytes):
        return token
    return None if token.upper() == "NIL" else token.encode("latin-1")


def _listed(fields: list[Field]) -> bytes:
    """The fields as one line; without those that no line can hold."""
    pairs = [
        _quoted(name) + b" " + (b"NIL" if value is None else _quoted(value))
        for name, value in fields
        if not any(octet in name + (value or b"") for octet in (b"\r", b"\n", b"\0"))
    ]
    return b"(" + b" ".join(pairs) + b")" if pairs else b"NIL"


def _quoted(octets: bytes) -> bytes:
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
