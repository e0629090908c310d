"""How commands with literals go up, or don't (RFC 9051 4.3, RFC 7888).

Upstream always gets synchronising literals: the client's octets go up only after upstream said `+`, so that
no server can take them for commands. Whoever refuses a command, upstream or we, what the client sends of
it anyway is swallowed to its end.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from mailweir.relay.carry import Pump
from mailweir.relay.imap import words
from mailweir.relay.imap.base import ImapBase, Unit
from mailweir.relay.imap.table import Slot
from mailweir.verdict import Decision
from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap import CommandLine, Line, Octets
from mailweir.wire.imap_responses import Continue, Tagged

IN_MEMORY = 64 * 1024
"""Octets of one command with its literals, where it must be here as a whole."""


def forward(relay: ImapBase, event: CommandLine, slot: Slot) -> None:
    """Send a command up as it comes."""
    relay.expect(slot)
    if event.literal is None:
        relay.server.write(event.octets)
        relay.sent(slot)
    else:
        Forward(relay, slot).begin(event)


def refuse(relay: ImapBase, event: Line, octets: bytes) -> None:
    """Complete a command that does not go up, and swallow what is left of it."""
    Swallow(relay, octets).rest_of(event)


def refuse_by(relay: ImapBase, event: CommandLine, decision: Decision, code: str = "CANNOT") -> None:
    """The same for a plugin's decision."""
    if words.closes(decision):
        relay.farewell(words.farewell(decision, relay.session.id), f"closed by {decision.plugin}")
    else:
        refuse(relay, event, words.verdict(event.tag, decision, relay.session.id, code))


class Forward(Unit):
    """Passes a command on, literals in the pieces they come in; `heard` is told what they hold."""

    sending = True
    slot: Slot

    def __init__(
        self, relay: ImapBase, slot: Slot, heard: Callable[[Line | Octets], None] | None = None
    ) -> None:
        self._relay = relay
        self.slot = slot
        self._heard = heard
        self._waiting: Line | None = None

    def begin(self, event: Line) -> None:
        """The first line, or another one."""
        relay = self._relay
        relay.server.write(event.octets)
        if event.literal is None:
            relay.unit = None
            relay.sent(self.slot)
        else:
            relay.unit = self
            self._waiting = event
            relay.hold("+")

    def more(self, event: Line | Octets) -> None:
        if self._heard is not None:
            self._heard(event)
        if isinstance(event, Octets):
            self._relay.server.write(event.raw)
        elif event.fault:
            raise ProtocolError(event.fault, fatal=True)
        else:
            self.begin(event)

    def go_on(self, event: Continue) -> bool:
        relay, waiting = self._relay, self._waiting
        if waiting is None or waiting.literal is None:
            return False
        self._waiting = None
        if waiting.literal.sync:
            relay.client.write(event.raw)
            relay.from_client.literal_follows()
        relay.release("+")
        return True

    def completed(self, event: Tagged) -> None:
        relay, waiting = self._relay, self._waiting
        if waiting is None:
            raise ProtocolError("completion of a command that is still coming", fatal=True)
        Swallow(relay, b"").rest_of(waiting)
        relay.release("+")


def resend(relay: ImapBase, slot: Slot, parts: list[Line | bytes]) -> None:
    """Send a collected command up, its octets as they came."""
    lines = [part for part in parts if isinstance(part, Line)]
    values = [part for part in parts if isinstance(part, bytes)]
    steps = [Step(line.octets, [octets]) for line, octets in zip(lines, values, strict=False)]
    Replay(relay, slot, steps, lines[-1].octets).begin()


class Swallow(Unit):
    """Takes what is left of a command that nobody wants, then says `octets`."""

    def __init__(self, relay: ImapBase, octets: bytes) -> None:
        self._relay = relay
        self._octets = octets

    def rest_of(self, event: Line) -> None:
        """Whatever follows this line of it."""
        relay = self._relay
        if event.literal is not None and not event.literal.sync:
            relay.unit = self
            return
        relay.unit = None
        if event.literal is not None:
            relay.from_client.unit_over()
        if self._octets:
            relay.answer(self._octets)

    def more(self, event: Line | Octets) -> None:
        if isinstance(event, Line):
            self.rest_of(event)


class Collect(Unit):
    """Takes a command into memory, then calls `then` with its lines and literals."""

    def __init__(self, relay: ImapBase, tag: bytes, then: Callable[[list[Line | bytes]], None]) -> None:
        self._relay = relay
        self._tag = tag
        self._then = then
        self._parts: list[Line | bytes] = []
        self._octets: list[bytes] = []
        self._size = 0

    def begin(self, event: Line) -> None:
        """The first line, or another one."""
        relay, literal = self._relay, event.literal
        relay.unit = self
        self._size += len(event.raw) + (literal.size if literal else 0)
        if event.fault or self._size > IN_MEMORY:
            refuse(relay, event, words.tagged(self._tag, "BAD", event.fault or "command too long"))
            return
        self._parts.append(event)
        if literal is None:
            relay.unit = None
            self._then(self._parts)
        elif literal.sync:
            relay.say(words.go_on())
            relay.from_client.literal_follows()

    def more(self, event: Line | Octets) -> None:
        if isinstance(event, Line):
            self.begin(event)
            return
        self._octets.append(event.raw)
        if event.last:
            self._parts.append(b"".join(self._octets))
            self._octets = []


@dataclass(frozen=True, slots=True)
class Step:
    """A line that announces a literal, and the literal's octets."""

    line: bytes
    octets: Iterable[bytes]


class Replay(Unit):
    """Sends a command up that is here already; `over` is called when nothing more of it will be sent.

    Nothing is read of the client meanwhile.
    """

    sending = True
    slot: Slot

    def __init__(
        self,
        relay: ImapBase,
        slot: Slot,
        steps: list[Step],
        last: bytes,
        over: Callable[[], None] | None = None,
    ) -> None:
        self._relay = relay
        self.slot = slot
        self._done = over
        self._steps: Iterator[Step] = iter(steps)
        self._last = last
        self._waiting: Step | None = None
        self._pump: Pump | None = None

    def begin(self) -> None:
        relay = self._relay
        relay.unit = self
        relay.hold("sending")
        relay.expect(self.slot)
        self._next()

    def more(self, event: Line | Octets) -> None:
        raise AssertionError("the client is not read")

    def go_on(self, event: Continue) -> bool:
        step, self._waiting = self._waiting, None
        if step is None:
            return False
        relay = self._relay
        self._pump = Pump(relay.server, iter(step.octets), self._next, partial(relay.take_turns, "upstream"))
        self._pump.run()
        return True

    def drained(self) -> None:
        if self._pump is not None:
            self._pump.run()

    def completed(self, event: Tagged) -> None:
        if self._waiting is None:
            raise ProtocolError("completion of a command that is still coming", fatal=True)
        self._over()

    def _next(self) -> None:
        self._pump = None
        self._waiting = next(self._steps, None)
        if self._waiting is not None:
            self._relay.server.write(self._waiting.line)
        else:
            self._relay.server.write(self._last)
            self._relay.sent(self.slot)
            self._over()

    def _over(self) -> None:
        self._relay.unit = None
        if self._done is not None:
            self._done()
        self._relay.release("sending")
