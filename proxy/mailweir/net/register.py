"""Who is connected now, and whether one more may come."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from mailweir.relay.side import Relay
from mailweir.session import Session


class Entry(Protocol):
    """A client's connection. `relay` is None until the client has arrived (implicit TLS comes first).

    `welcome` is what its listener had for new clients when it came.
    """

    session: Session

    @property
    def welcome(self) -> object: ...

    @property
    def relay(self) -> Relay | None: ...

    def abort(self) -> None: ...

    def retire(self) -> None: ...


class Register:
    """The live sessions of a process. A client is its host; those of unix sockets are not told apart."""

    def __init__(self, sessions: int = 10000, sessions_per_client: int = 100) -> None:
        self.sessions = sessions
        self.sessions_per_client = sessions_per_client
        self._entries: dict[Entry, None] = {}
        self._by_host: Counter[str] = Counter()
        self._emptied: asyncio.Future[None] | None = None

    def refuses(self, host: str) -> str:
        """The limit that one more client from `host` would pass; empty if it may come."""
        if len(self._entries) >= self.sessions:
            return "sessions"
        if host and self._by_host[host] >= self.sessions_per_client:
            return "sessions_per_client"
        return ""

    def enter(self, entry: Entry) -> None:
        self._entries[entry] = None
        self._by_host[entry.session.client.host] += 1

    def leave(self, entry: Entry) -> None:
        del self._entries[entry]
        host = entry.session.client.host
        self._by_host[host] -= 1
        if not self._by_host[host]:
            del self._by_host[host]
        if not self._entries and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def emptied(self) -> "asyncio.Future[None]":
        """Done once nobody is connected any more."""
        self._emptied = asyncio.get_running_loop().create_future()
        if not self._entries:
            self._emptied.set_result(None)
        return self._emptied

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """All entries of this moment, oldest first; they may leave meanwhile."""
        return iter(list(self._entries))
