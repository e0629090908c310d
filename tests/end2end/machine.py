"""Programs of this machine: where they are, how one is started on a free port and ended for certain."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNPACKED = ROOT / ".build" / "debian"
"""Where packages are that could not be installed beside what the machine has (.ci/packages.sh)."""


class Missing(AssertionError):
    """A program that a test needs isn't there. The test fails: a hole that nobody sees is worse."""


def locate(program: str) -> Path:
    """The path of a command, or of a file if `program` is an absolute path."""
    if program.startswith("/"):
        places = [Path(program), UNPACKED / program[1:]]
    else:
        found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        places = [Path(found)] if found else []
        places += [UNPACKED / "usr" / folder / program for folder in ("bin", "sbin")]
    for place in places:
        if place.exists():
            return place
    raise Missing(f"{program} is not on this machine; as root, run: .ci/packages.sh test")


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, below those that the kernel gives to clients.

    None is given twice: servers open theirs later, and tests that run beside have others to choose from.
    """
    if len(_given) > 1000:  # those of servers that ended long ago
        _given.clear()
    while True:
        port = random.randrange(20000 + 3000 * _WORKER, 23000 + 3000 * _WORKER)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def wait_until(what: str, true: Callable[[], object], seconds: float = 20.0) -> None:
    """Look again and again; fail with what was waited for in vain."""
    end, pause = time.monotonic() + seconds, 0.01
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def listening(port: int) -> bool:
    """Somebody listens on `port`, as the kernel's table says: nothing is sent, no connection is made."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and fields[1].endswith(wanted):
                return True
    return False


class Daemon:
    """A program in a session of its own; `log` gets what it prints."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = [str(word) for word in command]
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        """What it printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for_ports(self, *ports: int) -> None:
        """Wait until it listens; if it ends before, the test fails with what it printed."""
        try:
            for port in ports:
                wait_until(f"{self.command[0]} on port {port}", partial(self._listens, port), 30)
        except BaseException:
            self.stop()
            raise

    def _listens(self, port: int) -> bool:
        self.must_live()
        return listening(port)

    def must_live(self) -> None:
        if self.process.poll() is not None:
            raise AssertionError(f"{self.command} ended: {self.process.returncode}\n{self.output()}")

    def stop(self, seconds: float = 10.0) -> int:
        """End it and all that it started; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.process.wait()


Word = str | Path


def run(*command: Word, input: bytes = b"", env: Mapping[str, str] | None = None, seconds: float = 60) -> str:
    """Run a client to its end; what it printed. Anything but success fails the test."""
    done = subprocess.run(
        [str(word) for word in command],
        input=input,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        timeout=seconds,
    )
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{output}"
    return output


def resident(pid: int) -> int:
    """Octets of memory that a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(pid: int) -> int:
    """The most octets of memory that a process held so far (since `reset_peak`)."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmHWM:"):
            return int(row.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no VmHWM")


def reset_peak(pid: int) -> None:
    """Let `peak` count from now on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
