"""The real program in a process of its own: `mailweir run FILE`."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from end2end import leaks
from end2end.dovecot import PASSWORD, WRONG_PASSWORD
from end2end.machine import Daemon, free_port, wait_until

Configuration = Mapping[str, Any]
Start = Callable[..., "Mailweir"]
"""The type of the fixture `start`."""


def write(folder: Path, configuration: Configuration | str) -> Path:
    """The configuration as a file; JSON is YAML too."""
    file = folder / "mailweir.yaml"
    file.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration, indent=2))
    return file


def program(*arguments: str | Path) -> list[str]:
    """The command line that runs mailweir from this checkout."""
    return [sys.executable, "-m", "mailweir", *map(str, arguments)]


def once(*arguments: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run mailweir to its end: exit code, and what a person would have read."""
    done = subprocess.run(
        program(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **(env or {})},
        timeout=30,
        text=True,
    )
    return done.returncode, done.stdout


class Mailweir:
    """A running proxy, ready; `ports` by the names of its listeners.

    A listener without `listen` gets a free port. Ending it fails the test if it logged an internal error,
    or a traceback that `forgives` does not match, or if a password that the tests log in with is in its
    log or its metrics, in any form.
    """

    def __init__(
        self,
        folder: Path,
        listeners: Mapping[str, dict[str, Any]],
        upstreams: Mapping[str, dict[str, Any]],
        env: Mapping[str, str] | None = None,
        command: list[str] | None = None,
        **rest: Any,
    ) -> None:
        self.forgives: str | None = None
        self._stopped = False
        self.admin = free_port()
        self.ports: dict[str, int] = {}
        for name, listener in listeners.items():
            listener.setdefault("listen", f"127.0.0.1:{free_port()}")
            port = listener["listen"].rpartition(":")[2]
            if port.isdecimal():  # not a socket's path
                self.ports[name] = int(port)
        rest["limits"] = {"sessions_per_client": 10000, "drain": "2s", **rest.get("limits", {})}
        self.file = write(
            folder,
            {
                "listeners": listeners,
                "upstreams": upstreams,
                "admin": {"listen": f"127.0.0.1:{self.admin}"},
                **rest,
            },
        )
        self.daemon = Daemon(
            [*(command or program()), "run", self.file],
            folder / "mailweir.log",
            {"PYTHONUNBUFFERED": "1", **(env or {})},
            folder,
        )
        try:
            wait_until("mailweir is ready", self._ready, 30)
        except BaseException:
            self.daemon.stop()
            raise

    @property
    def port(self) -> int:
        """The port of the only listener."""
        (port,) = self.ports.values()
        return port

    @property
    def pid(self) -> int:
        return self.daemon.pid

    def get(self, path: str) -> str:
        """What the admin window says at `path`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value now, summed over all labels that are not given."""
        total = 0.0
        for row in self.get("/metrics").splitlines():
            found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", row)
            if found:
                has = dict(re.findall(r'(\w+)="([^"]*)"', found[1] or ""))
                if all(has.get(label) == value for label, value in labels.items()):
                    total += float(found[2])
        return total

    def events(self, event: str = "") -> list[dict[str, Any]]:
        """Lines of the log, as JSON; of one event if one is named."""
        lines = []
        for row in self.daemon.output().splitlines():
            try:
                line = json.loads(row)
            except ValueError:
                continue
            if not event or line.get("event") == event:
                lines.append(line)
        return lines

    def wait_for_event(self, event: str) -> dict[str, Any]:
        """The first log line of this event."""
        wait_until(f"log line {event!r}", lambda: self.events(event))
        return self.events(event)[0]

    def reload(self) -> None:
        """SIGHUP."""
        os.kill(self.pid, signal.SIGHUP)

    def stop(self) -> None:
        """End it by SIGTERM, and judge what it wrote. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self.daemon.must_live()
        metrics = self.get("/metrics")
        code = self.daemon.stop(15)
        log = self.daemon.output()
        for secret in (PASSWORD, WRONG_PASSWORD):
            assert not leaks.found(secret, log) and not leaks.found(secret, metrics), secret
        assert code == 0, f"mailweir ended with {code}\n{log}"
        assert "internal error" not in log, log
        for line in log.splitlines():
            if "Traceback" in line:
                assert self.forgives and re.search(self.forgives, line), line

    def _ready(self) -> bool:
        self.daemon.must_live()
        try:
            self.get("/ready")
        except OSError:
            return False
        return True
