"""Reach the real server, in time, or say why not.

Addresses are tried in their order, each number of a host name in the order the resolver gave, each for
`timeout` seconds; that includes the handshake where TLS is implicit. The relay has the connection before
it hears the first octet from it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from cryptography.x509 import Certificate
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOProtocol

from mailweir import log, metrics
from mailweir.net.addresses import Place, Tcp, Unix, is_number, parse
from mailweir.net.connection import Connection
from mailweir.net.dane import NoRecords, Tlsa
from mailweir.net.tls import ClientTls, distrusted
from mailweir.net.transport import Adapter
from mailweir.relay.side import Relay
from mailweir.session import Address, Tls

IsOwn = Callable[[Address], bool]
LookUp = Callable[[str, int], Awaitable[Sequence[Tlsa]]]
"""The TLSA records of a host and port; `NoRecords` if there are none to go by."""


class Unreachable(Exception):
    """Why an address did not serve; `insecure`: it could not be believed to be whom we look for."""

    def __init__(self, reason: str, *, insecure: bool = False) -> None:
        super().__init__(reason)
        self.insecure = insecure


class UpstreamSide(Connection):
    """The leg to a server. Before it stands, `ready` tells the dialler how it goes."""

    leg = "upstream"

    def __init__(
        self,
        upstream: "Upstream",
        client: Connection | None,
        relay: Relay,
        host: str,
        records: Sequence[Tlsa] = (),
    ) -> None:
        """`client` None: nobody's, as when upstreams are only tried."""
        super().__init__("" if client is None else client.listener, upstream.clock)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.client = client
        self.relay = relay
        self.stands = False
        self._counted = False
        self._insecure = False
        self._upstream = upstream
        self._host = host
        self._records = records

    @property
    def certificate(self) -> Certificate | None:
        """What the server has shown."""
        connection = None if self._layer is None else self._layer.getHandle()
        return None if connection is None else connection.get_peer_certificate(as_cryptography=True)

    def begun(self) -> None:
        if self.ready.done():
            self.abort()
        elif self._upstream.implicit:
            self.start_tls()
        else:
            self._stand(None)

    def layer(self) -> TLSMemoryBIOProtocol:
        assert self._upstream.tls is not None
        return self._upstream.tls.towards(self._host, self._records).over(self)

    def handshakeCompleted(self) -> None:
        assert self._layer is not None
        wrong = distrusted(self._layer)
        if wrong:
            self.end(f"TLS: {wrong}")
        else:
            super().handshakeCompleted()

    def secured(self, tls: Tls) -> None:
        if self.stands:
            self.relay.upstream_secured(tls)
        else:
            self._stand(tls)

    def unsecured(self, reason: str) -> None:
        self._insecure = True
        if self.stands and self.client is not None:
            log.logger(session=self.relay.session.id, listener=self.listener).warning(
                "TLS handshake failed",
                upstream=self._upstream.name,
                address=str(self._wire.peer),
                reason=reason,
            )

    def drained(self) -> None:
        self.relay.upstream_drained()

    def slowed(self) -> Iterable[Connection]:
        return () if self.client is None else (self.client,)

    def mate(self) -> Connection | None:
        return self.client

    def half_closed(self) -> None:
        self.report("")
        self.close()

    def gone(self, reason: str) -> None:
        if self.stands:
            self._uncount()  # first: the relay may dial again
            self.relay.upstream_gone(reason)
        elif not self.ready.done():
            self.ready.set_exception(Unreachable(reason or "closed the connection", insecure=self._insecure))

    def released(self) -> None:
        self._uncount()

    def withdraw(self) -> None:
        """Nobody waits for this connection any more."""
        self.ready.cancel()
        if self.connected:
            self.abort()

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._upstream.used -= 1

    def _stand(self, tls: Tls | None) -> None:
        self.stands = self._counted = True
        self.received = self.relay.upstream_octets
        self.relay.session.upstream_address = str(self._wire.peer)
        self.ready.set_result(None)
        if self.client is not None and self.client.full:
            self.pause("client full")
        self.relay.upstream_ready(self, tls)


class Upstream:
    """One entry of the configuration's `upstreams`. `used` connections to it stand or are being made."""

    def __init__(
        self,
        name: str,
        addresses: Sequence[str],
        *,
        clock: IReactorTime,
        is_own: IsOwn,
        tls: ClientTls | None = None,
        implicit: bool = False,
        records: LookUp | None = None,
        connections: int = 1000,
        timeout: float = 10.0,
    ) -> None:
        """`tls` is needed where the connection is secured, at once (`implicit`) or by STARTTLS.

        `records` are looked up for it before each connection, where the DNS says whom to believe (DANE).
        """
        self.name = name
        self.clock = clock
        self.tls = tls
        self.implicit = implicit
        self._records = records
        self.used = 0
        self._places = [parse(address) for address in addresses]
        self._is_own = is_own
        self._connections = connections
        self._timeout = timeout
        self._seconds = metrics.UPSTREAM_CONNECT_SECONDS.cell(name)

    def dial(
        self, relay: Relay, client: Connection | None, joined: Callable[[UpstreamSide], None]
    ) -> "asyncio.Task[None]":
        """Answered by `relay.upstream_ready`, or `upstream_failed`; by neither if the task is cancelled.

        `joined` is called with each side that is tried; the last one is what stands.
        """
        return asyncio.get_running_loop().create_task(self._answer(relay, client, joined))

    async def _answer(
        self, relay: Relay, client: Connection | None, joined: Callable[[UpstreamSide], None]
    ) -> None:
        """Whatever happens, the relay is told: a client would wait for its greeting for ever."""
        try:
            failed = await self._dial(relay, client, joined)
        except Exception as error:
            log.logger(session=relay.session.id, listener=relay.session.listener).error(
                "internal error", exc_info=error
            )
            failed = Unreachable("internal error")
        if failed:
            relay.upstream_failed(str(failed), insecure=failed.insecure)

    async def _dial(
        self, relay: Relay, client: Connection | None, joined: Callable[[UpstreamSide], None]
    ) -> Unreachable | None:
        """Why there is no connection; None if one stands."""
        if self.used >= self._connections:
            self._count("full")
            return Unreachable(f"all {self._connections} connections to it are in use")
        self.used += 1
        tried: list[UpstreamSide] = []
        complaints, insecure = [], False
        try:
            for place in self._places:
                try:
                    await self._try(place, relay, client, joined, tried)
                except Unreachable as error:
                    complaints.append(f"{place}: {error}")
                    insecure = insecure or error.insecure
                else:
                    return None
        finally:
            if not tried or not tried[-1].stands:
                self.used -= 1
        return Unreachable("; ".join(complaints), insecure=insecure)

    async def _try(
        self,
        place: Place,
        relay: Relay,
        client: Connection | None,
        joined: Callable[[UpstreamSide], None],
        tried: list[UpstreamSide],
    ) -> None:
        """Every number of one address, until one stands."""
        failure = Unreachable("no such host")
        numbers, records = await self._numbers(place), await self._expected(place)
        host = place.host if isinstance(place, Tcp) else "localhost"
        for number in numbers:
            began = self.clock.seconds()
            side = UpstreamSide(self, client, relay, host, records)
            joined(side)
            tried.append(side)
            result = "failed"
            try:
                async with asyncio.timeout(self._timeout):
                    await self._connect(number, side)
                    await side.ready
            except TimeoutError:
                result, failure = "timeout", Unreachable(f"no answer within {self._timeout:g} seconds")
            except OSError as error:
                failure = Unreachable(os.strerror(error.errno).lower() if error.errno else str(error))
            except Unreachable as error:
                failure = error
            finally:
                if not side.stands:
                    side.withdraw()
            if side.stands:  # even if the time was up before the loop came to say so
                self._count("ok")
                self._seconds.observe(self.clock.seconds() - began)
                return
            self._count(result)
        raise failure

    async def _numbers(self, place: Place) -> list[Address]:
        if isinstance(place, Unix):
            found = [Address(place.path)]
        else:
            assert isinstance(place, Tcp)
            found = [Address(place.host, place.port)]
            if not is_number(place.host):
                found = await self._resolve(place)
        if any(self._is_own(address) for address in found):
            self._count("failed")
            raise Unreachable("is an address of our own: mailweir would talk to itself")
        return found

    async def _expected(self, place: Place) -> Sequence[Tlsa]:
        """What the DNS says about the server's certificate, where that is asked for."""
        if self._records is None:
            return ()
        try:
            if not isinstance(place, Tcp) or is_number(place.host):
                raise NoRecords("DANE needs a host name: there are no TLSA records of numbers")
            return await self._records(place.host, place.port)
        except NoRecords as error:
            self._count("failed")
            raise Unreachable(str(error), insecure=True) from error

    async def _resolve(self, place: Tcp) -> list[Address]:
        try:
            async with asyncio.timeout(self._timeout):
                found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=1)
        except TimeoutError:
            self._count("timeout")
            raise Unreachable(f"host name not resolved within {self._timeout:g} seconds") from None
        except OSError as error:
            self._count("failed")
            raise Unreachable(f"host name not resolved ({(error.strerror or str(error)).lower()})") from error
        except UnicodeError as error:  # a label that is empty or too long (IDNA, RFC 3490 4.1)
            self._count("failed")
            raise Unreachable("no name that a host can have") from error
        return [Address(str(name[0]), place.port) for *_, name in found]

    async def _connect(self, number: Address, side: UpstreamSide) -> None:
        """Connect; once the side has been told of its connection, only the side may end it.

        Cancelled a moment later, uvloop would close the socket and tell nobody.
        """
        loop = asyncio.get_running_loop()
        made = partial(Adapter, _Once(side))
        if number.port:
            connecting = loop.create_task(loop.create_connection(made, number.host, number.port))
        else:
            connecting = loop.create_task(loop.create_unix_connection(made, number.host))
        try:
            await asyncio.shield(connecting)
        finally:
            if not side.connected:
                connecting.cancel()

    def _count(self, result: str) -> None:
        metrics.UPSTREAM_CONNECTS.cell(self.name, result).add()


class _Once(Factory):
    """The factory of one connection."""

    def __init__(self, side: UpstreamSide) -> None:
        self._side = side

    def buildProtocol(self, addr: IAddress | None) -> UpstreamSide:
        return self._side
