"""From a connection to the first command that may go up, and STARTTLS on both legs (RFC 3207).

TLS towards upstream is brought about before the client is greeted, so nothing of the client's ever goes up
in clear (where `opportunistic`: only to a server that offers no STARTTLS, not to one that fails at it); the
client then hears upstream's own greeting.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from mailweir.relay import securing
from mailweir.relay.smtp import words
from mailweir.relay.smtp.offer import NOTHING, upstream_keywords
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.wire.errors import ProtocolError
from mailweir.wire.smtp import Command, Reply


class Opening(ABC):
    """Waits for the greeting of an upstream that was just dialled, and negotiates TLS where it must."""

    __slots__ = ("_greeting", "talk")

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self._greeting: Reply

    @abstractmethod
    def welcomed(self, greeting: Reply) -> None:
        """Upstream has greeted, and it stands in TLS if it must; the greeting may be a refusal if not."""

    def begin(self) -> None:
        """Upstream is connected."""
        self.talk.session.state = "greeting"
        self.talk.ledger.expect(Awaited("greeting", self._greeted, hidden=True))

    def secured(self) -> None:
        """Upstream's handshake succeeded."""
        self.welcomed(self._greeting)

    def next(self, octets: bytes, then: Callable[[Reply], None]) -> None:
        """Upstream has answered one step of ours; take the next."""
        talk = self.talk
        talk.ledger.settle()
        assert talk.upstream is not None
        if talk.expect(Awaited("opening", then, hidden=True)):
            talk.upstream.write(octets)

    def _greeted(self, reply: Reply) -> None:
        talk = self.talk
        if talk.rules.upstream_tls not in ("starttls", "opportunistic"):
            self.welcomed(reply)
        elif not reply.positive:  # nothing of the client's may go up in clear, not even behind a 554
            talk.part(reply.raw, "upstream refused the session")
        else:
            self._greeting = reply
            hello = f"{talk.upstream_dialect.hellos[0]} {talk.rules.hostname}\r\n".encode()
            self.next(hello, self._announced)

    def _announced(self, reply: Reply) -> None:
        if reply.positive and "STARTTLS" in upstream_keywords(reply.raw):
            self.next(b"STARTTLS\r\n", self._agreed)
        elif self.talk.rules.upstream_tls == "opportunistic":
            self.welcomed(self._greeting)
        else:
            self.talk.unreachable("upstream offers no STARTTLS", insecure=True)

    def _agreed(self, reply: Reply) -> None:
        if reply.code == 220:
            securing.switch(self.talk, "STARTTLS")
        else:
            self.talk.unreachable(f"upstream refused STARTTLS: {words.shown(reply.raw)}", insecure=True)


class First(Opening):
    """The client waits to be greeted, and hears upstream's own greeting."""

    __slots__ = ()

    def welcomed(self, greeting: Reply) -> None:
        talk = self.talk
        talk.ledger.settle()
        talk.opening = None
        talk.welcomed = greeting.positive
        talk.session.state = "command"
        if talk.rules.smtp.early_talker == "reject" and talk.from_client.pending:
            talk.limits.reached("early_talker")
            early = words.in_greeting(words.EARLY, talk.rules.hostname, talk.session.id)
            talk.part(early, "client spoke too early")
            return
        talk.client.write(greeting.raw)
        talk.greeted()
        talk.at_border()


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
