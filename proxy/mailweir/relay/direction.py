"""What comes from one side: a reader, and the reasons for which it is not read further now.

While there is a reason the side is paused, and what had been received already waits in the reader; when
the last reason goes, reading goes on where it stopped.
"""

from collections.abc import Callable
from typing import Any, Protocol

from mailweir.relay.side import Side
from mailweir.wire.errors import ProtocolError


class Reader(Protocol):
    """One direction's codec, as the base of the relays sees it."""

    def feed(self, data: bytes) -> None: ...

    def next(self) -> Any: ...

    def rest(self) -> bytes: ...


class Direction:
    """One of the two directions of a conversation.

    `over` stops reading for good: the side is gone, or its octets have lost their meaning for us.
    `on_broken` is called from within an exception handler, for mistakes of our own.
    """

    __slots__ = (
        "_on_broken",
        "_on_error",
        "_on_event",
        "_paused",
        "_running",
        "holds",
        "over",
        "reader",
        "side",
    )

    def __init__(
        self,
        reader: Reader,
        on_event: Callable[[Any], None],
        on_error: Callable[[ProtocolError], None],
        on_broken: Callable[[], None],
        side: Side | None = None,
    ) -> None:
        self.reader = reader
        self.side = side
        self.over = False
        self.holds: set[str] = set()
        self._running = False
        self._paused = False
        self._on_event = on_event
        self._on_error = on_error
        self._on_broken = on_broken

    def feed(self, data: bytes) -> None:
        """Octets were received."""
        if self.over:
            return
        self.reader.feed(data)
        if not self.holds:
            self.read()
        elif not self._paused:
            self._pause()

    def hold(self, why: str) -> None:
        """Read no further until `release` is called with the same reason."""
        if not self.holds:
            self._pause()
        self.holds.add(why)

    def listen(self) -> None:
        """Take one piece in, though it will not be read yet: so it is known whether the side has spoken."""
        if self._paused and self.side is not None:
            self._paused = False
            self.side.resume("held")

    def release(self, why: str) -> None:
        """Take one reason away, and go on reading if it was the last."""
        if why in self.holds:
            self.holds.discard(why)
            if not self.holds:
                self.read()

    def _pause(self) -> None:
        if self.side is not None:
            self._paused = True
            self.side.pause("held")

    def end(self) -> None:
        """Nothing more is read; nothing holds the side any more."""
        self.over = True
        self.holds.clear()

    def read(self) -> None:
        """Give out events until something holds us, or there is none. A call from within does nothing."""
        if self._running:
            return
        self._running = True
        reader = self.reader
        try:
            while not self.holds and not self.over:
                try:
                    event = reader.next()
                    if event is None:
                        break
                    self._on_event(event)
                except ProtocolError as error:
                    self._on_error(error)
                    if error.fatal:
                        break
        except Exception:
            self._on_broken()
        finally:
            self._running = False
        if self._paused and not self.holds and self.side is not None:
            self._paused = False
            self.side.resume("held")
