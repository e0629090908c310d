"""Commands that await their answer: keeps pipelined answers in order.

Every command takes a slot, whether upstream will answer it or we do. A side that answers in order (SMTP,
LMTP, POP3) always answers the oldest open slot, so what upstream says now belongs to `head`; our own
answers wait in their slots until everything before them has been said. `net` may have a thousand slots
open before it stops reading the client.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

LIMIT = 1000
"""Open slots at which the client is not read any further."""


class Slot:
    """One command's place. Relays derive their own, with what they must know when the reply comes.

    `hidden`: the command was ours; its reply is consumed and never reaches the client.
    """

    __slots__ = ("hidden", "local", "verb")

    def __init__(self, verb: str, *, hidden: bool = False) -> None:
        self.verb = verb
        self.hidden = hidden
        self.local: bytes | None = None

    def __repr__(self) -> str:
        kind = "hidden " if self.hidden else "answered " if self.local is not None else ""
        return f"<{kind}{self.verb}>"


_Slot = TypeVar("_Slot", bound=Slot)


class Ledger(Generic[_Slot]):
    """The open slots of one session, oldest first.

    >>> said = []
    >>> ledger = Ledger(said.append)
    >>> first = ledger.expect(Slot("RCPT")); ledger.answer(Slot("RCPT"), b"550 no\\r\\n")
    >>> said
    []
    >>> ledger.say(b"250 ok\\r\\n"); ledger.settle() is first, said
    (True, [b'250 ok\\r\\n', b'550 no\\r\\n'])
    """

    __slots__ = ("_open", "_write")

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._open: deque[_Slot] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[_Slot]:
        """The open slots, oldest first."""
        return iter(self._open)

    @property
    def head(self) -> _Slot | None:
        """The slot that upstream's next reply belongs to."""
        return self._open[0] if self._open else None

    def expect(self, slot: _Slot) -> _Slot:
        """Upstream will answer this one."""
        self._open.append(slot)
        return slot

    def answer(self, slot: _Slot, octets: bytes) -> None:
        """We answer this one, when its turn comes."""
        if not self._open:
            self._write(octets)
            return
        slot.local = octets
        self._open.append(slot)

    def say(self, octets: bytes) -> None:
        """Octets of the reply to `head`; a hidden slot keeps them to itself."""
        if octets and not self._open[0].hidden:
            self._write(octets)

    def settle(self) -> _Slot:
        """The reply to `head` is complete: take it off, and say our answers that are next."""
        slots = self._open
        settled = slots.popleft()
        while slots and slots[0].local is not None:
            self._write(slots.popleft().local or b"")
        return settled

    def abandon(self) -> list[_Slot]:
        """Upstream will not answer any more: all open slots, oldest first; the ledger is empty then."""
        slots = list(self._open)
        self._open.clear()
        return slots
