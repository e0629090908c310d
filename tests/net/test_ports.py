"""Addresses that can be listened on, and what is said of those that can't."""

import asyncio
import errno
import os
import re
import socket
from pathlib import Path

import pytest
from twisted.internet.protocol import Factory

from mailweir.net import ports
from mailweir.net.addresses import Inherited, Tcp, Unix
from mailweir.net.ports import PortUnavailable, open_ports, open_sockets

ADVICE = {
    errno.EADDRINUSE: "port taken: another program listens there (`ss -ltnp 'sport = :25'` shows which)",
    errno.EACCES: "permission denied: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENFILE: "too many open files in system",
}


@pytest.mark.parametrize("code", ADVICE)
def test_advice(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: socket.socket, name: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket.socket, "bind", refused)
    with pytest.raises(PortUnavailable, match=re.escape(ADVICE[code])):
        open_sockets(Tcp("127.0.0.1", 25))


def test_a_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortUnavailable, match=f"port taken.*sport = :{port}"):
            open_sockets(Tcp("127.0.0.1", port))


def test_an_unknown_host() -> None:
    with pytest.raises(PortUnavailable, match="unknown host"):
        open_sockets(Tcp("nowhere.invalid", 25))


def test_ipv6_is_only_ipv6() -> None:
    (six,) = open_sockets(Tcp("::1", 0))
    with six, socket.create_server(("127.0.0.1", six.getsockname()[1])):
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_a_dead_socket_is_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    open_sockets(Unix(path))[0].close()
    assert os.path.exists(path)
    (again,) = open_sockets(Unix(path))
    with again, pytest.raises(PortUnavailable, match="another program listens on that socket"):
        open_sockets(Unix(path))


def test_a_file_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(PortUnavailable, match="a file of that name that is no socket"):
        open_sockets(Unix(str(path)))
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PortUnavailable, match="no such file or directory"):
        open_sockets(Unix(str(tmp_path / "missing" / "s")))


def test_a_closed_port_removes_its_own_file_and_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        for other in (False, True):
            path = tmp_path / "s"
            (port,) = await open_ports(Unix(str(path)), Factory())
            if other:
                path.unlink()
                path.write_text("somebody else's")
            port.close()
            assert path.exists() is other

    asyncio.run(main())


def test_sockets_of_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as handed:
        monkeypatch.setattr(ports, "_handed_down", lambda: {"mx": handed.fileno()})
        (ours,) = open_sockets(Inherited("mx"))
        with ours:
            assert ours.getsockname() == handed.getsockname() and not ours.getblocking()
        with pytest.raises(PortUnavailable, match=r"no socket of that FileDescriptorName \(it gave: mx\)"):
            open_sockets(Inherited("lmtp"))
