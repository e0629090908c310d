"""Addresses as people write them, as sockets tell them, and whether one of them is our own.

Written: `host:port`, `[v6]:port`, `unix:/path`, `systemd:NAME`. What a socket tells is a `session.Address`;
an IPv4 client on an IPv6 socket is shown as the IPv4 address that it is.
"""

import os
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from mailweir.session import Address

WILDCARDS = ("0.0.0.0", "::")
NO_PLACE = "must be host:port, [v6]:port, unix:/path or systemd:NAME"
DISCARD = 9
"""Any port would do: nothing is sent by connecting a datagram socket."""
_MAPPED = "::ffff:"


@dataclass(frozen=True, slots=True)
class Tcp:
    """A host, by name or by number, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Unix:
    """A unix socket's path."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket that systemd opened for us, by its FileDescriptorName."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}"


Place = Tcp | Unix | Inherited


def parse(text: str) -> Place:
    """A written address; `ValueError` says what is wrong with it.

    >>> parse("[::1]:25"), parse("unix:/run/lmtp"), parse("systemd:mx")
    (Tcp(host='::1', port=25), Unix(path='/run/lmtp'), Inherited(name='mx'))
    """
    for prefix, kind in (("unix:", Unix), ("systemd:", Inherited)):
        if text.startswith(prefix):
            if text == prefix:
                raise ValueError(f"something must stand behind {prefix}")
            return kind(text.removeprefix(prefix))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(NO_PLACE)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets: [{host}]:{port}")
    if not host:
        raise ValueError(f"a host must stand before the port: 0.0.0.0:{port} is all of IPv4")
    return Tcp(host, int(port))


def told(name: object) -> Address:
    """What `getsockname` or `getpeername` gave: (host, port, ...) or a path; a client's path is empty."""
    if isinstance(name, tuple):
        host = str(name[0])
        if host.startswith(_MAPPED) and "." in host:
            host = host.removeprefix(_MAPPED)
        return Address(host, int(name[1]))
    return Address(os.fsdecode(name) if isinstance(name, str | bytes) else "")


@lru_cache(256)
def is_number(host: str) -> bool:
    """`host` is an IP address, not a name; an IPv6 zone (`fe80::1%eth0`) is allowed."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_own(target: Address, listening: Iterable[Address]) -> bool:
    """A connection to `target` would reach one of the addresses that we listen on ourselves."""
    return any(_reaches(target, own) for own in listening)


def _reaches(target: Address, own: Address) -> bool:
    if target.port != own.port:
        return False
    if not own.port:
        return os.path.realpath(target.host) == os.path.realpath(own.host)
    host = _dialled(target.host)
    return host == own.host or (own.host in WILDCARDS and _is_local(host))


def _dialled(host: str) -> str:
    """Where the kernel goes for that number, spelled as sockets do: "any" is the loopback, mapped IPv4 is IPv4."""
    number = ip_address(host)
    if isinstance(number, IPv6Address) and number.ipv4_mapped is not None:
        number = number.ipv4_mapped
    if number.is_unspecified:
        return "::1" if number.version == 6 else "127.0.0.1"
    return str(number)


def _is_local(host: str) -> bool:
    """This machine has the address: what is sent there would come from there."""
    if ip_address(host).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((host, DISCARD))
        except OSError:
            return False
        return told(probe.getsockname()).host == host
