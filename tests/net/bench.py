"""A proxy without protocols: listeners, sides and upstreams with a relay that passes octets on.

Everything runs on real sockets of the loopback, on uvloop and on asyncio's own loop, without a reactor.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trustme
import uvloop
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from mailweir.net.addresses import parse
from mailweir.net.certificates import Certificates, Terms
from mailweir.net.handshake import agreed
from mailweir.net.listener import ClientSide, Listener, Welcome
from mailweir.net.register import Register
from mailweir.net.tls import ClientTls, Layer, Verify
from mailweir.net.upstream import IsOwn, Upstream
from mailweir.relay.side import Dial, Side
from mailweir.session import Session, Tls, session_ids

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@implementer(IReactorTime)
class LoopClock(Clock):
    """Twisted's clock for tests, with the loop to run what is due now; the rest waits for `advance`."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:
        if not delay:
            asyncio.get_running_loop().call_soon(self.advance, 0)
        return super().callLater(delay, callable, *args, **kw)


class Forwarder:
    """A relay that passes octets on, and keeps what it is told. `STARTTLS` switches a leg."""

    def __init__(self, session: Session, client: Side, dial: Dial) -> None:
        self.session = session
        self.client = client
        self.upstream: Side | None = None
        self.events: list[str] = []
        self.owing = False
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.drains = 0
        self._dial = dial
        self._inside = False

    def arrived(self) -> None:
        self.events.append("arrived")
        self.client.pause("dialling")
        self._dial(self, "server")

    def upstream_ready(self, side: Side, tls: Tls | None) -> None:
        self.upstream = side
        self.events.append(f"upstream ready {tls.version}" if tls else "upstream ready")
        self.ready.set()
        self.client.resume("dialling")

    def upstream_failed(self, reason: str, *, insecure: bool = False) -> None:
        self.events.append(f"upstream {'insecure' if insecure else 'failed'}: {reason}")
        self.ended.set()
        self.client.close()

    def client_octets(self, data: bytes) -> None:
        assert not self._inside, "called from within a call to a side"
        self._inside = True
        if data.startswith(b"STARTTLS"):
            self.client.write(b"220 go\r\n")
            self.client.start_tls()
        elif data.startswith(b"HOLD"):
            self.client.pause("held")
        elif data.startswith(b"ABORT"):
            self.client.abort()
        else:
            assert self.upstream is not None, "octets of a paused client"
            self.upstream.write(data)
        self._inside = False

    def upstream_octets(self, data: bytes) -> None:
        assert self.upstream is not None, "octets before upstream_ready"
        if data.startswith(b"220 tls"):
            self.upstream.start_tls()
        else:
            self.client.write(data)

    def client_drained(self) -> None:
        self.drains += 1

    def upstream_drained(self) -> None:
        self.drains += 1

    def client_secured(self, tls: Tls) -> None:
        self.events.append("client secured")

    def upstream_secured(self, tls: Tls) -> None:
        self.events.append("upstream secured")

    def client_gone(self, reason: str) -> None:
        self.events.append(f"client gone: {reason}")
        if self.upstream is None:
            self.ended.set()
        else:
            self.upstream.close()

    def upstream_gone(self, reason: str) -> None:
        self.events.append(f"upstream gone: {reason}")
        self.client.close()
        self.ended.set()

    def owes_answer(self) -> bool:
        return self.owing

    def retire(self) -> None:
        self.client.close()


class Bench:
    """Makes listeners, servers and certificates for one test; `run` runs it on a loop."""

    def __init__(self, runner: Callable[[Coroutine[Any, Any, None]], None], folder: Path) -> None:
        self.run = runner
        self.folder = folder
        self.clock = LoopClock()
        self.authority = trustme.CA()
        self.relays: list[Forwarder] = []
        self.register = Register(100, 100)
        self._clients: list[Streams] = []

    @property
    def relay(self) -> Forwarder:
        """The relay of the newest session."""
        return self.relays[-1]

    def certificate(self, *names: str, **more: Any) -> tuple[Path, Path]:
        """Files with a certificate of our authority for `names`, and its key."""
        made = self.authority.issue_cert(*names, **more)
        stem = f"{len(list(self.folder.iterdir()))}"
        chain, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return chain, key

    @property
    def authority_file(self) -> Path:
        path = self.folder / "authority.pem"
        path.write_bytes(self.authority.cert_pem.bytes())
        return path

    def server_side(self, *names: str, **more: Any) -> ssl.SSLContext:
        """For a server of a test that shows a certificate for `names`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.certificate(*names, **more))
        return context

    def client_side(self) -> ssl.SSLContext:
        """For a client of a test that believes our authority."""
        return ssl.create_default_context(cafile=str(self.authority_file))

    def layer(self, *names: str) -> Layer:
        """What a listener needs for TLS."""
        return Certificates([self.certificate(*names)], self.clock).layer(Terms())

    @staticmethod
    def shake(
        layer: Layer, client: SSL.Context, ticket: SSL.Session | None = None
    ) -> tuple[Tls, x509.Certificate | None, SSL.Session | None]:
        """Hand to hand, without sockets: what we say was agreed, what a client was shown, and its ticket."""
        wire = StringTransport()
        ours = layer.over(Protocol())
        ours.makeConnection(wire)
        theirs = SSL.Connection(client, None)
        theirs.set_connect_state()
        if ticket is not None:
            theirs.set_session(ticket)
        for _ in range(4):
            with suppress(SSL.WantReadError):
                theirs.do_handshake()
                theirs.recv(1)
            with suppress(SSL.WantReadError):
                ours.dataReceived(theirs.bio_read(65536))
            if wire.value():
                theirs.bio_write(wire.value())
            wire.clear()
        theirs.set_shutdown(SSL.SENT_SHUTDOWN)  # a connection that just vanishes spoils its ticket
        return agreed(ours), theirs.get_peer_certificate(as_cryptography=True), theirs.get_session()

    def upstream(self, *addresses: str, verify: Verify | None = None, **more: Any) -> Upstream:
        own: IsOwn = more.pop("is_own", lambda address: False)
        tls = None if verify is None else ClientTls(verify, self.clock, **more.pop("tls", {}))
        return Upstream("server", addresses, clock=self.clock, is_own=own, tls=tls, **more)

    @asynccontextmanager
    async def listener(
        self,
        upstream: Upstream,
        listen: str = "127.0.0.1:0",
        layer: Layer | None = None,
        implicit: bool = False,
    ) -> AsyncIterator[Listener]:
        """A listener that is open, with relays that are kept in `relays`."""

        def make(session: Session, side: Side, dial: Dial) -> Forwarder:
            self.relays.append(Forwarder(session, side, dial))
            return self.relays[-1]

        welcome = Welcome("smtp", make, {"server": upstream}, layer, implicit)
        listener = Listener("mx", welcome, self.register, session_ids(), self.clock)
        place = parse(listen)
        await listener.open(place)
        try:
            yield listener
        finally:
            for entry in self.register:
                entry.abort()
            listener.shut(place)
            await self.until(lambda: not len(self.register))

    @asynccontextmanager
    async def server(self, talk: Talk, **more: Any) -> AsyncIterator[str]:
        """A server that is not ours; gives its address."""
        done: list[asyncio.StreamWriter] = []

        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            done.append(writer)
            try:
                await talk(reader, writer)
            except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
                pass

        server = await asyncio.start_server(keep, more.pop("host", "127.0.0.1"), 0, **more)
        host, port = server.sockets[0].getsockname()[:2]
        try:
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        finally:
            server.close()
            for writer in done:
                if not writer.is_closing():  # asyncio before 3.11.5 fails where TLS has ended already
                    writer.transport.abort()

    async def dial(self, listener: Listener, **more: Any) -> Streams:
        """A client of a listener; it stays until it is closed, even if a test forgets it."""
        address = listener.addresses[0]
        if address.port:
            streams = await asyncio.open_connection(address.host, address.port, **more)
        else:
            streams = await asyncio.open_unix_connection(address.host, **more)
        self._clients.append(streams)
        return streams

    @staticmethod
    async def until(true: Callable[[], bool]) -> None:
        """Let the loop turn until something is so."""
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    @property
    def legs(self) -> list[ClientSide]:
        """The client's sides that stand."""
        return [entry for entry in self.register if isinstance(entry, ClientSide)]


async def _bounded(main: Coroutine[Any, Any, None]) -> None:
    """A test that waits for what never comes fails."""
    await asyncio.wait_for(main, 20)


def on_uvloop(main: Coroutine[Any, Any, None]) -> None:
    uvloop.run(_bounded(main))


def on_asyncio(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(_bounded(main))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says everything back, until the client has said its last."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
