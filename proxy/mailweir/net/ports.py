"""A written address becomes listening sockets, or one sentence that says what to do about it."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Mapping
from contextlib import closing
from functools import cache

from twisted.internet.interfaces import IProtocolFactory
from twisted.python.systemd import ListenFDs

from mailweir.net.addresses import Inherited, Place, Tcp, Unix, told
from mailweir.net.transport import Adapter
from mailweir.session import Address

BACKLOG = 1024
"""Connections that wait for us to accept them; the kernel cuts it to net.core.somaxconn."""


class PortUnavailable(Exception):
    """The address can't be listened on; the text says why and what to do, without the address itself."""


class Port:
    """One listening socket that the loop serves; `factory` builds a protocol for each connection."""

    def __init__(self, factory: IProtocolFactory, address: Address) -> None:
        self.factory = factory
        self.address = address
        self._file = None if address.port else _identity(address.host)
        self._server: asyncio.AbstractServer

    async def serve(self, opened: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        create = loop.create_server if self.address.port else loop.create_unix_server
        self._server = await create(lambda: Adapter(self.factory), sock=opened, backlog=BACKLOG)

    def close(self) -> None:
        """Listen no longer. Connections that stand are not touched."""
        self._server.close()
        if self._file is not None and _identity(self.address.host) == self._file:
            os.unlink(self.address.host)


async def open_ports(place: Place, factory: IProtocolFactory) -> list[Port]:
    """Listen on all that `place` stands for, or raise `PortUnavailable`."""
    ports = []
    for opened in open_sockets(place):
        port = Port(factory, told(opened.getsockname()))
        await port.serve(opened)
        ports.append(port)
    return ports


def open_sockets(place: Place) -> list[socket.socket]:
    """Bound, listening, non-blocking: one for each number that a host name stands for."""
    if isinstance(place, Inherited):
        return [_inherited(place.name)]
    if isinstance(place, Unix):
        return [_unix(place.path)]
    opened: list[socket.socket] = []
    try:
        for family, name in _numbers(place):
            opened.append(_listening(family, name, place))
    except PortUnavailable:
        for done in opened:
            done.close()
        raise
    return opened


def _numbers(place: Tcp) -> "list[tuple[socket.AddressFamily, tuple[str, int]]]":
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise PortUnavailable(f"unknown host ({str(error.strerror).lower()})") from error
    return [(family, name) for family, _, _, _, name in found]  # type: ignore[misc]


def _listening(family: socket.AddressFamily, name: tuple[str, int], place: Tcp) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(name)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise PortUnavailable(_advice(error, place.port)) from error
    opened.setblocking(False)
    return opened


def _advice(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port taken: another program listens there (`ss -ltnp 'sport = :{port}'` shows which)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            "permission denied: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE "
            "(AmbientCapabilities in a systemd unit)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address (`ip address` shows those it has)"
    return (error.strerror or str(error)).lower()


def _unix(path: str) -> socket.socket:
    _remove_dead(path)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.bind(path)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise PortUnavailable(f"{error.strerror or error}".lower()) from error
    opened.setblocking(False)
    return opened


def _remove_dead(path: str) -> None:
    """A socket that nobody listens on was left by a program that died. Nothing else is removed."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise PortUnavailable("there is a file of that name that is no socket")
    except FileNotFoundError:
        return
    except OSError as error:
        raise PortUnavailable(f"{error.strerror}".lower()) from error
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise PortUnavailable(f"{error.strerror}".lower()) from error
    raise PortUnavailable("another program listens on that socket")


@cache
def _handed_down() -> Mapping[str, int]:
    """Descriptors from systemd by name; LISTEN_FDS is read once, and taken out of the environment."""
    return ListenFDs.fromEnvironment().inheritedNamedDescriptors()


def _inherited(name: str) -> socket.socket:
    handed = _handed_down()
    if name not in handed:
        known = ", ".join(handed) or "none"
        raise PortUnavailable(f"systemd gave no socket of that FileDescriptorName (it gave: {known})")
    opened = socket.socket(fileno=os.dup(handed[name]))
    opened.setblocking(False)
    return opened


def _identity(path: str) -> tuple[int, int] | None:
    """Which file stands under `path` now: a socket that somebody else put there is not ours to remove."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
