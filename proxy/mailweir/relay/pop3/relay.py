"""POP3: the verbs put together, and what is done when a side fails."""

from collections.abc import Callable
from functools import cache

from mailweir import metrics
from mailweir.metrics import Cell
from mailweir.relay.pop3 import words
from mailweir.relay.pop3.capa import Capabilities
from mailweir.relay.pop3.commands import NEVER, UNKNOWN, VERBS, Framing
from mailweir.relay.pop3.exchange import Many, Unknown
from mailweir.relay.pop3.login import Dialogue, apop, auth, password, user
from mailweir.relay.pop3.opening import Greeting, UpstreamStls, stls
from mailweir.relay.pop3.retr import retr, top
from mailweir.relay.pop3.talk import Exchange, Talk
from mailweir.relay.pop3.xtnd import xtnd
from mailweir.session import Command as Shown
from mailweir.session import Leg
from mailweir.verdict import Decision
from mailweir.wire.errors import ProtocolError
from mailweir.wire.pop3 import Command, Reply, Response, Text

AUTOLOGOUT = 600.0
"""Seconds of silence that a client is owed at least (RFC 1939 3)."""


class Pop3Relay(Talk):
    """One POP3 session.

    A command comes by `_command`, which answers what the rules forbid; then by `LOGINS`, or by `_ask`,
    where plugins speak, and `_forward`.
    """

    def on_client(self, event: Command | Response | Text) -> None:
        if self.over:
            return
        head = self._close_unknown()
        if isinstance(event, Command):
            self._command(event)
        elif head is not None:
            head.said(event)

    def on_upstream(self, event: Reply | Text | bytes) -> None:
        if self.over:
            return
        head = self.ledger.head
        if head is None:
            self._unasked(event)
        elif not isinstance(event, Reply):
            head.text(event)
        elif event.prompt and not head.prompts:
            raise ProtocolError("a prompt that nobody asked for", fatal=True)
        else:
            head.replied(event)

    def on_upstream_ready(self) -> None:
        self.ledger.expect(Greeting(self, "greeting"))

    def on_secured(self, leg: Leg) -> None:
        head = self.ledger.head
        if leg == "client":
            self.user, self.void = "", True
        elif isinstance(head, UpstreamStls):
            head.secured()

    def on_drained(self, leg: Leg) -> None:
        self.touch()
        head = self.ledger.head
        if leg == "client" and head is not None:
            head.drained()

    def on_client_error(self, error: ProtocolError) -> None:
        if self.over:
            return
        head = self._close_unknown()
        if error.fatal:
            self.last_word(words.error(error.text), error.text)
        elif isinstance(head, Dialogue) and head.turn == "client":
            head.cancel(words.error(error.text))
        else:
            self.answer("other", words.error(error.text))

    def on_client_gone(self) -> None:
        """In good order where upstream has heard QUIT and may still be deleting; else there is no hurry."""
        self.session.state = "closing"
        self.drop(self.ledger.abandon())
        if self.upstream is not None:
            self.upstream.close()

    def on_upstream_lost(self, reason: str) -> None:
        if self.over:
            return
        if self.session.state == "connected":
            self.unreachable(reason or "upstream closed")
            return
        exchanges = self.ledger.abandon()
        self.drop(exchanges)
        for exchange in exchanges:
            octets = exchange.lost() if exchange.local is None else exchange.local
            if octets is None:
                self.cut(reason)
                return
            self.client.write(octets)
        self.end(reason)

    def refuse_session(self, decision: Decision | None, reason: str, *, insecure: bool = False) -> None:
        unreachable = words.NO_TLS_UPSTREAM if insecure else words.UNREACHABLE
        self.client.write(words.refusal(decision, self.session.id) if decision else unreachable)
        self.end(f"refused by {decision.plugin}" if decision else reason)

    def patience(self) -> tuple[float, Leg]:
        head = self.ledger.head
        if head is not None and head.turn == "upstream":
            return self.rules.upstream_reply, "upstream"
        if self.session.state == "transaction":
            return self.rules.client_idle or AUTOLOGOUT, "client"
        return self.rules.before_login, "client"

    def on_silence(self, leg: Leg) -> None:
        """Who idles is sent away without a word, and deletes nothing (RFC 1939 3)."""
        if leg == "client":
            self.end("client idle")
        else:
            self.cut_upstream("upstream silent")

    def _command(self, command: Command) -> None:
        verb = command.verb
        known = VERBS.get(verb, UNKNOWN)
        _counter(self.session.listener, verb if verb in VERBS else "other").add()
        if self.retiring and verb != "QUIT":
            self.last_word(words.SHUTDOWN, "shutting down")
        elif verb in NEVER or (known is UNKNOWN and self.rules.refuse_unknown):
            self.answer(verb, words.UNKNOWN)
        elif verb in LOGINS:
            LOGINS[verb](self, command)
        elif self.chain.listens("command"):
            self._ask(command)
        else:
            self._forward(command)

    def _ask(self, command: Command) -> None:
        number = command.arguments.split(b" ", 1)[0]
        shown = Shown(command.verb, command.arguments, numbers=number.decode() if number.isdigit() else "")

        def judged(decision: Decision | None) -> None:
            if decision is not None and not decision.passes:
                self.refuse(command.verb, decision)
            elif shown.arguments == command.arguments:
                self._forward(command)
            else:
                try:
                    self._forward(command.rewritten(shown.arguments))
                except ValueError as error:
                    self.log.error(
                        "a plugin's arguments can't be sent", command=command.verb, error=str(error)
                    )
                    self.answer(command.verb, words.LOCAL)

        self.ask(judged, "command", session=self.session, command=shown)

    def _forward(self, command: Command) -> None:
        verb = command.verb
        if verb in FAMILIES:
            FAMILIES[verb](self, command)
            return
        known = VERBS.get(verb, UNKNOWN)
        kind = REPLIES[known.framing(command.arguments)]
        self.send(kind(self, verb), command.line, barrier=known.barrier)

    def _close_unknown(self) -> Exchange | None:
        """The client speaks, so a reply of which only he knows the end has ended."""
        head = self.ledger.head
        if isinstance(head, Unknown) and head.opened:
            head.close()
        return self.ledger.head

    def _unasked(self, event: Reply | Text | bytes) -> None:
        """Nothing is open: upstream may say why it goes, and nothing else."""
        if not isinstance(event, Reply) or event.ok or event.prompt:
            raise ProtocolError("a reply that nobody asked for", fatal=True)
        self.client.write(event.line)
        self.end("upstream said goodbye")


class Goodbye(Exchange):
    """QUIT: only upstream's `+OK` says that what was deleted is gone (RFC 1939 6)."""

    __slots__ = ()

    def replied(self, reply: Reply) -> None:
        self.talk.ledger.say(reply.line)
        self.talk.end("client quit")


def goodbye(talk: Talk, command: Command) -> None:
    """QUIT."""
    talk.send(Goodbye(talk, "QUIT"), command.line, barrier=True)


def capa(talk: Talk, command: Command) -> None:
    """CAPA."""
    talk.send(Capabilities(talk, "CAPA"), command.line)


LOGINS: dict[str, Callable[[Talk, Command], None]] = {
    "USER": user,
    "PASS": password,
    "APOP": apop,
    "AUTH": auth,
}
"""Verbs that plugins meet at `login`."""

FAMILIES: dict[str, Callable[[Talk, Command], None]] = {
    "STLS": stls,
    "CAPA": capa,
    "RETR": retr,
    "TOP": top,
    "XTND": xtnd,
    "QUIT": goodbye,
}
"""Verbs that want more than a reply of their framing."""

REPLIES: dict[Framing, type[Exchange]] = {
    Framing.SINGLE: Exchange,
    Framing.MULTI: Many,
    Framing.UNKNOWN: Unknown,
}


@cache
def _counter(listener: str, verb: str) -> Cell:
    return metrics.COMMANDS.cell(listener, "pop3", verb)
