"""LOGIN and AUTHENTICATE (RFC 9051 6.2.2, 6.2.3; SASL-IR: RFC 4959).

Where a plugin wants to see logins, upstream gets the secret only after the plugin agreed; of the mechanism
LOGIN it hears the user's name before, because it asks for one after the other. Where the client's connection
may not carry credentials, none go up. Nothing of these lines is logged.
"""

from mailweir.relay import tally
from mailweir.relay.imap import literals, words
from mailweir.relay.imap.base import Dialogue, ImapBase
from mailweir.relay.imap.literals import Collect, Forward
from mailweir.relay.imap.table import Slot
from mailweir.relay.sasl import READABLE, Responses, text
from mailweir.session import Credentials
from mailweir.verdict import Decision
from mailweir.wire.imap import CommandLine, Line, Octets
from mailweir.wire.imap_responses import Continue, Tagged
from mailweir.wire.imap_tokens import is_atom, strings, tokens

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
        slot.completed = lambda completion: _answered(relay, completion, event, parts)
        slot.alone = True
        relay.expect(slot)
        Forward(relay, slot, lambda more: _remember(parts, more)).begin(event)


def authenticate(relay: ImapBase, event: CommandLine) -> None:
    """`tag AUTHENTICATE mechanism [initial-response]`."""
    mechanism, _, initial = event.arguments.partition(b" ")
    name = mechanism.decode("ascii", "replace").upper()
    offers = relay.offers
    if event.literal is not None or not is_atom(mechanism):  # a quoted name would pass by what follows
        literals.refuse(relay, event, words.tagged(event.tag, "BAD", "syntax error"))
    elif not offers.secure or (name in READABLE and not offers.plaintext):
        literals.refuse(relay, event, words.tagged(event.tag, "NO", PRIVACY))
    elif not offers.mechanism(name):
        literals.refuse(relay, event, words.tagged(event.tag, "NO", "[CANNOT] mechanism not available"))
    else:
        Sasl(relay, Slot(event.tag, event.name), name).begin(event.octets, initial.strip(b" "))


class Sasl(Dialogue):
    """From AUTHENTICATE to its completion. Each side speaks in turn, and the client is read in its turn."""

    def __init__(self, relay: ImapBase, slot: Slot, mechanism: str) -> None:
        super().__init__(slot)
        slot.completed = self._completed
        self._relay = relay
        self._responses = Responses(mechanism)
        self._begun = False
        self._waiting = False

    def begin(self, octets: bytes, initial: bytes) -> None:
        """`octets`: the command; `initial`: the response in it, empty if there is none (an empty one is `=`)."""
        self._relay.hold("alone")
        self.slot.alone = True
        if initial:
            self._respond(initial, octets)
        else:
            self._send(octets)

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
            self._send(octets)
            return

        def judged(decision: Decision | None) -> None:
            if self._begun and relay.dialogue is not self:
                return  # upstream gave up meanwhile: the response would be a command
            if decision is None or decision.passes:
                self._send(octets)
                return
            _refused(relay, credentials, decision)
            if words.closes(decision):
                relay.farewell(words.farewell(decision, relay.session.id), f"closed by {decision.plugin}")
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
        if self.slot.instead is None:
            _completed(relay, event, self._responses.user, self._responses.mechanism)
        elif event.status == "OK":
            relay.cut("upstream accepted a login that was called off")
        else:
            _failed(relay)


def _ask(relay: ImapBase, event: CommandLine, parts: list[Line | bytes]) -> None:
    """LOGIN is here as a whole."""
    credentials = _credentials(event, parts)
    if credentials is None:
        relay.answer(words.tagged(event.tag, "BAD", "syntax error in LOGIN"))
        return

    def judged(decision: Decision | None) -> None:
        if decision is not None and not decision.passes:
            _refused(relay, credentials, decision)
            if words.closes(decision):
                relay.farewell(words.farewell(decision, relay.session.id), f"closed by {decision.plugin}")
            else:
                relay.answer(words.verdict(event.tag, decision, relay.session.id, "AUTHENTICATIONFAILED"))
            return
        slot = Slot(event.tag, event.name)
        slot.completed = lambda completion: _completed(relay, completion, credentials.user)
        slot.alone = True
        literals.resend(relay, slot, parts)

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


def _user(event: CommandLine, parts: list[Line | bytes]) -> str:
    """Whom LOGIN names, however it is spelt: nobody shall log in unseen by a blank too many."""
    found = tokens(event.arguments)
    if found:
        return text(found[0] if isinstance(found[0], bytes) else found[0].encode("latin-1"))
    return text(parts[1]) if len(parts) > 1 and isinstance(parts[1], bytes) else ""


def _answered(relay: ImapBase, completion: Tagged, event: CommandLine, parts: list[Line | bytes]) -> None:
    """LOGIN, passed as it came. Of one that failed only what is surely a name may be logged."""
    if completion.status == "OK":
        _completed(relay, completion, _user(event, parts))
    else:
        credentials = _credentials(event, parts)
        _completed(relay, completion, credentials.user if credentials is not None else "")


def _completed(relay: ImapBase, event: Tagged, user: str, mechanism: str = "LOGIN") -> None:
    accepted = event.status == "OK"
    answer = event.raw[len(event.tag) + 1 :].upper()
    tally.login(relay.session, relay.log, mechanism, user, answer, accepted=accepted)
    if accepted:
        relay.logged_in(user, mechanism)
    else:
        _failed(relay)


def _refused(relay: ImapBase, credentials: Credentials, decision: Decision) -> None:
    """A plugin's answer to a login, which upstream doesn't get."""
    tally.login(relay.session, relay.log, credentials.mechanism, credentials.user, decision)


def _failed(relay: ImapBase) -> None:
    relay.offers.authenticated = relay.session.state == "authenticated"
