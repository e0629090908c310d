"""The two ends of a conversation as a relay sees them, and a relay as `net` sees it."""

from collections.abc import Callable
from typing import Protocol

from mailweir.session import Session, Tls


class Side(Protocol):
    """One connection: octets out, and a say in whether octets come in.

    Reading is paused by a set of reasons and goes on when the set is empty. `net` itself pauses a side
    while the other one is `full` (wrote more than its peer takes), so relays never need to.
    """

    @property
    def full(self) -> bool:
        """More was written than the peer has taken: who has bulk data should wait for `drained`."""

    def write(self, data: bytes) -> None: ...

    def pause(self, why: str) -> None: ...

    def resume(self, why: str) -> None: ...

    def start_tls(self) -> None:
        """What was written so far leaves in clear; every later octet, in and out, is TLS."""

    def close(self) -> None:
        """End the connection once everything written has left."""

    def abort(self) -> None:
        """End the connection now; what was written may be lost, and the peer can tell."""


class Relay(Protocol):
    """What `net` calls. No call is made from within a call to a `Side`, except where it says so.

    Order: `arrived`, then `upstream_ready` or `upstream_failed` (which may come from within the call to
    `dial`), then the rest in any order, and last `client_gone` and `upstream_gone`, each at most once. A
    relay that was told `upstream_gone` may dial again, and is answered as the first time.
    """

    session: Session

    def arrived(self) -> None:
        """A client is there (and its TLS stands, where TLS is implicit)."""

    def upstream_ready(self, side: Side, tls: Tls | None) -> None:
        """The connection asked for by `dial` stands; `tls` if it is implicit."""

    def upstream_failed(self, reason: str, *, insecure: bool = False) -> None:
        """It could not be had; `reason` is for the log."""

    def client_octets(self, data: bytes) -> None: ...

    def upstream_octets(self, data: bytes) -> None: ...

    def client_drained(self) -> None: ...

    def upstream_drained(self) -> None: ...

    def client_secured(self, tls: Tls) -> None:
        """The handshake that `start_tls` began has succeeded."""

    def upstream_secured(self, tls: Tls) -> None: ...

    def client_gone(self, reason: str) -> None:
        """The client's connection has ended; `reason` is empty if it was closed in good order."""

    def upstream_gone(self, reason: str) -> None: ...

    def owes_answer(self) -> bool:
        """The client said something that was not answered yet: one that closed its half waits for that."""

    def retire(self) -> None:
        """We are shutting down: end at the next border, after the message under way."""


Dial = Callable[[Relay, str], None]
"""Reach the upstream of that name for this relay; answered by `upstream_ready` or `upstream_failed`."""
