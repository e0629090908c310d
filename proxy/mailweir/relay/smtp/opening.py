"""From the connection to the client's first command, and STARTTLS on both legs (RFC 3207).

TLS towards upstream is brought about before the client is greeted, so nothing of the client's ever goes up
in clear; the client then hears upstream's own greeting.
"""

from collections.abc import Callable

from mailweir.relay.smtp import words
from mailweir.relay.smtp.offer import NOTHING, upstream_keywords
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.wire.errors import ProtocolError
from mailweir.wire.smtp import Command, Reply


class Opening:
    """Waits for upstream's greeting, negotiates TLS where it must, and greets the client."""

    __slots__ = ("_greeting", "_talk")

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._greeting = b""

    def begin(self) -> None:
        """Upstream is connected."""
        self._talk.session.state = "greeting"
        self._talk.ledger.expect(Awaited("greeting", self._greeted))

    def _greeted(self, reply: Reply) -> None:
        talk = self._talk
        if talk.rules.upstream_tls != "starttls":
            talk.settle(reply.raw)
            self._done()
            return
        if not reply.positive:  # nothing of the client's may go up in clear, not even behind a 554
            talk.part(reply.raw, "upstream refused the session")
            return
        self._greeting = reply.raw
        hello = f"{talk.upstream_dialect.hellos[0]} {talk.rules.hostname}\r\n".encode()
        self._next(hello, self._announced)

    def _announced(self, reply: Reply) -> None:
        if not reply.positive or "STARTTLS" not in upstream_keywords(reply.raw):
            self._refuse("upstream offers no TLS")
        else:
            self._next(b"STARTTLS\r\n", self._agreed)

    def _agreed(self, reply: Reply) -> None:
        talk = self._talk
        assert talk.upstream is not None
        if reply.code != 220:
            self._refuse("upstream refused STARTTLS")
        elif talk.from_upstream.pending:
            talk.broke_rules("upstream", ProtocolError("octets in clear behind STARTTLS"))
            talk.unfinished = True  # nothing said in clear may be taken for an answer: abort
            self._refuse("upstream sent octets in clear behind STARTTLS")
        else:
            talk.ledger.settle()
            talk.upstream.start_tls()

    def secured(self) -> None:
        """Upstream's handshake succeeded."""
        self._talk.client.write(self._greeting)
        self._done()

    def _next(self, octets: bytes, then: Callable[[Reply], None]) -> None:
        """Upstream has answered one step of ours; take the next."""
        talk = self._talk
        talk.ledger.settle()
        assert talk.upstream is not None
        if talk.expect(Awaited("opening", then, hidden=True)):
            talk.upstream.write(octets)

    def _done(self) -> None:
        talk = self._talk
        talk.session.state = "command"
        talk.greeted()
        talk.at_border()

    def _refuse(self, reason: str) -> None:
        talk = self._talk
        talk.warn_of_upstream(reason)
        text = words.NO_TLS_UPSTREAM._replace(status="")
        talk.part(talk.words(text._replace(text=f"{talk.rules.hostname} {text.text}")), reason)


def starttls(talk: Talk, command: Command) -> None:
    """STARTTLS of the client: ours to answer, whatever upstream offers."""
    if command.arguments:
        talk.refuse(words.BAD_ARGUMENTS)
    elif not talk.rules.starttls or talk.session.client_tls is not None or talk.session.mechanism:
        talk.refuse(words.DISABLED)
    else:
        talk.when_quiet(lambda: _switch(talk))


def _switch(talk: Talk) -> None:
    """Nothing that was sent in clear behind STARTTLS may be taken for something sent in TLS."""
    if talk.from_client.pending:
        talk.broke_rules("client", ProtocolError("octets in clear behind STARTTLS"))
        talk.part(b"", "octets in clear behind STARTTLS")
        return
    talk.hold("tls")
    talk.session.state = "tls"
    talk.answer(talk.words(words.READY))
    talk.client.start_tls()


def client_secured(talk: Talk) -> None:
    """All that was said before is forgotten (RFC 3207 4.2), here and, with the next hello, upstream."""
    talk.owes_reset = talk.owes_reset or talk.mail is not None
    talk.forget_mail()
    talk.offer = NOTHING
    talk.must_greet = True
    talk.session.helo = ""
    talk.session.state = "command"
    talk.release("tls")
