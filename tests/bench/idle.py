"""Memory: of a peer that has nothing to do, and what each session that says nothing adds to it."""

import socket
import time
from contextlib import ExitStack
from typing import NamedTuple

from bench.measure import resident

SESSIONS = 400
SETTLED = 0.5
"""Seconds after which nothing moves any more."""


class Memory(NamedTuple):
    """`base` in MB without sessions, `session` in kB for each one that has said EHLO; both legs."""

    base: float
    session: float


def memory(port: int, pid: int) -> Memory:
    """Open sessions on `port` of the tree of `pid`, a hundred first: what is made once is not theirs."""
    time.sleep(SETTLED)
    base = resident(pid)
    with ExitStack() as opened:
        _open(opened, port, 100)
        before = resident(pid)
        _open(opened, port, SESSIONS)
        return Memory(base, (resident(pid) - before) * 1000 / SESSIONS)


def _open(opened: ExitStack, port: int, count: int) -> None:
    for _ in range(count):
        client = opened.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        client.recv(512)
        client.sendall(b"EHLO idle.example.org\r\n")
        client.recv(512)
    time.sleep(SETTLED)
