"""IDLE (RFC 2177, RFC 9051 6.3.13): after upstream's `+` the client's next line is DONE, and no command.

A line that is not DONE passes as it is: servers end IDLE there, with BAD. Whatever it was, nothing behind
it is read until IDLE is completed, because the server may take it for commands. A DONE that came before
the `+` waits for it; if IDLE is refused, it is a command like any other, and not a good one.
"""

from mailweir.relay.imap import literals, words
from mailweir.relay.imap.base import Dialogue, ImapBase
from mailweir.relay.imap.table import Slot
from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap import CommandLine, Line
from mailweir.wire.imap_responses import Continue, Tagged


def idle(relay: ImapBase, event: CommandLine) -> None:
    if event.literal is not None:
        literals.refuse(relay, event, words.tagged(event.tag, "BAD", "IDLE takes no arguments"))
        return
    slot = Slot(event.tag, event.name)
    relay.dialogue = Idle(relay, slot)
    relay.expect(slot)
    relay.server.write(event.octets)
    relay.sent(slot)


class Idle(Dialogue):
    """From the command to its completion."""

    def __init__(self, relay: ImapBase, slot: Slot) -> None:
        super().__init__(slot)
        slot.alone = True
        slot.completed = self._completed
        self._relay = relay

    def go_on(self, event: Continue) -> bool:
        if self.patient:
            return False
        relay = self._relay
        self.patient = True
        relay.from_client.dialogue = True
        relay.client.write(event.raw)
        relay.release("alone")
        return True

    def line(self, event: Line) -> None:
        if event.fault:
            raise ProtocolError(event.fault, fatal=True)
        relay = self._relay
        relay.from_client.dialogue = False
        relay.hold("alone")
        relay.server.write(event.octets)

    def _completed(self, event: Tagged) -> None:
        self._relay.dialogue = None
        self._relay.from_client.dialogue = False
