"""Which relay speaks which protocol. A process loads only those that its listeners name."""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from mailweir.chain.chain import Chain
from mailweir.relay.conversation import Conversation, Log
from mailweir.relay.rules import Rules
from mailweir.relay.side import Dial, Side
from mailweir.session import Protocol, Session

Maker = Callable[[Session, Chain, Rules, IReactorTime, Side, Dial, Log], Conversation]


def relay_for(protocol: Protocol) -> Maker:
    """The class of the relay that speaks `protocol`."""
    if protocol == "pop3":
        from mailweir.relay.pop3.relay import Pop3Relay

        return Pop3Relay
    if protocol == "imap":
        from mailweir.relay.imap.relay import ImapRelay

        return ImapRelay
    from mailweir.relay.smtp.relay import SmtpRelay

    return SmtpRelay
