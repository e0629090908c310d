"""XTND XMIT (RFC 1082): the client sends a message over POP3.

The only place where a client has a text to send. No plugin is asked about it, so listeners that refuse
what they don't know refuse it.
"""

from mailweir.relay.pop3.exchange import Unknown
from mailweir.relay.pop3.talk import Exchange, Talk
from mailweir.wire.errors import ProtocolError
from mailweir.wire.pop3 import Command, Reply, Response, Text


def xtnd(talk: Talk, command: Command) -> None:
    """XTND XMIT; other forms of XTND are unknown to us."""
    if command.arguments.strip().upper() == b"XMIT":
        talk.alone(lambda: talk.send(Transmission(talk, "XTND"), command.line, barrier=True))
    else:
        talk.send(Unknown(talk, "XTND"), command.line, barrier=True)


class Transmission(Exchange):
    """Upstream answers twice: to the command, and to the message."""

    __slots__ = ("_sent",)

    def __init__(self, talk: Talk, verb: str) -> None:
        super().__init__(talk, verb)
        self._sent = False

    def replied(self, reply: Reply) -> None:
        talk = self.talk
        if self.turn == "client":
            raise ProtocolError("a reply in the middle of a text", fatal=True)
        if reply.ok and not self._sent:
            talk.ledger.say(reply.line)
            self.turn = "client"
            talk.from_client.text()
            talk.release("reply")
        else:
            super().replied(reply)

    def said(self, event: Response | Text) -> None:
        talk = self.talk
        assert isinstance(event, Text) and talk.upstream is not None
        talk.upstream.write(event.raw)
        if event.last:
            self._sent = True
            self.turn = "upstream"
            talk.hold("reply")
