"""Commands that await their completion.

A server may complete commands in another order than they came in (RFC 9051 5.5), so a completion belongs
to the oldest command of its tag. What we answer ourselves waits until everything before it has been
completed: a client may rely on the order of its own commands' effects.
"""

from collections import deque
from collections.abc import Callable

from mailweir.wire.imap_responses import Tagged

LIMIT = 1000
"""Commands under way at which the client is not read any further."""

Completed = Callable[[Tagged], None]


class Slot:
    """One command's place.

    `alone`: no command is read behind it until it is completed. `instead` is said in place of upstream's completion.
    `completed` is called with the completion, before the client hears it. `due`, of a command that we
    answer, is called when its turn comes.
    """

    __slots__ = ("alone", "completed", "due", "instead", "name", "tag")

    def __init__(self, tag: bytes, name: str) -> None:
        self.tag = tag
        self.name = name
        self.alone = False
        self.instead: bytes | None = None
        self.completed: Completed | None = None
        self.due: Callable[[], None] | None = None


class Table:
    """The commands under way in one session, oldest first.

    >>> said = []
    >>> table = Table()
    >>> first, second = table.expect(Slot(b"a1", "NOOP")), table.expect(Slot(b"a2", "NOOP"))
    >>> table.when_due(lambda: said.append("a3"))
    >>> table.settle(table.find(b"a2")); table.settle(first); said
    ['a3']
    """

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: deque[Slot] = deque()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def newest(self) -> Slot | None:
        return self._open[-1] if self._open else None

    def expect(self, slot: Slot) -> Slot:
        """Upstream will complete this one."""
        self._open.append(slot)
        return slot

    def when_due(self, due: Callable[[], None]) -> None:
        """We answer a command: call `due` when all before it are completed."""
        if not self._open:
            due()
            return
        slot = Slot(b"", "")
        slot.due = due
        self._open.append(slot)

    def find(self, tag: bytes) -> Slot | None:
        """Which command a completion belongs to."""
        for slot in self._open:
            if slot.tag == tag and slot.due is None:
                return slot
        return None

    def settle(self, slot: Slot) -> None:
        """It is completed: take it off, and say our answers that are next."""
        slots = self._open
        if slots[0] is slot:
            slots.popleft()
        else:
            slots.remove(slot)
        while slots and slots[0].due is not None:
            slots.popleft().due()  # type: ignore[misc]
