"""The adapter: Twisted's transport interface on the loop's own transport.

asyncio calls an `Adapter`, Twisted's protocol writes to it. Twisted's stock transports queue each write,
arm the poller, send and disarm; the loop's send at once and read in large pieces, for a third of the cost.
TLS is Twisted's, stacked on top of this like on any other transport.

Runs on uvloop and on asyncio's loop; both set TCP_NODELAY on every connection. On uvloop reading can't be
paused from within `connectionMade`: the protocol may get one piece in spite of it.
"""

import asyncio
import socket
import struct
from collections.abc import Iterable
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from mailweir.net.addresses import told
from mailweir.session import Address

WRITE_BUFFER = 256 * 1024
"""Octets that wait for a peer before its producer is paused. Below one read (256 KiB) each read would."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 seconds: the kernel ends the connection by RST, and drops what was not sent."""


@implementer(ITCPTransport, IPushProducer, IConsumer)
class Adapter(asyncio.Protocol):
    """One connection. A factory that builds no protocol refuses it: it is closed at once."""

    disconnecting = False
    """`loseConnection` was called; Twisted's protocol wrappers look at it."""

    def __init__(self, factory: IProtocolFactory) -> None:
        self.protocol: IProtocol | None = None
        self._factory = factory
        self._producer: IPushProducer | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.peer: Address = told(transport.get_extra_info("peername"))
        self.local: Address = told(transport.get_extra_info("sockname"))
        try:
            protocol = self._factory.buildProtocol(self.getPeer())
            if protocol is None:
                transport.close()
                return
            self._transport.set_write_buffer_limits(WRITE_BUFFER)
            self.protocol = protocol
            protocol.makeConnection(self)
        except BaseException:  # the loop logs it, but would leave the connection open, with nobody to mind it
            self.abortConnection()
            raise

    def data_received(self, data: bytes) -> None:
        if self.protocol is not None:
            self.protocol.dataReceived(data)

    def eof_received(self) -> bool:
        """True keeps our half open."""
        if not IHalfCloseableProtocol.providedBy(self.protocol):
            return False
        cast(IHalfCloseableProtocol, self.protocol).readConnectionLost()
        return not self._transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        protocol, self.protocol = self.protocol, None
        self._producer = None
        if protocol is not None:
            error = ConnectionDone() if exc is None else ConnectionLost(str(exc))
            error.__cause__ = exc
            protocol.connectionLost(Failure(error))

    def pause_writing(self) -> None:
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume_writing(self) -> None:
        if self._producer is not None:
            self._producer.resumeProducing()

    # What Twisted's protocol calls.

    def write(self, data: bytes) -> None:
        if self.protocol is not None:
            self._transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close after everything written has left."""
        self.disconnecting = True
        self._transport.close()

    def loseWriteConnection(self) -> None:
        """Send FIN after everything written has left; go on reading."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def abortConnection(self) -> None:
        """Close now, by RST where the address family has one."""
        self.disconnecting = True
        handle = self._transport.get_extra_info("socket")
        if handle is not None and not self._transport.is_closing():
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if self._producer is not None or not streaming:
            raise RuntimeError("one producer at a time, and it must be a streaming one")
        self._producer = cast(IPushProducer, producer)

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resumeProducing(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self) -> IPv4Address | IPv6Address | UNIXAddress:  # type: ignore[override]
        return _twisted(self.peer)

    def getHost(self) -> IPv4Address | IPv6Address | UNIXAddress:  # type: ignore[override]
        return _twisted(self.local)

    def getTcpNoDelay(self) -> bool:
        return self._option(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        return self._option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def _option(self, level: int, option: int) -> bool:
        return bool(self._transport.get_extra_info("socket").getsockopt(level, option))

    def _set_option(self, level: int, option: int, enabled: bool) -> None:
        if self.peer.port:
            self._transport.get_extra_info("socket").setsockopt(level, option, enabled)


def _twisted(address: Address) -> IPv4Address | IPv6Address | UNIXAddress:
    if not address.port:
        return UNIXAddress(address.host)
    return (IPv6Address if ":" in address.host else IPv4Address)("TCP", address.host, address.port)
