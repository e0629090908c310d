"""The adapter against real sockets, on both loops: what Twisted's protocols expect of a transport."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mailweir.net.transport import WRITE_BUFFER, Adapter
from mailweir.session import Address
from net.bench import Bench


class Hears(Protocol):
    """Keeps what it hears."""

    transport: Adapter

    def __init__(self) -> None:
        self.heard = b""
        self.lost = ""
        self.gone = asyncio.Event()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008
        self.lost = reason.type.__name__ if reason.type else ""
        self.gone.set()


@implementer(IHalfCloseableProtocol)
class HearsHalves(Hears):
    """Is told when the peer has said its last."""

    def readConnectionLost(self) -> None:
        self.heard += b"[end]"

    def writeConnectionLost(self) -> None:
        self.heard += b"[never]"


class Made(Factory):
    def __init__(self, make: Callable[[], Hears | None]) -> None:
        self.make = make
        self.built: list[Hears] = []

    def buildProtocol(self, addr: IAddress | None) -> Hears | None:
        protocol = self.make()
        if protocol is not None:
            self.built.append(protocol)
        return protocol


async def connected(
    make: Callable[[], Hears | None], family: int = socket.AF_INET, path: str = ""
) -> tuple[Made, asyncio.StreamReader, asyncio.StreamWriter]:
    """A client of a server whose connections are adapters."""
    loop, factory = asyncio.get_running_loop(), Made(make)
    if path:
        await loop.create_unix_server(lambda: Adapter(factory), path)
        return (factory, *await asyncio.open_unix_connection(path))
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    server = await loop.create_server(lambda: Adapter(factory), host, 0, family=family)
    return (factory, *await asyncio.open_connection(*server.sockets[0].getsockname()[:2]))


async def protocol_of(factory: Made) -> Hears:
    await Bench.until(lambda: bool(factory.built))
    return factory.built[0]


def test_octets_both_ways_and_a_clean_end(bench: Bench) -> None:
    async def main() -> None:
        factory, reader, writer = await connected(Hears)
        writer.write(b"to")
        protocol = await protocol_of(factory)
        await bench.until(lambda: protocol.heard == b"to")
        protocol.transport.writeSequence([b"and", b" fro"])
        assert await reader.readexactly(7) == b"and fro"
        writer.close()
        await protocol.gone.wait()
        assert protocol.lost == "ConnectionDone"
        protocol.transport.write(b"to nobody")

    bench.run(main())


def test_everything_written_leaves_before_the_end(bench: Bench) -> None:
    async def main() -> None:
        factory, reader, _ = await connected(Hears)
        protocol = await protocol_of(factory)
        protocol.transport.write(bytes(5_000_000))
        protocol.transport.loseConnection()
        assert len(await reader.read(-1)) == 5_000_000
        await protocol.gone.wait()
        assert protocol.lost == "ConnectionDone" and protocol.transport.disconnecting

    bench.run(main())


def test_abort_is_a_reset(bench: Bench) -> None:
    async def main() -> None:
        factory, reader, _ = await connected(Hears)
        protocol = await protocol_of(factory)
        protocol.transport.write(bytes(5_000_000))
        protocol.transport.abortConnection()
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        await protocol.gone.wait()
        protocol.transport.abortConnection()

    bench.run(main())


def test_a_reset_is_told_from_a_close(bench: Bench) -> None:
    async def main() -> None:
        factory, _, writer = await connected(Hears)
        protocol = await protocol_of(factory)
        Adapter.abortConnection(_as_adapter(writer))
        await protocol.gone.wait()
        assert protocol.lost == "ConnectionLost"

    bench.run(main())


def _as_adapter(writer: asyncio.StreamWriter) -> Adapter:
    adapter = Adapter(Factory())
    adapter._transport = writer.transport  # type: ignore[assignment]
    return adapter


def test_half_closed_by_the_peer(bench: Bench) -> None:
    async def main() -> None:
        factory, reader, writer = await connected(HearsHalves)
        writer.write(b"last")
        writer.write_eof()
        protocol = await protocol_of(factory)
        await bench.until(lambda: protocol.heard == b"last[end]")
        protocol.transport.write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        assert not protocol.gone.is_set()
        protocol.transport.loseConnection()
        assert await reader.read() == b""
        await protocol.gone.wait()

    bench.run(main())


def test_half_closed_by_us(bench: Bench) -> None:
    async def main() -> None:
        factory, reader, writer = await connected(HearsHalves)
        protocol = await protocol_of(factory)
        protocol.transport.write(b"last")
        protocol.transport.loseWriteConnection()
        assert await reader.read() == b"last"
        writer.write(b"still here")
        await bench.until(lambda: protocol.heard == b"still here")
        writer.close()
        await bench.until(lambda: protocol.heard == b"still here[end]")

    bench.run(main())


def test_a_protocol_that_knows_no_halves_is_lost_with_the_first(bench: Bench) -> None:
    async def main() -> None:
        factory, reader, writer = await connected(Hears)
        writer.write_eof()
        protocol = await protocol_of(factory)
        await protocol.gone.wait()
        assert protocol.lost == "ConnectionDone" and await reader.read() == b""

    bench.run(main())


def test_a_factory_that_builds_nothing_refuses(bench: Bench) -> None:
    async def main() -> None:
        _, reader, writer = await connected(lambda: None)
        writer.write(b"hello")
        assert await reader.read() == b""

    bench.run(main())


class Raises(Hears):
    """Fails when the connection stands."""

    def connectionMade(self) -> None:
        raise KeyError("made")


def broken() -> Hears:
    raise KeyError("built")


@pytest.mark.parametrize("make", [broken, Raises])
def test_a_mistake_of_ours_at_the_start_is_logged_and_ends_the_connection(
    bench: Bench, make: Callable[[], Hears]
) -> None:
    async def main() -> None:
        logged: list[BaseException] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: logged.append(context["exception"])
        )
        factory, reader, _ = await connected(make)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert [type(error) for error in logged] == [KeyError]
        if factory.built:
            await factory.built[0].gone.wait()

    bench.run(main())


class Bulk(Hears):
    """A producer that writes as long as it may."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[str] = []

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)  # type: ignore[arg-type]

    def pauseProducing(self) -> None:
        self.states.append("pause")

    def resumeProducing(self) -> None:
        self.states.append("resume")

    def stopProducing(self) -> None: ...


def test_a_producer_is_paused_and_resumed(bench: Bench) -> None:
    async def main() -> None:
        factory, reader, _ = await connected(Bulk)
        protocol = await protocol_of(factory)
        assert isinstance(protocol, Bulk)
        written = 0
        while not protocol.states:
            protocol.transport.write(bytes(65536))
            written += 65536
            await asyncio.sleep(0)
        assert protocol.states == ["pause"] and written > WRITE_BUFFER
        await reader.readexactly(written)
        await bench.until(lambda: protocol.states == ["pause", "resume"])
        with pytest.raises(RuntimeError):
            protocol.transport.registerProducer(protocol, True)  # type: ignore[arg-type]
        protocol.transport.unregisterProducer()
        with pytest.raises(RuntimeError):
            protocol.transport.registerProducer(protocol, False)  # type: ignore[arg-type]

    bench.run(main())


def test_reading_is_paused(bench: Bench) -> None:
    async def main() -> None:
        factory, _, writer = await connected(Hears)
        protocol = await protocol_of(factory)
        protocol.transport.pauseProducing()
        writer.write(b"later")
        await asyncio.sleep(0.02)
        assert protocol.heard == b""
        protocol.transport.resumeProducing()
        await bench.until(lambda: protocol.heard == b"later")
        protocol.transport.stopProducing()
        await protocol.gone.wait()
        protocol.transport.resumeProducing()
        protocol.transport.pauseProducing()

    bench.run(main())


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_addresses_and_options(bench: Bench, family: int, host: str) -> None:
    async def main() -> None:
        factory, _, writer = await connected(Hears, family)
        transport = (await protocol_of(factory)).transport
        assert transport.peer == Address(host, writer.get_extra_info("sockname")[1])
        assert transport.getPeer().host == host and transport.getHost().host == host  # type: ignore[union-attr]
        assert transport.getTcpNoDelay(), "44 ms of nothing in each dialogue"
        for read, write in (
            (transport.getTcpNoDelay, transport.setTcpNoDelay),
            (transport.getTcpKeepAlive, transport.setTcpKeepAlive),
        ):
            for value in (True, False):
                write(value)
                assert read() is value

    bench.run(main())


def test_unix_sockets(bench: Bench, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "s")
        factory, reader, _ = await connected(Hears, path=path)
        transport = (await protocol_of(factory)).transport
        assert transport.local == Address(path) and transport.peer == Address("")
        assert transport.getHost().name == path.encode()  # type: ignore[union-attr]
        transport.setTcpNoDelay(True)
        transport.abortConnection()
        assert await reader.read() == b""

    bench.run(main())


def test_an_ipv4_client_of_an_ipv6_socket_is_shown_as_such(bench: Bench) -> None:
    async def main() -> None:
        factory = Made(Hears)
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
            await asyncio.get_running_loop().create_server(lambda: Adapter(factory), sock=both)
            await asyncio.open_connection("127.0.0.1", both.getsockname()[1])
            assert (await protocol_of(factory)).transport.peer.host == "127.0.0.1"

    bench.run(main())
