"""What is being carried: header, body, and where on its way it is.

At `message_head` only the header is there and `body()` gives nothing; at `message` and `sign` all of it
is. Octets are those of the text itself: no dot-stuffing, no chunk or literal framing.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mailweir.headers import Headers
from mailweir.spool import Spooled

if TYPE_CHECKING:
    from mailweir.envelope import Envelope


class Message:
    """One message.

    `stage` is where it was met: "smtp", "lmtp", "append" (IMAP, REPLACE too), "retr" (POP3, TOP too); what
    IMAP fetches passes unseen in this version. At "retr" it may be seen and refused, but edits are left out:
    its size has been announced already. `envelope` is that of the transaction; empty where there is none.
    """

    __slots__ = ("_spooled", "envelope", "headers", "id", "stage", "whole")

    def __init__(self, id: str, stage: str, envelope: "Envelope", head: bytes) -> None:
        self.id = id
        self.stage = stage
        self.envelope = envelope
        self.headers = Headers(head)
        self.whole = False
        self._spooled: Spooled | None = None

    def attach(self, spooled: Spooled, *, whole: bool) -> None:
        """What is here of the text, header block included as it came; all of it if `whole`."""
        self._spooled = spooled
        self.whole = whole

    @property
    def size(self) -> int:
        """Octets of the text as it came; of the header block alone before a text is attached."""
        return self._spooled.size if self._spooled else len(self.headers.original)

    def body(self) -> Iterator[bytes]:
        """The octets behind the header block, in pieces."""
        return self._spooled.pieces(len(self.headers.original)) if self._spooled else iter(())

    def pieces(self) -> Iterator[bytes]:
        """The text as it leaves, edits of the header included, in pieces."""
        head = self.headers.octets()
        if head:
            yield head
        yield from self.body()

    @property
    def leaving(self) -> int:
        """How many octets `pieces` gives."""
        return self.size - len(self.headers.original) + len(self.headers.octets())
