"""LOGIN and AUTHENTICATE (RFC 9051 6.2.2, 6.2.3; SASL-IR: RFC 4959).

Where a plugin wants to see logins, upstream gets the secret only after the plugin agreed; of the mechanism
LOGIN it hears the user's name before, because it asks for one after the other. Where the client's connection
may not carry credentials, none go up. Nothing of these lines is logged.
"""

from mailweir import metrics
from mailweir.relay.imap import literals, words
from mailweir.relay.imap.base import Dialogue, ImapBase
from mailweir.relay.imap.literals import Collect, Forward, Replay, Step
from mailweir.relay.imap.table import Slot
from mailweir.relay.sasl import READABLE, Responses, text
from mailweir.session import Credentials
from mailweir.verdict import Decision
from mailweir.wire.imap import CommandLine, Line, Octets
from mailweir.wire.imap_responses import Continue, Tagged
from mailweir.wire.imap_tokens import strings

PRIVACY = "[PRIVACYREQUIRED] not on a connection in clear, use TLS"


def login(relay: ImapBase, event: CommandLine) -> None:
    """`tag LOGIN user password`."""
    if not relay.offers.plaintext:
        literals.refuse(relay, event, words.tagged(event.tag, "NO", PRIVACY))
    elif relay.chain.listens("login"):
        Collect(relay, event.tag, lambda parts: _ask(relay, event, parts)).begin(event)
    else:
        slot = Slot(event.tag, event.name)
        parts: list[Line | bytes] = [event]
        slot.completed = lambda completion: _completed(relay, completion, _credentials(event, parts))
        slot.alone = True
        relay.expect(slot)
        Forward(relay, slot, lambda more: _remember(parts, more)).begin(event)


def authenticate(relay: ImapBase, event: CommandLine) -> None:
    """`tag AUTHENTICATE mechanism [initial-response]`."""
    mechanism, blank, initial = event.arguments.partition(b" ")
    name = mechanism.decode("ascii", "replace").upper()
    offers = relay.offers
    if event.literal is not None or not name:
        literals.refuse(relay, event, words.tagged(event.tag, "BAD", "syntax error"))
    elif not offers.secure or (name in READABLE and not offers.plaintext):
        literals.refuse(relay, event, words.tagged(event.tag, "NO", PRIVACY))
    elif not offers.mechanism(name):
        literals.refuse(relay, event, words.tagged(event.tag, "NO", "[CANNOT] mechanism not available"))
    else:
        Sasl(relay, Slot(event.tag, event.name), name).begin(event.octets, initial if blank else None)


class Sasl(Dialogue):
    """From AUTHENTICATE to its completion. Each side speaks in turn, and the client is read in its turn."""

    def __init__(self, relay: ImapBase, slot: Slot, mechanism: str) -> None:
        super().__init__(slot)
        slot.completed = self._completed
        self._relay = relay
        self._mechanism = mechanism
        self._responses = Responses(mechanism)
        self._credentials: Credentials | None = None
        self._begun = False
        self._waiting = False

    def begin(self, octets: bytes, initial: bytes | None) -> None:
        """`octets`: the command; `initial`: the response in it, if it holds one."""
        self._relay.hold("alone")
        self.slot.alone = True
        if initial is None:
            self._send(octets)
        else:
            self._respond(initial, octets)

    def go_on(self, event: Continue) -> bool:
        if not self._waiting:
            return False
        relay = self._relay
        self._waiting = False
        relay.client.write(event.raw)
        relay.from_client.dialogue = True
        relay.release("alone")
        return True

    def line(self, event: Line) -> None:
        self._relay.hold("alone")
        if event.fault:
            self._stop(words.tagged(self.slot.tag, "BAD", event.fault))
        elif event.text == b"*":
            self._send(event.octets)
        else:
            self._respond(event.text, event.octets)

    def _respond(self, response: bytes, octets: bytes) -> None:
        relay = self._relay
        asked = relay.chain.listens("login")
        try:
            credentials = self._responses.take(response)
        except ValueError as error:
            if asked:
                self._stop(words.tagged(self.slot.tag, "BAD", str(error)))
                return
            credentials = None
        if credentials is None or not asked:
            self._credentials = credentials or self._credentials
            self._send(octets)
            return

        def judged(decision: Decision | None) -> None:
            if decision is None or decision.passes:
                self._credentials = credentials
                self._send(octets)
            elif words.closes(decision):
                relay.farewell(words.farewell(decision, relay.session.id), "closed by a plugin")
            else:
                self._stop(words.verdict(self.slot.tag, decision, relay.session.id, "AUTHENTICATIONFAILED"))

        relay.ask(judged, "login", session=relay.session, credentials=credentials)

    def _send(self, octets: bytes) -> None:
        relay = self._relay
        if not self._begun:
            self._begun = True
            relay.dialogue = self
            relay.expect(self.slot)
        self._waiting = True
        relay.server.write(octets)

    def _stop(self, completion: bytes) -> None:
        """The client hears `completion`; upstream, where it was asked already, that it is off."""
        relay = self._relay
        if self._begun:
            self.slot.instead = completion
            self._send(b"*\r\n")
        else:
            relay.answer(completion)
            relay.release("alone")

    def _completed(self, event: Tagged) -> None:
        relay = self._relay
        relay.dialogue = None
        relay.from_client.dialogue = False
        if event.status != "OK" or self.slot.instead is None:
            _completed(relay, event, self._credentials, self._mechanism)
        else:
            relay.cut("upstream accepted a login that was called off")


def _ask(relay: ImapBase, event: CommandLine, parts: list[Line | bytes]) -> None:
    """LOGIN is here as a whole."""
    credentials = _credentials(event, parts)
    if credentials is None:
        relay.answer(words.tagged(event.tag, "BAD", "syntax error in LOGIN"))
        return

    def judged(decision: Decision | None) -> None:
        if decision is not None and not decision.passes:
            if words.closes(decision):
                relay.farewell(words.farewell(decision, relay.session.id), "closed by a plugin")
            else:
                relay.answer(words.verdict(event.tag, decision, relay.session.id, "AUTHENTICATIONFAILED"))
            return
        slot = Slot(event.tag, event.name)
        slot.completed = lambda completion: _completed(relay, completion, credentials)
        slot.alone = True
        lines = [part for part in parts if isinstance(part, Line)]
        values = [part for part in parts if isinstance(part, bytes)]
        steps = [Step(line.octets, [octets]) for line, octets in zip(lines, values, strict=False)]
        Replay(relay, slot, steps, lines[-1].octets).begin()

    relay.ask(judged, "login", session=relay.session, credentials=credentials)


def _credentials(event: CommandLine, parts: list[Line | bytes]) -> Credentials | None:
    """What LOGIN's arguments say; None if they are not two strings."""
    found: list[bytes] = []
    for number, part in enumerate(parts):
        if isinstance(part, bytes):
            found.append(part)
            continue
        octets = event.arguments if part is event else part.before
        if number and octets[:1] not in (b" ", b""):
            return None
        values = strings(octets[1 if number else 0 :].removesuffix(b" " if part.literal else b""))
        if values is None:
            return None
        found += values
    if len(found) != 2:
        return None
    return Credentials("LOGIN", text(found[0]), text(found[1]))


def _remember(parts: list[Line | bytes], event: Line | Octets) -> None:
    """Keep a copy of LOGIN's literals, which `before login` keeps small, for the name in them."""
    if isinstance(event, Line):
        parts.append(event)
    elif isinstance(parts[-1], bytes):
        parts[-1] += event.raw
    else:
        parts.append(event.raw)


def _completed(
    relay: ImapBase, event: Tagged, credentials: Credentials | None, mechanism: str = "LOGIN"
) -> None:
    result = "accepted" if event.status == "OK" else "rejected"
    metrics.LOGINS.cell(relay.session.listener, relay.session.protocol, result).add()
    if event.status == "OK":
        relay.logged_in(credentials.user if credentials else "", mechanism)
    else:
        relay.offers.authenticated = relay.session.state == "authenticated"
