"""Mail that goes in circles: how often a message was received already (RFC 5321 6.3)."""

from mailweir.relay.smtp import words
from mailweir.relay.smtp.words import Answer

FIELDS = 100
"""Received fields of a message that is not in a loop, at most (RFC 5321 6.3: "at least 100")."""

OURS = 10
"""How many of them we may have written ourselves: a message may pass us as submission, in front of the
mailboxes, and again when it is forwarded, and each of that a few times."""

_FIELD = b"\r\nreceived:"


class Hops:
    """Counts in the header of one message, which comes in pieces; memory is a few octets whatever comes.

    `ours`: what stands in the fields that we write, in lower case. `topped`: another one goes on top of this
    message, so it may not begin with a blank, by which its first line would become part of that field.
    """

    __slots__ = ("_fields", "_ours", "_over", "_repeats", "_tail", "_topped")

    def __init__(self, ours: bytes, *, topped: bool) -> None:
        self._ours = ours
        self._topped = topped
        self._over = False
        self._tail = b"\r\n"  # a text begins at the begin of a line
        self._fields = 0
        self._repeats = 0

    def objection(self, octets: bytes) -> Answer | None:
        """Why this text may not go on, as far as this piece of it tells."""
        if self._over or not octets:
            return None
        if self._topped and self._tail == b"\r\n" and octets[:1] in (b" ", b"\t"):
            return words.FOLDED
        known = len(self._tail)
        window = (self._tail + octets).lower()
        end = window.find(b"\r\n\r\n")
        self._over = end >= 0
        if not self._over:
            end = len(window)
        self._fields += _count(window, _FIELD, known, end)
        self._repeats += _count(window, self._ours, known, end)
        self._tail = window[-max(len(self._ours), len(_FIELD)) :]
        return words.LOOP if self._fields > FIELDS or self._repeats > OURS else None


def _count(window: bytes, wanted: bytes, known: int, end: int) -> int:
    """How often `wanted` is in `window`, but for where it was in its first `known` octets already."""
    return window.count(wanted, max(known - len(wanted) + 1, 0), end)
