"""An address of the configuration becomes a port; each client becomes a session with a relay."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOProtocol

from mailweir import log, metrics
from mailweir.net.addresses import Place
from mailweir.net.connection import Connection
from mailweir.net.ports import Port, open_ports
from mailweir.net.register import Register
from mailweir.net.tls import Layer
from mailweir.net.upstream import Upstream, UpstreamSide
from mailweir.relay.side import Dial, Relay, Side
from mailweir.session import Address, Protocol, Session, Tls

Maker = Callable[[Session, Side, Dial], Relay]


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the next client of a listener gets. Replaced as a whole when the configuration is read again.

    `layer` is needed where clients get TLS, at once (`implicit`) or by STARTTLS.
    """

    protocol: Protocol
    make: Maker
    upstreams: Mapping[str, Upstream]
    layer: Layer | None = None
    implicit: bool = False


class ClientSide(Connection):
    """The leg to a client. It makes the session; the relay comes with the client's arrival."""

    leg = "client"

    def __init__(
        self, listener: str, welcome: Welcome, register: Register, id: str, clock: IReactorTime
    ) -> None:
        super().__init__(listener, clock)
        self.relay: Relay | None = None
        self.session: Session
        self._id = id
        self.welcome = welcome
        self._register = register
        self._upstream: UpstreamSide | None = None
        self._dialling: asyncio.Task[None] | None = None

    def begun(self) -> None:
        wire = self._wire
        self.session = Session(
            self._id, self.listener, self.welcome.protocol, wire.peer, wire.local, self._clock.seconds()
        )
        self._register.enter(self)
        if self.welcome.implicit:
            self.start_tls()
        else:
            self._arrive()

    def layer(self) -> TLSMemoryBIOProtocol:
        assert self.welcome.layer is not None
        return self.welcome.layer.over(self)

    def secured(self, tls: Tls) -> None:
        self.session.client_tls = tls
        if self.relay is None:
            self._arrive()
        else:
            self.relay.client_secured(tls)

    def unsecured(self, reason: str) -> None:
        log.logger(session=self._id, listener=self.listener).info(
            "TLS handshake failed", client=self.session.client.host, reason=reason
        )

    def drained(self) -> None:
        if self.relay is not None:
            self.relay.client_drained()

    def slowed(self) -> Iterable[Connection]:
        """A client that takes no answers gets none of its next commands read either."""
        return (self,) if self._upstream is None else (self, self._upstream)

    def mate(self) -> Connection | None:
        return self._upstream

    def write(self, data: bytes) -> None:
        super().write(data)
        if self._heard_all:
            self._clock.callLater(0, self.half_closed)

    def half_closed(self) -> None:
        """A client may say its last and still wait for the answers; it is gone once none is owed."""
        if self.relay is None or not self.relay.owes_answer():
            self.report("")
            self.close()

    def gone(self, reason: str) -> None:
        if self._dialling is not None and (self._upstream is None or not self._upstream.stands):
            self._dialling.cancel()
        if self.relay is not None:
            self.relay.client_gone(reason)

    def released(self) -> None:
        self._register.leave(self)

    def retire(self) -> None:
        """End at the next border; who is only about to arrive is turned away."""
        self.hurry()
        if self.relay is None:
            self.abort()
        else:
            self.relay.retire()

    def _arrive(self) -> None:
        self.relay = relay = self.welcome.make(self.session, self, self._dial)
        self.received = relay.client_octets
        relay.arrived()

    def _dial(self, relay: Relay, name: str) -> None:
        self._upstream = None
        upstream = self.welcome.upstreams.get(name)
        if upstream is None:
            relay.upstream_failed(f"there is no upstream {name!r} in the configuration")
        else:
            self._dialling = upstream.dial(relay, self, self._join)

    def _join(self, side: UpstreamSide) -> None:
        self._upstream = side


class Listener(Factory):
    """One entry of the configuration's `listeners`, on any number of addresses."""

    noisy = False

    def __init__(
        self, name: str, welcome: Welcome, register: Register, ids: Iterator[str], clock: IReactorTime
    ) -> None:
        self.name = name
        self.welcome = welcome
        self._register = register
        self._ids = ids
        self._clock = clock
        self._ports: dict[Place, list[Port]] = {}

    def buildProtocol(self, addr: IAddress | None) -> ClientSide | None:
        host = addr.host if isinstance(addr, IPv4Address | IPv6Address) else ""
        limit = self._register.refuses(host)
        if limit:
            metrics.CONNECTIONS_REFUSED.cell(self.name, limit).add()
            return None
        return ClientSide(self.name, self.welcome, self._register, next(self._ids), self._clock)

    async def open(self, place: Place) -> None:
        """Listen there too; `PortUnavailable` if that can't be."""
        self._ports[place] = await open_ports(place, self)

    def take_over(self, place: Place, other: "Listener") -> None:
        """Listen there in place of another listener; nobody who connects meanwhile is turned away."""
        self._ports[place] = other._ports.pop(place)
        for port in self._ports[place]:
            port.factory = self

    def shut(self, place: Place) -> None:
        """Listen there no longer. Connections that stand are not touched."""
        for port in self._ports.pop(place):
            port.close()

    @property
    def places(self) -> list[Place]:
        return list(self._ports)

    @property
    def addresses(self) -> list[Address]:
        """What we really listen on: numbers, and the port that the system gave for port 0."""
        return [port.address for ports in self._ports.values() for port in ports]
