"""What the arguments of each command mean: a row each, in the order in which they stand (RFC 9051 6).

A command without a row has none that name a mailbox, a message or an item. `keys` takes all that is left.
"""

from collections.abc import Sequence
from enum import Enum

from mailweir.wire.imap_arguments import Group, Node


class Means(Enum):
    """What one argument is, by the word that stands for it in a row."""

    MAILBOX = "mailbox"
    TARGET = "target"
    REFERENCE = "reference"
    NUMBERS = "numbers"
    ITEMS = "items"
    FLAGS = "flags"
    MAYBE_FLAGS = "flags?"
    OPTIONS = "(options)?"
    WORD = "word"
    KEYS = "keys"
    REST = "..."


_ROWS = {
    "SELECT EXAMINE CREATE": "mailbox (options)?",
    "DELETE SUBSCRIBE UNSUBSCRIBE": "mailbox",
    "RENAME": "mailbox target (options)?",
    "STATUS": "mailbox items",
    "LIST": "(options)? reference items ...",
    "LSUB XLIST RLIST RLSUB": "reference items",
    "APPEND": "mailbox flags? ...",
    "REPLACE": "numbers mailbox flags? ...",
    "COPY MOVE": "numbers target",
    "FETCH": "numbers items (options)?",
    "STORE": "numbers (options)? word flags",
    "SEARCH SORT THREAD": "keys",
    "EXPUNGE": "numbers",
    "CONVERT": "numbers ...",
    "GETACL MYRIGHTS GETQUOTAROOT": "mailbox",
    "SETACL DELETEACL LISTRIGHTS": "mailbox ...",
    "GETMETADATA": "(options)? mailbox ...",
    "SETMETADATA GETANNOTATION SETANNOTATION": "mailbox ...",
}
"""RFC 9051; LIST: RFC 5258, ACL: RFC 4314, QUOTA: RFC 9208, METADATA: RFC 5464, REPLACE: RFC 8508."""

SHAPES = {name: tuple(map(Means, row.split())) for names, row in _ROWS.items() for name in names.split()}

ELSEWHERE = frozenset({"ESEARCH", "NOTIFY", "GENURLAUTH", "URLFETCH", "RESETKEY", "XAPPLEPUSHSERVICE"})
"""Commands that name mailboxes in ways of their own, or by URL (RFC 7377, 5465, 4467): those who guard
mailboxes have to refuse them."""


def read(name: str, nodes: Sequence[Node]) -> dict[Means, list[Node]] | None:
    """Which argument means what; None if they don't have this command's shape."""
    shape = SHAPES.get(name.removeprefix("UID "))
    if shape is None:
        return {}
    if name == "EXPUNGE":  # without UID it has no numbers
        return {} if not nodes else None
    found: dict[Means, list[Node]] = {}
    left = list(nodes)
    for means in shape:
        if means in (Means.KEYS, Means.REST):
            found[means], left = left, []
        elif means in (Means.OPTIONS, Means.MAYBE_FLAGS):
            if left and isinstance(left[0], Group):
                found[Means.FLAGS if means is Means.MAYBE_FLAGS else means] = [left.pop(0)]
        elif means is Means.FLAGS:
            found[means], left = left, []  # STORE takes them without parentheses, too
        elif not left or (isinstance(left[0], Group) and means is not Means.ITEMS):
            return None
        else:
            found[means] = [left.pop(0)]
    return None if left else found
