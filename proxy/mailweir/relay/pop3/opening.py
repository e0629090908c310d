"""The beginning: upstream's greeting, and TLS on either side (RFC 2595 4).

The greeting passes octet for octet, since the stamp in it is half of APOP's secret (RFC 1939 7). Where
upstream must be spoken to by TLS it waits until that stands: nothing else goes up in clear.
"""

from mailweir.relay.pop3 import words
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
        if talk.rules.upstream_tls == "starttls" and talk.session.upstream_tls is None:
            talk.send(UpstreamStls(talk, reply.line), b"STLS\r\n")
        else:
            greet(talk, reply.line)


class UpstreamStls(Exchange):
    """Our STLS. Once the handshake has succeeded, `greeting` is for the client."""

    __slots__ = ("greeting",)

    def __init__(self, talk: Talk, greeting: bytes) -> None:
        super().__init__(talk, "STLS")
        self.hidden = True
        self.greeting = greeting

    def replied(self, reply: Reply) -> None:
        talk = self.talk
        if not reply.ok:
            talk.unreachable("upstream offers no TLS")
        elif talk.from_upstream.waiting:
            raise ProtocolError("octets in clear behind STLS", fatal=True)
        else:
            assert talk.upstream is not None
            talk.upstream.start_tls()

    def secured(self) -> None:
        """The handshake has succeeded."""
        self.talk.settle()
        greet(self.talk, self.greeting)
