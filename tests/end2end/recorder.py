"""A mail server in a process of its own, so that it can be killed: `python -m end2end.recorder PORT FOLDER`.

Before it says 250 a message lies in FOLDER as one file, whole and under its last name (its text, without
the envelope), so a message that was acknowledged is there whatever happens next. It takes its time before
it stores and before it answers, so that it also dies there.
"""

import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from end2end.fakes import Peer, Received, SmtpFake
from end2end.machine import ROOT, Daemon, free_port

PAUSE = 0.004
"""Seconds at most before it stores, and again before it answers."""


@dataclass
class Recorder(SmtpFake):
    """The server itself."""

    folder: Path = Path()

    def _complete(self, peer: Peer, message: Received) -> None:
        self.messages.append(message)  # kept, for its id
        part = self.folder / f"{os.getpid()}-{id(message)}.part"
        time.sleep(random.random() * PAUSE)
        part.write_bytes(message.text)
        part.rename(part.with_suffix(".message"))
        time.sleep(random.random() * PAUSE)
        peer.say(b"250 2.0.0 stored\r\n")


class Process:
    """A recorder's process; it is started and killed as often as one likes, always on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.port = free_port()
        self._running: Daemon | None = None

    @property
    def upstream(self) -> dict[str, str]:
        return {"address": f"127.0.0.1:{self.port}"}

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._running = Daemon(
            [sys.executable, "-m", "end2end.recorder", str(self.port), self.folder],
            self.folder.with_suffix(".log"),
            {"PYTHONPATH": str(ROOT / "tests")},
        )
        self._running.wait_for_ports(self.port)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._running is not None
        self._running.must_live()
        os.kill(self._running.pid, signal.SIGKILL)
        self._running.process.wait()

    def stored(self) -> list[bytes]:
        """The messages that are there."""
        return [path.read_bytes() for path in self.folder.glob("*.message")]


if __name__ == "__main__":
    Recorder(port=int(sys.argv[1]), folder=Path(sys.argv[2]))
    signal.pause()
