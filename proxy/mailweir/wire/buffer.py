"""Octets that were received and not yet understood: lines and counted octets, within limits.

A slow sender costs linear time: what was searched for a line's end is not searched again, and a long
unfinished line grows in place. A line beyond its limit is thrown away as it comes, to its end.
"""

from mailweir.wire.errors import LineTooLong


class Buffer:
    """The receiving end of one direction.

    >>> buffer = Buffer()
    >>> buffer.feed(b"NOOP\\r\\nabcd")
    >>> buffer.line(512), buffer.line(512), buffer.take(3), len(buffer)
    (b'NOOP\\r\\n', None, b'abc', 1)
    """

    __slots__ = ("_at", "_data", "_searched", "_skipping")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._at = 0
        self._searched = 0
        self._skipping = False

    def __len__(self) -> int:
        return len(self._data) - self._at

    @property
    def skipping(self) -> bool:
        """The line that comes is beyond the limit already, and its end is not here."""
        return self._skipping

    def feed(self, data: bytes) -> None:
        """Append what was received."""
        left = len(self._data) - self._at
        if not left:
            self._data = data
            self._at = self._searched = 0
        elif isinstance(self._data, bytearray):
            del self._data[: self._at]
            self._data += data
            self._searched -= self._at
            self._at = 0
        else:
            self._data = bytearray(self._data[self._at :]) if left > 4096 else self._data[self._at :]
            self._data += data
            self._searched -= self._at
            self._at = 0

    def line(self, limit: int, end: bytes = b"\r\n") -> bytes | None:
        """The next line with its `end`, or None if it is not complete.

        `LineTooLong`, once, when a line of more than `limit` octets has come to its end.
        """
        data, at = self._data, self._at
        if at == len(data):
            return None
        found = data.find(end, self._searched)
        if found < 0:
            if len(data) - at > limit:
                self._skipping = True
            if self._skipping:  # an `end` may still be cut in two
                keep = len(end) - 1
                self._data = bytes(data[len(data) - keep :]) if keep else b""
                self._at = self._searched = 0
            else:
                self._searched = max(at, len(data) - len(end) + 1)
            return None
        stop = found + len(end)
        self._advance(stop)
        if stop - at > limit or self._skipping:
            self._skipping = False
            raise LineTooLong(limit)
        return bytes(data[at:stop])

    def take(self, count: int) -> bytes:
        """At most `count` octets; as few as none."""
        data = self._data
        if not self._at and count >= len(data):
            self._data = b""
            self._searched = 0
            return bytes(data)
        stop = min(self._at + count, len(data))
        octets = bytes(data[self._at : stop])
        self._advance(stop)
        return octets

    def peek(self, count: int) -> bytes:
        """As `take`, but the octets stay."""
        return bytes(self._data[self._at : self._at + count])

    def rest(self) -> bytes:
        """Everything that is left; the buffer is empty then."""
        return self.take(len(self))

    def _advance(self, to: int) -> None:
        self._at = self._searched = to
        if to == len(self._data):
            self._data = b""
            self._at = self._searched = 0
