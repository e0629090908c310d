"""APPEND and REPLACE (RFC 9051 6.3.12, RFC 3502, RFC 8508, RFC 9755): messages that come from the client.

    tag APPEND mailbox [(flags)] ["date-time"] [UTF8 (] literal [)]
    tag REPLACE message mailbox ... the same

Where nobody looks at messages they pass as any literal does. Otherwise we say `+` ourselves, take the
message in, have it judged, and send the command up only then, with a literal of the size that leaves. Its
size stands before it, so the message must be here as a whole even if only its header is looked at.

A filtered chain takes one message a command: several are stored all or none (RFC 3502), and MULTIAPPEND is
not offered there. What stands around the message must be what is written above, so that nothing
else can bring a message in.
"""

import re
from collections.abc import Callable

from mailweir.relay.carry import Carrier, Way, way
from mailweir.relay.imap import literals, words
from mailweir.relay.imap.base import ImapBase, Unit
from mailweir.relay.imap.literals import Forward, Replay, Step, Swallow
from mailweir.relay.imap.table import Slot
from mailweir.session import Outcome, Transaction
from mailweir.verdict import Decision, Discard
from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap import CommandLine, Line, Octets
from mailweir.wire.imap_responses import Tagged

_STRING = rb'(?:"(?:[^"\\]|\\["\\])*+"|[^ "(){%*\\]++)'
_OPTIONS = rb'(?:\([^()"{}]*+\) )?(?:"[^"\\]{1,40}" )?(?P<utf8>UTF8 \()?'
_BEHIND_MAILBOX = re.compile(rb" " + _OPTIONS, re.IGNORECASE)
_WITH_MAILBOX = re.compile(_STRING + rb" " + _OPTIONS, re.IGNORECASE)
_NUMBERED = re.compile(rb"[0-9*]+ " + _STRING + rb" " + _OPTIONS, re.IGNORECASE)
_NUMBER = re.compile(rb"[0-9*]+ ")
TOO_BIG = "[TOOBIG] message too big"


def append(relay: ImapBase, event: CommandLine) -> None:
    if way(relay.chain) is not Way.PASS:
        Judged(relay, event).more(event)
    elif _too_big(relay, event):
        literals.refuse(relay, event, words.tagged(event.tag, "NO", TOO_BIG))
    else:
        _pass(relay, event)


def _too_big(relay: ImapBase, event: Line) -> bool:
    limit = relay.rules.message_size
    return bool(limit and event.literal is not None and event.literal.size > limit)


def _pass(relay: ImapBase, event: CommandLine) -> None:
    """Nobody looks: count, and tell what became of it."""
    transaction = relay.session.begin("append", relay.clock.seconds())

    def heard(more: Line | Octets) -> None:
        if isinstance(more, Octets):
            transaction.size += len(more.raw)
        elif _too_big(relay, more):
            raise ProtocolError("message too big", fatal=True)

    slot = Slot(event.tag, event.name)
    slot.completed = _finisher(relay, transaction)
    relay.expect(slot)
    if event.literal is None:
        relay.server.write(event.octets)
    else:
        Forward(relay, slot, heard).begin(event)


class Judged(Unit):
    """One message on its way through the chain."""

    def __init__(self, relay: ImapBase, event: CommandLine) -> None:
        self._relay = relay
        self._command = event
        self._mailbox: list[bytes] = []
        self._before: list[Line] = []
        self._closing = b""
        self._last: Line | None = None
        self._carrier: Carrier | None = None
        self._transaction: Transaction | None = None
        self._state: Callable[[Line | Octets], None] = self._head

    def more(self, event: Line | Octets) -> None:
        self._relay.unit = self
        self._state(event)

    def _head(self, event: Line | Octets) -> None:
        """The first line."""
        assert isinstance(event, CommandLine)
        numbered = event.name != "APPEND"
        arguments = event.arguments
        if event.literal is not None and (_NUMBER.fullmatch(arguments) if numbered else not arguments):
            if event.literal.size > literals.IN_MEMORY:
                self._refuse(event, "BAD", "mailbox name too long")
                return
            self._go_on(event, self._in_mailbox)
        else:
            self._options(event, (_NUMBERED if numbered else _WITH_MAILBOX).fullmatch(arguments))

    def _in_mailbox(self, event: Line | Octets) -> None:
        """The name of the mailbox is a literal."""
        if isinstance(event, Octets):
            self._mailbox.append(event.raw)
        else:
            self._options(event, _BEHIND_MAILBOX.fullmatch(event.before))

    def _options(self, event: Line, found: re.Match[bytes] | None) -> None:
        """The line before the message."""
        relay, literal = self._relay, event.literal
        if found is None or literal is None or event.fault:
            self._refuse(event, "BAD", "only one literal with one message can be appended here")
        elif _too_big(relay, event):
            self._refuse(event, "NO", TOO_BIG)
        else:
            self._closing = b")" if found["utf8"] else b""
            transaction = self._transaction = relay.session.begin("append", relay.clock.seconds())
            self._carrier = relay.carrier = Carrier(relay, transaction, Way.WHOLE, self._judged)
            self._go_on(event, self._in_message)

    def _in_message(self, event: Line | Octets) -> None:
        assert self._carrier is not None and self._transaction is not None
        if isinstance(event, Octets):
            self._transaction.size += len(event.raw)
            self._carrier.feed(event.raw)
        elif event.literal is not None:
            self._drop(event, "NO", "[CANNOT] only one message a command can be appended here")
        elif event.text != self._closing:
            self._drop(event, "BAD", "syntax error behind the message")
        else:
            self._last = event
            self._carrier.end()

    def _go_on(self, event: Line, state: Callable[[Line | Octets], None]) -> None:
        """Take the literal behind this line."""
        assert event.literal is not None
        self._before.append(event)
        self._state = state
        if event.literal.sync:
            self._relay.say(words.go_on())
            self._relay.from_client.literal_follows()

    def _judged(self, decision: Decision | None) -> None:
        if decision is None or decision.passes:
            self._send()
            return
        relay, tag = self._relay, self._command.tag
        if words.closes(decision):
            octets = words.farewell(decision, relay.session.id)
        elif isinstance(decision.verdict, Discard):
            octets = words.tagged(tag, "OK", f"{self._command.name} completed")
        else:
            octets = words.verdict(tag, decision, relay.session.id)
        assert self._transaction is not None
        relay.let_go()
        relay.finish(self._transaction, words.outcome(decision), words.shown(octets), decision)
        if words.closes(decision):
            relay.farewell(octets, f"closed by {decision.plugin}")
        elif self._last is not None:
            relay.unit = None
            relay.answer(octets)
        else:
            relay.unit = Swallow(relay, octets)

    def _send(self) -> None:
        """All is here, and may leave."""
        relay, transaction, last = self._relay, self._transaction, self._last
        assert last is not None and transaction is not None and transaction.message is not None
        message, line = transaction.message, self._before[-1]
        assert line.literal is not None
        steps = [Step(before.octets, self._mailbox) for before in self._before[:-1]]
        head = line.before + line.literal.announce(message.leaving) + b"\r\n"
        steps.append(Step(head, message.pieces()))
        slot = Slot(self._command.tag, self._command.name)
        slot.completed = _finisher(relay, transaction)
        Replay(relay, slot, steps, last.octets, relay.let_go).begin()

    def _refuse(self, event: Line, status: str, text: str) -> None:
        literals.refuse(self._relay, event, words.tagged(self._command.tag, status, text))

    def _drop(self, event: Line, status: str, text: str) -> None:
        """A message is here already, and will not leave."""
        assert self._transaction is not None
        self._relay.let_go()
        self._relay.finish(self._transaction, "rejected", text)
        self._refuse(event, status, text)


def _finisher(relay: ImapBase, transaction: Transaction) -> Callable[[Tagged], None]:
    def completed(event: Tagged) -> None:
        later = event.text.upper().startswith((b"[UNAVAILABLE]", b"[INUSE]", b"[SERVERBUG]"))
        outcome: Outcome = "accepted" if event.status == "OK" else "deferred" if later else "rejected"
        relay.finish(transaction, outcome, words.shown(event.raw))

    return completed
