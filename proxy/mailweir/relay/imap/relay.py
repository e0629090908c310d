"""The IMAP relay: who gets which event, and how a session ends."""

from collections.abc import Callable
from typing import Any

from mailweir.relay.imap import append, asking, commands, identity, idle, literals, login, starttls, words
from mailweir.relay.imap.base import ImapBase
from mailweir.relay.imap.opening import Greeting
from mailweir.relay.imap.table import LIMIT, Slot
from mailweir.session import Leg
from mailweir.verdict import Decision
from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap import CommandLine, Line
from mailweir.wire.imap_responses import Continue, Tagged, Untagged

AUTOLOGOUT = 1800.0
"""Seconds of silence that a client is granted at least in IDLE, and usually elsewhere (RFC 9051 5.4)."""


def alone(relay: ImapBase, event: CommandLine) -> None:
    """A command after which everything may be different."""
    slot = Slot(event.tag, event.name)
    slot.alone = True
    literals.forward(relay, event, slot)


def enable(relay: ImapBase, event: CommandLine) -> None:
    """ENABLE (RFC 5161): what is not offered can't be enabled."""
    names = event.arguments.split()
    kept = [name for name in names if relay.offers.passes(name.decode("ascii", "replace"))]
    if event.literal is not None or len(kept) == len(names):
        literals.forward(relay, event, Slot(event.tag, event.name))
    elif kept:
        literals.forward(relay, event.replaced(b" ".join(kept)), Slot(event.tag, event.name))
    else:
        relay.answer(b"* ENABLED\r\n" + words.tagged(event.tag, "OK", "ENABLE completed"))


HANDLERS: dict[str, Callable[[ImapBase, CommandLine], None]] = {
    "LOGIN": login.login,
    "AUTHENTICATE": login.authenticate,
    "STARTTLS": starttls.starttls,
    "CAPABILITY": alone,
    "LOGOUT": alone,
    "ENABLE": enable,
    "ID": identity.identify,
    "IDLE": idle.idle,
    "APPEND": append.append,
    "REPLACE": append.append,
    "UID REPLACE": append.append,
}
"""Commands that are not simply passed."""


class ImapRelay(ImapBase):
    """One IMAP session."""

    _heard_bye = False

    # What the client says.

    def on_client(self, event: Any) -> None:
        if self.unit is not None:
            self.unit.more(event)
        elif type(event) is Line:
            assert self.dialogue is not None
            self.dialogue.line(event)
        else:
            self._command(event)
        if self.retiring:
            self.on_retire()

    def _command(self, event: CommandLine) -> None:
        name = event.name
        known = name in commands.KNOWN
        self.count(name if known else "other")
        refused = self._refused(event, known)
        if refused:
            literals.refuse(self, event, words.tagged(event.tag, "BAD", refused))
        elif name in ("LOGIN", "AUTHENTICATE") or not self.chain.listens("command"):
            self._run(event)
        else:
            asking.ask(self, event, self._run)

    def _refused(self, event: CommandLine, known: bool) -> str:
        """Why the command goes nowhere; empty if it may."""
        if event.fault:
            return event.fault
        if not event.tag:
            return "invalid tag"
        if not event.name:
            return "invalid command"
        if not known:
            return "unknown command" if self.rules.refuse_unknown else ""
        needed = commands.NEEDS.get(event.name)
        return f"{event.name} is not available" if needed and not self.offers.passes(needed) else ""

    def _run(self, event: CommandLine) -> None:
        handler = HANDLERS.get(event.name)
        if handler is not None:
            handler(self, event)
        else:
            literals.forward(self, event, Slot(event.tag, event.name))

    # What upstream says.

    def on_upstream(self, event: Any) -> None:
        if self.opening is not None:
            self.opening.heard(event)
        elif type(event) is bytes:
            self.client.write(event)
        elif type(event) is Tagged:
            self._completed(event)
        elif type(event) is Untagged:
            self._untagged(event)
        else:
            self._go_on(event)
        if self.from_upstream.border and not self.spliced:
            self.say_held()

    def _completed(self, event: Tagged) -> None:
        slot = self.table.find(event.tag)
        if slot is None:
            raise ProtocolError("completion of no command", fatal=True)
        if slot.completed is not None:
            slot.completed(event)
        raw = event.raw
        if b"[" in raw:
            self.learn(raw)
            raw = self.offers.rewrite(raw)
        self.client.write(slot.instead or raw)
        self.table.settle(slot)
        if slot.name == "LOGOUT" and event.status == "OK":
            self.hang_up("client quit")
            return
        if self.unit is not None and self.unit.slot is slot:
            self.unit.completed(event)
        if slot.name in ("LOGIN", "AUTHENTICATE") and not self.retiring and self.leave_alone():
            return
        if slot.alone:
            self.release("alone")
        if len(self.table) < LIMIT:
            self.release("commands")
        if self.retiring:
            self.on_retire()

    def _untagged(self, event: Untagged) -> None:
        newest = self.table.newest
        if event.name == "BYE":
            self._heard_bye = True
            asked = newest is not None and newest.name == "LOGOUT"
            self.close_reason("client quit" if asked else "upstream said goodbye")
        if event.name == "CAPABILITY" and newest is not None and newest.name in ("LOGIN", "AUTHENTICATE"):
            self.offers.authenticated = True  # a list amid a login is the one that holds behind it
        if event.name == "ENABLED":
            enabled = event.raw.upper().split()
            self.utf8 = self.utf8 or b"UTF8=ACCEPT" in enabled or b"IMAP4REV2" in enabled
        self.learn(event.raw)
        self.client.write(self.offers.rewrite(event.raw))

    def _go_on(self, event: Continue) -> None:
        waiting = self.unit or self.dialogue
        if waiting is not None and waiting.go_on(event):
            return
        newest = self.table.newest
        strange = newest is not None and newest.name not in commands.KNOWN
        # not before the login, whose rules the client would be rid of
        free = not self.rules.refuse_unknown and self.offers.authenticated
        if strange and free and self.upstream_offers("LITERAL+"):
            self.client.write(event.raw)
            self.splice("unknown command")
        else:
            raise ProtocolError("`+` for no command", fatal=True)

    # How it begins and ends.

    def on_upstream_ready(self) -> None:
        self.opening = Greeting(self)

    def on_secured(self, leg: Leg) -> None:
        if leg == "client":
            self.release("TLS")
        elif self.opening is not None:
            self.opening.secured()

    def on_drained(self, leg: Leg) -> None:
        if leg == "upstream" and self.unit is not None and not self.over:
            self.unit.drained()

    def refuse_session(self, decision: Decision | None, reason: str, *, insecure: bool = False) -> None:
        self.client.write(words.farewell(decision, self.session.id, insecure=insecure))
        self.hang_up(f"refused by {decision.plugin}" if decision else reason)

    def on_client_error(self, error: ProtocolError) -> None:
        if error.fatal:
            self.farewell(words.untagged("BYE", error.text), error.text)
        else:
            self.answer(words.untagged("BAD", error.text))

    def on_upstream_lost(self, reason: str) -> None:
        self.let_go()
        if self.over:
            return
        if not self._greeted:
            self.unreachable(reason or "upstream closed")
        elif self._heard_bye:
            self.hang_up(reason)
        else:
            self.farewell(words.farewell(None, self.session.id), reason)

    def on_client_gone(self) -> None:
        self.let_go()
        if self.upstream is None:
            return
        if self.unit is not None and self.unit.sending:
            self.upstream.abort()
        else:
            self.upstream.close()

    def at_stake(self) -> bool:
        return self.unit is not None

    def patience(self) -> tuple[float, Leg]:
        rules = self.rules
        if self.spliced or (self.dialogue is not None and self.dialogue.patient):
            return max(rules.client_idle, AUTOLOGOUT), "client"
        clients_turn = (self.unit is not None or self.dialogue is not None) and not self.held()
        if self.opening is not None or (len(self.table) and not clients_turn):
            return rules.upstream_reply, "upstream"
        if not self.offers.authenticated:
            return rules.before_login, "client"
        return rules.client_idle or AUTOLOGOUT, "client"

    def on_silence(self, leg: Leg) -> None:
        if self.over:
            self.cut("closing takes too long")
        elif leg == "upstream":
            self.cut_upstream("upstream silent")
        elif self.spliced:
            self.hang_up("client idle")
        else:
            self.farewell(words.untagged("BYE", "idle for too long"), "client idle")

    def on_retire(self) -> None:
        """End where no command is under way; IDLE is none."""
        idling = self.dialogue is not None and self.dialogue.patient
        border = self.from_upstream.border and self.unit is None and len(self.table) == idling
        if border and self.opening is None and self.upstream is not None and not self.spliced:
            self.farewell(words.untagged("BYE", "[UNAVAILABLE] server is shutting down"), "shutting down")
