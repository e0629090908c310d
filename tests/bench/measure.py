"""CPU and memory of a process with all its children, as the kernel accounts them."""

import json
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants, from one pass over /proc."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu(pid: int) -> float:
    """Seconds of user and system time that the tree used, children that have ended included."""
    return sum(sum(map(int, fields[11:15])) for process in tree(pid) if (fields := _stat(process))) / TICK


def resident(pid: int) -> float:
    """MB that the tree holds; what processes share counts in each."""
    total = 0
    for process in tree(pid):
        try:
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * PAGE / 1e6


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5)); empty if the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


class Peak(threading.Thread):
    """Looks at `resident` four times a second; `end()` gives the highest."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._highest = 0.0
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.25):
            self._highest = max(self._highest, resident(self._pid))

    def end(self) -> float:
        self._over.set()
        self.join()
        return max(self._highest, resident(self._pid))


@dataclass(frozen=True)
class Load:
    """One kind of load: loadgen's mode, sessions at once, rounds a connection (0: no end), size of messages."""

    mode: str
    sessions: int
    rounds: int = 0
    size: int = 1024


@dataclass(frozen=True)
class Figures:
    """What came of one cell. `cpu` is the peer's, in seconds per 1000 operations; `memory` its peak in MB."""

    operations: int
    rate: float
    median: float
    cpu: float
    memory: float
    failures: str

    @property
    def sound(self) -> bool:
        return self.operations > 0 and not self.failures


def measure(
    loadgen: Path, load: Load, port: int, pid: int, seconds: float, login: tuple[str, str]
) -> Figures:
    """Put `load` on `port` for so many seconds, and account for the tree of `pid`."""
    before, peak = cpu(pid), Peak(pid)
    done = subprocess.run(
        [str(loadgen), load.mode, "-p", str(port), "-s", str(load.sessions), "-n", str(load.rounds)]
        + ["-l", str(load.size), "-t", str(seconds), "-u", login[0], "-w", login[1]],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    operations = int(said["ops"])
    return Figures(
        operations,
        float(said["ops_s"]),
        float(said["p50_ms"]),
        (cpu(pid) - before) / max(operations, 1) * 1000,
        peak.end(),
        f"{said['errors']} failed: {said['error']}" if said["errors"] else "",
    )
