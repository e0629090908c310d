"""TLSA records from a small name server on the loopback, and when they are not believed."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mailweir.net.dane import NoRecords, Tlsa
from mailweir.net.tlsa import Records

NAME = "_25._tcp.mx.example.org."
ONE, TWO = "00ff" * 16, "aabb" * 32
Zone = dict[str, list[str]]


class NameServer(asyncio.DatagramProtocol):
    """Answers from `zone`; a name that is not there doesn't exist. AD is set if it `proves`."""

    def __init__(self, zone: Zone, proves: bool = True) -> None:
        self.zone = zone
        self.proves = proves
        self.asked: list[dns.message.Message] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query)
        answer = dns.message.make_response(query)
        if self.proves:
            answer.flags |= dns.flags.AD
        rows = self.zone.get(str(query.question[0].name))
        if rows is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif rows:
            answer.answer.append(dns.rrset.from_text_list(query.question[0].name, 60, "IN", "TLSA", rows))
        self.transport.sendto(answer.to_wire(), addr)


async def serve(server: NameServer) -> int:
    """Gives its port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, ("127.0.0.1", 0))
    port: int = transport.get_extra_info("sockname")[1]
    return port


@pytest.fixture
def resolv(tmp_path: Path) -> Callable[[str], str]:
    """A resolv.conf with these lines."""

    def write(text: str) -> str:
        (tmp_path / "resolv.conf").write_text(text)
        return str(tmp_path / "resolv.conf")

    return write


def look_up(server: NameServer, file: str) -> list[Tlsa]:
    async def main() -> list[Tlsa]:
        return list(await Records(file, await serve(server)).of("mx.example.org", 25))

    return asyncio.run(main())


LOCAL = "nameserver 127.0.0.1\nsearch example.net\n"


def test_records_that_are_proven(resolv: Callable[[str], str]) -> None:
    server = NameServer({NAME: [f"3 1 1 {ONE}", f"2 0 2 {TWO}", f"1 1 1 {ONE}"]})
    found = look_up(server, resolv(LOCAL))
    assert sorted(found) == [Tlsa(2, 0, 2, bytes.fromhex(TWO)), Tlsa(3, 1, 1, bytes.fromhex(ONE))]
    (query,) = server.asked
    assert query.flags & dns.flags.AD and query.flags & dns.flags.RD and query.ednsflags & dns.flags.DO


NOT_BELIEVED = {
    "not proven": ({NAME: [f"3 1 1 {ONE}"]}, False, f"TLSA records of {NAME[:-1]} are not proven by DNSSEC"),
    "no such name": ({}, True, f"there are no TLSA records of {NAME[:-1]}"),
    "none of that kind": ({NAME: []}, True, f"there are no TLSA records of {NAME[:-1]}"),
    "none that counts": ({NAME: [f"1 1 1 {ONE}"]}, True, f"no TLSA record of {NAME[:-1]} can be used"),
}


@pytest.mark.parametrize(("zone", "proves", "said"), NOT_BELIEVED.values(), ids=NOT_BELIEVED)
def test_records_that_are_not(resolv: Callable[[str], str], zone: Zone, proves: bool, said: str) -> None:
    with pytest.raises(NoRecords, match=f"^{re.escape(said)}"):
        look_up(NameServer(zone, proves), resolv(LOCAL))


@pytest.mark.parametrize("text", ["nameserver 192.0.2.53\n", "", None])
def test_a_resolver_elsewhere_is_not_asked(resolv: Callable[[str], str], text: str | None) -> None:
    """What it says of DNSSEC could have been said by anybody on the way."""
    file = "/nowhere/resolv.conf" if text is None else resolv(text)
    server = NameServer({NAME: [f"3 1 1 {ONE}"]})
    with pytest.raises(NoRecords, match="needs a validating resolver on this machine"):
        look_up(server, file)
    assert not server.asked


def test_of_several_only_the_one_here_is_asked(resolv: Callable[[str], str]) -> None:
    server = NameServer({NAME: [f"3 1 1 {ONE}"]})
    assert look_up(server, resolv("nameserver 192.0.2.53\nnameserver 127.0.0.1\n"))


def test_a_resolver_that_fails(resolv: Callable[[str], str]) -> None:
    class Refusing(NameServer):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            answer = dns.message.make_response(dns.message.from_wire(data))
            answer.set_rcode(dns.rcode.SERVFAIL)
            self.transport.sendto(answer.to_wire(), addr)

    with pytest.raises(NoRecords, match="can't be had: "):
        look_up(Refusing({}), resolv(LOCAL))
