"""What a text may consist of, as the listener's rules have it: size, CR and LF that stand alone, NUL, loops.

Only CRLF ends a line (RFC 5321 2.3.8), but servers differ, and one that takes LF for a line's end may find
two messages in one text (SMTP smuggling). The same goes for a dot with something that servers overlook. So
octets pass here before they go anywhere.
"""

from mailweir.relay.rules import Rules
from mailweir.relay.smtp import words
from mailweir.relay.smtp.hops import Hops
from mailweir.relay.smtp.words import Answer
from mailweir.session import Transaction
from mailweir.wire.smtp_text import HiddenEnds, Mender, Strays


class Screen:
    """Looks one text over, in pieces cut anywhere.

    `refusal` is set once it may not go on; `mends`: LF becomes CRLF, so lines may begin where the client's
    did not. `hops` looks for loops, if anybody does. `binary`: BODY=BINARYMIME (RFC 3030 3), which has no
    lines and may hold any octet.
    """

    __slots__ = ("_ends", "_hops", "_limit", "_mender", "_nul", "_strays", "_transaction", "mends", "refusal")

    def __init__(
        self, rules: Rules, transaction: Transaction, hops: Hops | None = None, *, binary: bool
    ) -> None:
        newlines = "pass" if binary else rules.smtp.bare_newline
        self._transaction = transaction
        self._hops = hops
        self._limit = rules.message_size
        self._nul = rules.smtp.nul == "reject" and not binary
        self._strays = Strays() if newlines == "reject" else None
        self._ends = None if newlines == "pass" else HiddenEnds()
        self.mends = newlines == "normalize"
        self._mender = Mender() if self.mends else None
        self.refusal: Answer | None = None

    def look(self, octets: bytes, *, end: bool, stuffed: bool = False) -> bytes:
        """What of a piece may go on: all of it, but for what waits for an LF; nothing once refused.

        `end`: a CR at its end stands alone. So it does if nothing follows, and in any piece that still is
        stuffed, since of those `DotReader` holds back a CR that an LF might follow.
        """
        if self.refusal is not None:
            return b""
        if self._limit and self._transaction.size > self._limit:
            self.refusal = words.TOO_BIG
        elif self._nul and b"\0" in octets:
            self.refusal = words.NUL
        else:
            octets = self._in_lines(octets, end, stuffed)
            if self._hops is not None and self.refusal is None:
                self.refusal = self._hops.objection(octets)
        return octets if self.refusal is None else b""

    def _in_lines(self, octets: bytes, end: bool, stuffed: bool) -> bytes:
        mended = octets if self._mender is None else self._mender.mend(octets, end=end)
        if mended is None:
            self.refusal = words.STRAY_CR
        elif self._strays is not None and self._strays.found(octets, end=end):
            self.refusal = words.STRAY
        elif self._ends is not None and self._ends.found(mended, stuffed=stuffed):
            self.refusal = words.HIDDEN_END
        return mended or b""
