"""The beginning: upstream's greeting, and TLS on either side (RFC 2595 4).

The greeting passes octet for octet, since the stamp in it is half of APOP's secret (RFC 1939 7). Where
upstream must be spoken to by TLS, or may be, it waits until that stands: nothing of the client's goes up before.
"""

from mailweir.relay import securing
from mailweir.relay.pop3 import words
from mailweir.relay.pop3.exchange import Collected
from mailweir.relay.pop3.talk import Exchange, Talk
from mailweir.wire.errors import ProtocolError
from mailweir.wire.pop3 import Command, Reply


def greet(talk: Talk, greeting: bytes) -> None:
    """Both legs stand."""
    talk.client.write(greeting)
    talk.session.state = "authorization"
    talk.greeted()


def stls(talk: Talk, command: Command) -> None:
    """The client asks for TLS; upstream never hears of it."""

    def switch() -> None:
        if talk.from_client.waiting:
            error = ProtocolError("octets in clear behind STLS", fatal=True)
            talk.broke_rules("client", error)
            talk.cut(error.text)
            return
        talk.client.write(words.BEGIN_TLS)
        talk.client.start_tls()

    if command.arguments.strip():
        talk.answer("STLS", words.SYNTAX)
    elif not talk.starttls:
        talk.answer("STLS", words.NO_STLS)
    else:
        talk.alone(switch)


class Greeting(Exchange):
    """Upstream's first line."""

    __slots__ = ()

    def replied(self, reply: Reply) -> None:
        talk = self.talk
        if not reply.ok:
            talk.client.write(reply.line)
            talk.end("refused by upstream")
            return
        talk.settle()
        if talk.rules.upstream_tls == "starttls":
            talk.send(UpstreamStls(talk, reply.line), b"STLS\r\n")
        elif talk.rules.upstream_tls == "opportunistic":
            talk.send(UpstreamCapa(talk, reply.line), b"CAPA\r\n")
        else:
            greet(talk, reply.line)


class UpstreamCapa(Collected):
    """Our CAPA: TLS if it offers STLS; only where it does not we go on in clear."""

    __slots__ = ("greeting",)

    def __init__(self, talk: Talk, greeting: bytes) -> None:
        super().__init__(talk, "CAPA")
        self.hidden = True
        self.greeting = greeting

    def replied(self, reply: Reply) -> None:
        if reply.ok:
            super().replied(reply)
        else:
            self.collected([])

    def collected(self, lines: list[bytes]) -> None:
        self.talk.settle()
        if any(line.split()[:1] == [b"STLS"] for line in map(bytes.upper, lines)):
            self.talk.send(UpstreamStls(self.talk, self.greeting), b"STLS\r\n")
        else:
            greet(self.talk, self.greeting)


class UpstreamStls(Exchange):
    """Our STLS. Once the handshake has succeeded, `greeting` is for the client."""

    __slots__ = ("greeting",)

    def __init__(self, talk: Talk, greeting: bytes) -> None:
        super().__init__(talk, "STLS")
        self.hidden = True
        self.greeting = greeting

    def replied(self, reply: Reply) -> None:
        if reply.ok:
            securing.switch(self.talk, "STLS")
        else:
            self.talk.unreachable(f"upstream refused STLS: {words.reply(reply.line)}", insecure=True)

    def secured(self) -> None:
        """The handshake has succeeded."""
        self.talk.settle()
        greet(self.talk, self.greeting)
