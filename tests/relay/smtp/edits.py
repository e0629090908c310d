"""What plugins change of an envelope in the state machine test, and how a server sees it."""

from collections.abc import Callable

from mailweir import Envelope, Recipient


class Edits:
    """`original` says whose place a new address has taken, `added` are those who took nobody's.

    `removed` are the recipients that get nothing: by sender, their places among those that were accepted.
    `senders` are those of whose envelopes anything was changed.
    """

    def __init__(self) -> None:
        self.original: dict[bytes, bytes] = {}
        self.added: set[bytes] = set()
        self.removed: dict[bytes, set[int]] = {}
        self.senders: set[bytes] = set()
        self._count = 0

    def make(self, edit: str, envelope: Envelope, recipient: Recipient | None = None) -> None:
        """Change it; a `ValueError` of the envelope's leaves everything as it was."""
        sender = self.sender(envelope)
        self.senders.add(sender)
        _EDITS[edit](self, envelope, recipient)

    def sender(self, envelope: Envelope) -> bytes:
        """Whom the client named."""
        return self.came_as(envelope.sender.encode())

    def came_as(self, address: bytes) -> bytes:
        """The address in the client's words."""
        return self.original.get(address, address)

    def seen(self, addresses: list[bytes]) -> list[bytes]:
        """A server's recipients in the client's words, without those that the client doesn't know."""
        return [self.came_as(address) for address in addresses if address not in self.added]

    def _new(self, address: str) -> str:
        self._count += 1
        return f"new{self._count}.{address}"

    def _add(self, envelope: Envelope, recipient: Recipient | None, *, required: bool = True) -> None:
        address = self._new(envelope.sender)
        envelope.add(address, required=required)
        self.added.add(address.encode())

    def _add_maybe(self, envelope: Envelope, recipient: Recipient | None) -> None:
        self._add(envelope, recipient, required=False)

    def _move(self, envelope: Envelope, recipient: Recipient | None) -> None:
        """Another address for the recipient in question, or for the first one."""
        for one in [recipient] if recipient is not None else envelope.accepted[:1]:
            old, new = one.address, self._new(one.address)
            one.address = new
            self.original[new.encode()] = self.came_as(old.encode())

    def _remove(self, envelope: Envelope, recipient: Recipient | None) -> None:
        """The last one gets nothing."""
        if recipient is None and envelope.accepted:
            envelope.remove(envelope.accepted[-1])
            self.removed.setdefault(self.sender(envelope), set()).add(len(envelope.accepted) - 1)

    def _resend(self, envelope: Envelope, recipient: Recipient | None) -> None:
        old, new = envelope.sender, self._new(envelope.sender)
        envelope.sender = new
        self.original[new.encode()] = self.came_as(old.encode())


_EDITS: dict[str, Callable[[Edits, Envelope, Recipient | None], None]] = {
    "adds": Edits._add,
    "may add": Edits._add_maybe,
    "moves": Edits._move,
    "removes": Edits._remove,
    "resends": Edits._resend,
}
EDITS = tuple(_EDITS)
