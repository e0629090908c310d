"""Which listener stands on which address, and the admin window; changed all at once or not at all."""

from collections.abc import Callable, Iterator
from functools import partial

from twisted.internet.interfaces import IReactorTime

from mailweir.admin.http import Status, site
from mailweir.app.generation import Generation
from mailweir.net.addresses import WILDCARDS, Place, Tcp, is_own
from mailweir.net.listener import Listener
from mailweir.net.ports import Port, PortUnavailable, open_ports
from mailweir.net.register import Register
from mailweir.session import Address, session_ids


class Unable(Exception):
    """The configuration is sound, but it can't be had here and now. `reasons`: all of them, a line each."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Doors:
    """The open ports of a process, by listener."""

    def __init__(self, register: Register, status: Status, clock: IReactorTime) -> None:
        self.listeners: dict[str, Listener] = {}
        self._register = register
        self._status = status
        self._clock = clock
        self._ids = session_ids()
        self._window: dict[Place, list[Port]] = {}

    async def change(self, generation: Generation) -> None:
        """New clients get `generation`, on its addresses; `Unable`, with nothing changed, if one can't be had.

        An address that stays is open all the time, even if another listener has it now.
        """
        listeners = {name: self._listener(name, generation) for name in generation.welcomes}
        await self._open(generation, listeners)
        wanted = generation.places
        for place, listener in self._held().items():
            if place not in wanted:
                listener.shut(place)
            elif (heir := listeners[wanted[place]]) is not listener:
                heir.take_over(place, listener)
        for name, welcome in generation.welcomes.items():
            listeners[name].welcome = welcome
        self.listeners = listeners
        for place in set(self._window) - {generation.window}:
            self._close_window(place)

    def shut(self) -> None:
        """No new clients; the window stays."""
        for place, listener in self._held().items():
            listener.shut(place)

    def shut_window(self) -> None:
        for place in list(self._window):
            self._close_window(place)

    def is_own(self, target: Address) -> bool:
        """A connection to `target` would reach one of our listeners."""
        return is_own(target, self._addresses())

    def _addresses(self) -> Iterator[Address]:
        for listener in self.listeners.values():
            yield from listener.addresses

    def _listener(self, name: str, generation: Generation) -> Listener:
        return self.listeners.get(name) or Listener(
            name, generation.welcomes[name], self._register, self._ids, self._clock
        )

    def _held(self) -> dict[Place, Listener]:
        return {place: listener for listener in self.listeners.values() for place in listener.places}

    async def _open(self, generation: Generation, listeners: dict[str, Listener]) -> None:
        """Open what is not open yet; if one can't be, shut them all again, and say why of each."""
        held, window = self._held(), generation.window
        reasons: list[str] = []
        undo: list[Callable[[], None]] = []
        for place, name in generation.places.items():
            if place not in held:
                try:
                    await listeners[name].open(place)
                    undo.append(partial(listeners[name].shut, place))
                except PortUnavailable as error:
                    reasons.append(f"listeners.{name}: {place}: {error}{self._overlap(place)}")
        if window is not None and window not in self._window:
            try:
                self._window[window] = await open_ports(window, site(self._status, self._clock))
                undo.append(partial(self._close_window, window))
            except PortUnavailable as error:
                reasons.append(f"admin: {window}: {error}")
        if reasons:
            for shut in undo:
                shut()
            raise Unable(*reasons)

    def _overlap(self, place: Place) -> str:
        """An address can't be opened while one of ours covers it, or is covered by it: bind(2)."""
        for own in self._addresses():
            if isinstance(place, Tcp) and place.port == own.port and {place.host, own.host} & set(WILDCARDS):
                return f"; mailweir itself still has {own}: restart it, or take that one away first"
        return ""

    def _close_window(self, place: Place) -> None:
        for port in self._window.pop(place):
            port.close()
