"""The real program in a process of its own, before a mail server that lives in a thread of the test."""

import contextlib
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def free_port() -> int:
    """A port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Talk(socketserver.StreamRequestHandler):
    """SMTP as far as it takes to queue a message; the greeting tells servers apart."""

    server: "Server"

    def handle(self) -> None:
        self.wfile.write(f"220 {self.server.name}\r\n".encode())
        for line in self.rfile:
            verb = line[:4].strip().upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                for text in self.rfile:
                    if text == b".\r\n":
                        self.server.messages += 1
                        self.wfile.write(b"250 queued\r\n")
                        break
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


class Server(socketserver.ThreadingTCPServer):
    """A mail server named `name` on a port of the loopback."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.name = name
        self.messages = 0
        self.port: int = self.server_address[1]


@contextlib.contextmanager
def server(name: str = "mta.example.org") -> Iterator[Server]:
    with Server(name) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


class Client:
    """An SMTP client that says one line and hears one reply."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._file = self._socket.makefile("rb")

    def hear(self) -> str:
        """The last line of the next reply; empty at the end."""
        line = self._file.readline()
        while line[3:4] == b"-":
            line = self._file.readline()
        return line.decode().strip()

    def say(self, line: str) -> str:
        self._socket.sendall(f"{line}\r\n".encode())
        return self.hear()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Program:
    """`mailweir run` with a configuration file that a test may change."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.admin = free_port()
        self._process: subprocess.Popen[str] | None = None
        self.lines: list[dict[str, Any]] = []

    def configure(self, text: str) -> None:
        self.file.write_text(f"admin: {{listen: 127.0.0.1:{self.admin}}}\n{text}")

    def start(self) -> None:
        """Returns once it says that it has started."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mailweir", "run", str(self.file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.until("started")

    def until(self, event: str) -> dict[str, Any]:
        """Read the log up to the line with that event; gives its fields."""
        assert self._process is not None and self._process.stdout is not None
        for text in self._process.stdout:
            self.lines.append(json.loads(text))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        raise AssertionError(f"no {event!r}: {self.lines} {self._process.communicate()}")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Exit code and the rest of standard error, once it has ended."""
        assert self._process is not None
        out, error = self._process.communicate(timeout=30)
        self.lines += map(json.loads, out.splitlines())
        return self._process.returncode, error

    def wait(self) -> None:
        """It ends, though nobody reads what it says."""
        assert self._process is not None
        assert self._process.wait(30) == 0

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, line: str) -> float:
        """The value of the sample that is written so."""
        for found in self.page("metrics")[1].splitlines():
            name, _, value = found.rpartition(" ")
            if name == line:
                return float(value)
        raise AssertionError(f"no {line}")

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]
