"""Where whole messages wait for their verdict: in memory, then in an unlinked file, within a total.

A message may hold `memory` octets before it goes to disk; all messages together may hold `total` octets,
in memory and on disk. Beyond that, and when the disk refuses, `SpoolFull` is raised, which relays say as
"try again later" (452 4.3.1). A file has no name (O_TMPFILE, mode 0600, where the file system can), so
nothing is left behind however we end.

A write that fails has written nothing: `size` and `used` are exact at any time.
"""

import os
import tempfile
from collections.abc import Iterator
from typing import IO

PIECE = 64 * 1024
MEMORY = 1024 * 1024
TOTAL = 10 * 1024**3


class SpoolFull(Exception):
    """The octets of all spooled messages together would pass the limit, or the disk said no."""


class Spool:
    """The store that all sessions of a process share. `used` octets of its `total` are taken."""

    def __init__(self, directory: str | None = None, memory: int = MEMORY, total: int = TOTAL) -> None:
        self.directory = directory
        self.memory = memory
        self.total = total
        self.used = 0

    def open(self) -> "Spooled":
        """A new, empty text."""
        return Spooled(self)


class Spooled:
    """One text. Written from front to back; read as often as anybody likes, from any thread."""

    __slots__ = ("_closed", "_file", "_memory", "_spool", "size")

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._closed = False
        self.size = 0

    def write(self, octets: bytes) -> None:
        """Append; `SpoolFull` when the total or the disk is full."""
        spool = self._spool
        if self._closed:
            raise ValueError("this text is closed")
        if spool.used + len(octets) > spool.total:
            raise SpoolFull(f"the spool's total of {spool.total} octets is used up")
        if self._file is None and self.size + len(octets) > spool.memory:
            self._to_disk()
        if self._file is None:
            self._memory += octets
        else:
            _write_at(self._file, octets, self.size)
        self.size += len(octets)
        spool.used += len(octets)

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """The octets from `start` on, in pieces of at most 64 KiB; of a closed text a `ValueError`."""
        while start < self.size or self._closed:
            if self._closed:
                raise ValueError("this text is closed")
            if self._file is None:
                piece = bytes(self._memory[start : start + PIECE])
            else:
                piece = os.pread(self._file.fileno(), min(PIECE, self.size - start), start)
                if not piece:
                    raise OSError(f"the spool's file ends at {start} of {self.size} octets")
            start += len(piece)
            yield piece

    def close(self) -> None:
        """Give the room back. A second call does nothing."""
        self._spool.used -= self.size
        self.size = 0
        self._closed = True
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _to_disk(self) -> None:
        try:
            file = tempfile.TemporaryFile(dir=self._spool.directory, buffering=0)
        except OSError as error:
            raise SpoolFull(str(error)) from error
        try:
            _write_at(file, self._memory, 0)
        except SpoolFull:
            file.close()
            raise
        self._file = file
        self._memory = bytearray()


def _write_at(file: IO[bytes], octets: bytes | bytearray, at: int) -> None:
    """All of `octets`; a full disk may have taken some, which the next write at this place covers."""
    view = memoryview(octets)
    try:
        while view:
            done = os.pwrite(file.fileno(), view, at)
            view = view[done:]
            at += done
    except OSError as error:
        raise SpoolFull(str(error)) from error
