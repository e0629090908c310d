"""One Twisted protocol = one Side: octets in, octets out, TLS on request, back-pressure, an orderly end.

Reading is paused by a set of reasons, lazily: the socket is read until one piece has come that may not be
delivered yet; it is kept, and only then reading stops. So a peer that leaves while we wait (for a plugin,
for upstream) is noticed, and a short pause costs no system call.

The relay is called from the loop only, never from within its own calls to a Side: what was kept is
delivered one turn of the loop later, and the end of a connection is always told by the loop.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import cast

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mailweir.net import handshake, tls
from mailweir.net.handshake import Reason
from mailweir.net.transport import Adapter
from mailweir.session import Leg, Tls

HANDSHAKE = 30.0
"""Seconds for a TLS handshake."""

LINGER = 30.0
"""Seconds after `close` for the peer to take what was written, and to end its half."""

HURRIED = 5.0
"""The same once we want to stop."""

GATHERED = 16 * 1024
"""Octets up to which what is written in one turn leaves in one piece; more leave at once."""


class Phase(Enum):
    """What a connection does. From any of them it may be lost."""

    OPEN = "carries octets both ways"
    HANDSHAKE = "carries TLS's own octets; an octet in clear ends it"
    CLOSING = "what was written leaves, what comes is dropped"
    CLOSED = "is no more"


@implementer(IHalfCloseableProtocol, IHandshakeListener, IPushProducer)
class Connection(Protocol):
    """One leg. Subclasses give the relay's methods for that leg.

    Also the producer of its own transport: that is how the transport says that it is full.
    """

    leg: Leg
    _wire: Adapter
    _out: Adapter | TLSMemoryBIOProtocol

    def __init__(self, listener: str, clock: IReactorTime) -> None:
        self.listener = listener
        self.full = False
        self.received: Callable[[bytes], None] = _nobody
        """Takes what the peer says; the relay's method, once there is a relay."""
        self._clock = clock
        self._phase = Phase.OPEN
        self._gathered: list[bytes] | None = None
        self._weight = 0
        self._pauses: set[str] = set()
        self._kept: deque[bytes] = deque()
        self._reading = True
        self._delivery: IDelayedCall | None = None
        self._layer: TLSMemoryBIOProtocol | None = None
        self._deadline: IDelayedCall | None = None
        self._linger = LINGER
        self._reason = ""
        self._late = False
        self._lost: str | None = None
        self._heard_all = False
        self._told = False

    # What a leg must say for itself.

    @abstractmethod
    def begun(self) -> None:
        """The connection stands."""

    @abstractmethod
    def layer(self) -> TLSMemoryBIOProtocol:
        """A new TLS layer over this connection."""

    @abstractmethod
    def secured(self, tls: Tls) -> None:
        """A handshake succeeded."""

    @abstractmethod
    def unsecured(self, reason: str) -> None:
        """A handshake failed; the connection is about to end."""

    @abstractmethod
    def drained(self) -> None:
        """The peer takes more, after `full`."""

    @abstractmethod
    def slowed(self) -> "Iterable[Connection]":
        """Who must not be read while this leg is full."""

    @abstractmethod
    def mate(self) -> "Connection | None":
        """The session's other leg, if there is one now."""

    @abstractmethod
    def half_closed(self) -> None:
        """The peer said, in clear, that it will say nothing more."""

    @abstractmethod
    def gone(self, reason: str) -> None:
        """The connection ended; `reason` is empty if it was closed in good order. Called once."""

    @abstractmethod
    def released(self) -> None:
        """The socket is closed; `gone` may still wait for octets that came before."""

    # What the relay calls: `relay.side.Side`.

    def write(self, data: bytes) -> None:
        if self._phase is not Phase.OPEN and self._phase is not Phase.HANDSHAKE:
            return
        gathered = self._gathered
        if gathered is None:
            self._out.write(data)
        elif len(data) < GATHERED:
            gathered.append(data)
            self._weight += len(data)
            if self._weight >= GATHERED:
                self._send()
        else:
            self._send()
            self._out.write(data)

    def pause(self, why: str) -> None:
        if self._phase is not Phase.CLOSING:
            self._pauses.add(why)

    def resume(self, why: str) -> None:
        pauses = self._pauses
        if why in pauses:
            pauses.discard(why)
            if not pauses and self._kept:
                self._deliver_soon()

    def start_tls(self) -> None:
        if self._kept:
            self.end(f"octets in clear behind STARTTLS from {self.leg}")
            return
        if self._phase is not Phase.OPEN:
            return
        self._send()
        self._phase = Phase.HANDSHAKE
        self._deadline = self._clock.callLater(HANDSHAKE, self._handshake_late)
        self._wire.unregisterProducer()
        self._drain()
        self._layer = layer = self.layer()
        self._wire.protocol = layer
        layer.makeConnection(self._wire)
        self._out = layer
        layer.registerProducer(self, True)

    def close(self) -> None:
        if self._phase is Phase.CLOSING:
            return
        if self._phase is not Phase.OPEN:
            self.abort()
            return
        self._send()
        self._deaf()
        self._out.unregisterProducer()
        self._deadline = self._clock.callLater(self._linger, self._wire.abortConnection)
        if self._layer is not None:
            self._layer.loseConnection()
        elif self._heard_all:
            self._wire.loseConnection()
        else:
            self._wire.loseWriteConnection()

    def abort(self) -> None:
        if self._phase is Phase.CLOSED:
            self._forget()
        else:
            self._deaf()
            self._wire.abortConnection()

    # What this folder calls.

    def end(self, reason: str) -> None:
        """Abort, and let that be the reason that is told."""
        self._reason = self._reason or reason
        self.abort()

    def hurry(self) -> None:
        """From now on, and if it is closing already, the peer has less time to end its half."""
        self._linger = HURRIED
        deadline = self._deadline if self._phase is Phase.CLOSING else None
        if deadline is not None and deadline.getTime() > self._clock.seconds() + HURRIED:
            deadline.reset(HURRIED)

    def report(self, reason: str) -> None:
        """Tell the end before the socket's."""
        if not self._told:
            self._told = True
            self.gone(reason)

    # What Twisted calls.

    def connectionMade(self) -> None:
        self._wire = cast(Adapter, self.transport)
        self._out = self._wire
        self._wire.registerProducer(self, True)
        self.begun()

    def dataReceived(self, data: bytes) -> None:
        if self._pauses or self._kept:
            self._kept.append(data)
            if self._reading:
                self._reading = False
                self._wire.pauseProducing()
        elif self._phase is Phase.OPEN:
            self._hand_on(data)

    def readConnectionLost(self) -> None:
        self._heard_all = True
        if self._phase is Phase.OPEN:
            self.half_closed()
        else:
            self._wire.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our half is closed because we said so."""

    def handshakeCompleted(self) -> None:
        if self._phase is not Phase.HANDSHAKE:
            return
        self._phase = Phase.OPEN
        self._calm()
        assert self._layer is not None
        agreed = handshake.agreed(self._layer)
        handshake.count(self.listener, self.leg, agreed)
        self.secured(agreed)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._calm()
        text = self._reason or tls.explain(reason.value, self._layer)
        if self._phase is Phase.HANDSHAKE:
            if not text or text == tls.NO_NOTIFY:
                text = "closed during the TLS handshake"
            self._fail_handshake(handshake.why(reason.value)[0], text)
        self._phase = Phase.CLOSED
        self._drain()
        self.released()
        if self._kept:
            self._lost = text
        else:
            self.report(text)

    def pauseProducing(self) -> None:
        """The transport is full."""
        self.full = True
        for side in self.slowed():
            side.pause(f"{self.leg} full")

    def resumeProducing(self) -> None:
        """The transport takes more."""
        if self._drain():
            self.drained()

    def stopProducing(self) -> None:
        """The transport is about to end; `connectionLost` will say so."""

    # Inside.

    def _hand_on(self, data: bytes) -> None:
        """Give octets to the relay. What it writes meanwhile, to either leg, leaves as a group.

        The loop would send each write in a packet of its own.
        """
        mate = self.mate()
        self._gathered = []
        if mate is not None:
            mate._gathered = []
        try:
            self.received(data)
        finally:
            self._send()
            self._gathered = None
            if mate is not None:
                mate._send()
                mate._gathered = None

    def _send(self) -> None:
        """What was gathered leaves."""
        gathered = self._gathered
        if gathered:
            self._gathered = []
            self._weight = 0
            self._out.write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _deliver_soon(self) -> None:
        if self._delivery is None:
            self._delivery = self._clock.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        while self._kept and not self._pauses:
            self._hand_on(self._kept.popleft())
        if self._kept:
            return
        if self._lost is not None:
            self.report(self._lost)
        else:
            self._read_on()

    def _read_on(self) -> None:
        if not self._reading:
            self._reading = True
            self._wire.resumeProducing()

    def _deaf(self) -> None:
        """From here on nothing that comes is delivered."""
        if self._phase is Phase.HANDSHAKE:
            why = Reason.TIMEOUT if self._late else Reason.GIVEN_UP
            self._fail_handshake(why, self._reason or "given up during the TLS handshake")
        self._phase = Phase.CLOSING
        if self._gathered:
            self._gathered = []
        self._calm()
        self._forget()
        self._drain()
        self._read_on()

    def _forget(self) -> None:
        """Nobody wants what was kept; an end that waited for its delivery is told next."""
        self._pauses.clear()
        if self._kept:
            self._kept.clear()
            self._deliver_soon()

    def _drain(self) -> bool:
        """This leg holds the others up no longer."""
        was, self.full = self.full, False
        if was:
            for side in self.slowed():
                side.resume(f"{self.leg} full")
        return was

    def _calm(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _handshake_late(self) -> None:
        self._late = True
        self.end(f"TLS handshake took longer than {HANDSHAKE:g} seconds")

    def _fail_handshake(self, why: Reason, text: str) -> None:
        handshake.count_failure(self.listener, self.leg, why)
        self.unsecured(text)


def _nobody(data: bytes) -> None:
    """Nobody listens yet: a leg is paused until somebody does."""
