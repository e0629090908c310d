"""What each protocol must say for itself: the methods that a relay has beyond what all relays share.

`conversation` calls them, never a side or the reactor. Those that are not abstract may stay as they are.
"""

from abc import ABC, abstractmethod
from typing import Any

from mailweir.session import Leg
from mailweir.verdict import Decision
from mailweir.wire.errors import ProtocolError


class Duties(ABC):
    """Of one session."""

    @abstractmethod
    def on_client(self, event: Any) -> None:
        """The client said something."""

    @abstractmethod
    def on_upstream(self, event: Any) -> None:
        """Upstream said something."""

    @abstractmethod
    def refuse_session(self, decision: Decision | None, reason: str, *, insecure: bool = False) -> None:
        """Say, in place of the greeting, that there will be no session, and close the client's side.

        `decision` is a plugin's, or None: upstream can't be had; `insecure`: it is there, but the TLS that
        it must be spoken to with can't be had.
        """

    @abstractmethod
    def on_client_error(self, error: ProtocolError) -> None:
        """The client broke the rules; answer it."""

    @abstractmethod
    def on_upstream_lost(self, reason: str) -> None:
        """Upstream is gone for good: answer all that is open, and close or abort the client's side."""

    @abstractmethod
    def on_upstream_ready(self) -> None:
        """Upstream is connected; its greeting is expected next."""

    @abstractmethod
    def on_client_gone(self) -> None:
        """The client has left: make sure that nothing half is delivered, then let go of upstream."""

    @abstractmethod
    def patience(self) -> tuple[float, Leg]:
        """How many seconds of silence are borne now, and whose silence it is. 0 seconds: any."""

    @abstractmethod
    def on_silence(self, leg: Leg) -> None:
        """`leg` was silent for longer than `patience`."""

    def outlives(self, reason: str) -> bool:
        """Upstream's connection has ended. True: the session goes on without it (`do_without`)."""
        return False

    def at_stake(self) -> bool:
        """The client gave us a message whose end upstream has not been sent: if it left, it must not go."""
        return False

    def look(self) -> None:
        """Called every half minute or more often (`Patience`): for what takes time."""

    def on_drained(self, leg: Leg) -> None:
        """`leg` takes more octets. For those who send what they have stored."""

    def on_secured(self, leg: Leg) -> None:
        """The handshake that was asked for succeeded."""

    def on_retire(self) -> None:
        """We shut down: end the session now if it stands at a border, else when it reaches one."""
