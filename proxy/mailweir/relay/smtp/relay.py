"""The SMTP and LMTP relay: which verb goes where, and what is said when something fails."""

from collections.abc import Callable

from mailweir.relay.smtp import auth, bdat, burl, data, envelope, opening, other, rcpt, redial, timers, words
from mailweir.relay.smtp.ending import VERB as END
from mailweir.relay.smtp.limits import IDLERS
from mailweir.relay.smtp.talk import Talk
from mailweir.relay.smtp.words import Answer
from mailweir.session import Leg
from mailweir.verdict import Decision
from mailweir.wire.errors import LineTooLong, ProtocolError
from mailweir.wire.smtp import Command, FromClient, Reply

Handler = Callable[[Talk, Command], None]

HANDLERS: dict[str, Handler] = {
    "EHLO": envelope.hello,
    "HELO": envelope.hello,
    "LHLO": envelope.hello,
    "MAIL": envelope.mail,
    "RCPT": rcpt.rcpt,
    "RSET": envelope.rset,
    "DATA": data.data,
    "BDAT": bdat.bdat,
    "BURL": burl.burl,
    "AUTH": auth.auth,
    "STARTTLS": opening.starttls,
    "QUIT": other.quit,
    "NOOP": other.plain,
    "VRFY": other.plain,
    "EXPN": other.plain,
    "HELP": other.plain,
    "ETRN": other.plain,
}

FINAL = HANDLERS.keys() - {"DATA", "AUTH"} | {"greeting", "opening", END}
"""What no 3yz can answer (RFC 5321 4.2.1): after one, replies and commands are out of step."""

BEFORE_TLS = {"NOOP", "EHLO", "HELO", "LHLO", "STARTTLS", "QUIT", "RSET"}
"""What a session that must use TLS may say in clear (RFC 3207 4)."""

AFTER_HELLO = {"MAIL", "RCPT", "DATA", "BDAT", "BURL", "AUTH"}
"""What needs another hello after STARTTLS."""


class SmtpRelay(Talk):
    """One session."""

    def on_client(self, event: FromClient) -> None:
        if not isinstance(event, Command):
            if self.taker is not None:
                self.taker.take(event)
            return
        verb = event.verb
        handler = HANDLERS.get(verb)
        self.counts["other" if handler is None else verb].add()
        limits = self.limits
        limits.lines += 1
        if verb in IDLERS or handler is None:
            if limits.idle():
                self.when_quiet(lambda: self.goodbye(words.TOO_MUCH_IDLING, "too many idle commands"))
                return
        elif self.mail is not None and verb in ("DATA", "BDAT"):
            limits.busy()
        if self.mail is not None and self.mail.amid_data and bdat.amid_data(self, event):
            return
        if self.upstream is None and not redial.lawful(self) and not bdat.answered_here(self, verb):
            self._orphan(verb)
            return
        refusal = self._too_early(verb)
        if refusal is None:
            (handler or other.unknown)(self, event)
        elif verb == "BDAT":
            bdat.swallow(self, refusal)
        elif verb == "AUTH":
            auth.refuse(self, event, refusal)
        else:
            self.refuse(refusal)

    def on_upstream(self, reply: Reply) -> None:
        if self.closing or self.upstream is None:
            return
        slot = self.ledger.head
        if reply.code == 421:
            self._dismissed(reply)
        elif slot is None and self.early is not None and reply.code >= 400:
            self.early(reply.raw)
        elif slot is None:
            self.cut_upstream("a reply that nobody asked for")
        elif 300 <= reply.code < 400 and slot.verb in FINAL:
            self.cut_upstream(f"{reply.code} in answer to {slot.verb}")
        else:
            slot.then(reply)

    def _too_early(self, verb: str) -> Answer | None:
        if self.rules.require_tls and self.session.client_tls is None and verb not in BEFORE_TLS:
            return words.NEEDS_TLS
        if self.must_greet and verb in AFTER_HELLO:
            return words.NEEDS_HELLO
        return None

    def _orphan(self, verb: str) -> None:
        """Upstream's connection had to end, and no other can take its place: nothing more can go up."""
        if verb == "QUIT":
            self.goodbye(words.BYE, "client quit")
        else:
            self.goodbye(words.OUT_OF_SYNC, "upstream was cut off")

    def _dismissed(self, reply: Reply) -> None:
        """421: upstream closes (RFC 5321 3.8), asked or not. What is still open will not be answered."""
        self.hold("closing")
        octets = reply.raw
        slot = self.ledger.head
        if slot is not None and slot.verb == END:
            slot.then(reply)
            octets = b"" if self.ending is None else self.ending.lost()
        self.part(octets, "upstream said goodbye")

    # What the base asks of a protocol.

    def arrived(self) -> None:
        super().arrived()
        if self.rules.smtp.early_talker == "reject":
            self._client.listen()

    def on_upstream_ready(self) -> None:
        if self.closing:
            assert self.upstream is not None
            self.upstream.abort()
            return
        self.opening = self.opening or opening.First(self)
        self.opening.begin()

    def on_secured(self, leg: Leg) -> None:
        if leg == "client":
            opening.client_secured(self)
        elif self.opening is not None:
            self.opening.secured()

    def reach(self, then: Callable[[], None], *, greets: bool = False) -> None:
        redial.reach(self, then, greets=greets)

    def unreachable(self, reason: str, *, insecure: bool = False) -> None:
        if self._greeted:
            redial.failed(self, reason, insecure=insecure)
        else:
            super().unreachable(reason, insecure=insecure)

    def outlives(self, reason: str) -> bool:
        return redial.outlive(self, reason)

    def refuse_session(self, decision: Decision | None, reason: str, *, insecure: bool = False) -> None:
        octets = words.greeting(decision, self.rules.hostname, self.session.id, insecure=insecure)
        self.part(octets, f"refused by {decision.plugin}" if decision else reason)

    def on_client_error(self, error: ProtocolError) -> None:
        if self.closing:
            return
        self.limits.lines += 1
        if isinstance(self.taker, auth.Dialogue):
            self.taker.broken(error)
            return
        refusal = Answer(error.code, error.status, error.text)
        if isinstance(error, LineTooLong):
            self.limits.reached("command_line")
        if error.fatal:
            self.when_quiet(lambda: self.goodbye(refusal, error.text))
        elif self.upstream is None and not redial.lawful(self):
            self._orphan("")
        else:
            self.refuse(refusal)

    def on_upstream_lost(self, reason: str) -> None:
        """One answer for the oldest command; what is behind it sees the connection end."""
        if self.closing:
            return
        if not self._greeted or self.opening is not None:
            self.unreachable(reason or "upstream closed")
            return
        slot = self.ledger.head
        if self.ending is not None:
            octets = self.ending.lost()
        elif slot is not None and slot.verb == "QUIT":
            octets = self.words(words.BYE)
        else:
            octets = self.words(words.LOST)
        self.part(octets, reason or "upstream closed")

    def on_client_gone(self) -> None:
        self.leave("client closed")

    def on_drained(self, leg: Leg) -> None:
        if leg == "client":
            self.release("full")
        else:
            self.limits.hindered()
            if self.pump is not None:
                self.pump.run()

    def at_stake(self) -> bool:
        # who says QUIT behind a text and closes its half, as Exim does at once, still waits for the answers
        return self.session.state in ("text", "sending") and not self.from_client.only("QUIT")

    def patience(self) -> tuple[float, Leg]:
        return timers.borne(self)

    def look(self) -> None:
        if self.closing or not self._greeted:
            return
        timers.remind(self)
        now, limits = self.clock.seconds(), self.limits
        limits.lasts(now)
        if limits.expired:
            self.at_border()
        if limits.line_late(
            now, begun=not self.held() and self._text() is None and self.from_client.pending > 0
        ):
            self.goodbye(words.SLOW_LINE, "command took too long")
        elif limits.text_late(now, self._text()):
            self.goodbye(words.SLOW_TEXT, "message came too slowly")

    def _text(self) -> object:
        """What tells the text that the client could send more of now from others; None if there is none."""
        upstream = self.upstream
        if self.held() or (upstream is not None and upstream.full):
            return None
        if self.mail is not None and (self.mail.chunked or self.unfinished):
            return None if self.ledger else self.mail
        return None if isinstance(self.taker, auth.Dialogue) else self.taker

    def on_silence(self, leg: Leg) -> None:
        if self.closing:
            self.cut("gone silent")
        elif leg == "upstream":
            self.cut_upstream("upstream silent")
        else:
            self.goodbye(words.IDLE, "client idle")

    def on_retire(self) -> None:
        if self._greeted:
            self.at_border()
        elif not self.closing:
            self.refuse_session(None, "shutting down")
