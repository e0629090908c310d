"""Which relay speaks which protocol. A process loads only those that its listeners name."""

from collections.abc import Callable

from mailweir.relay.conversation import Conversation
from mailweir.relay.meeting import Meeting
from mailweir.session import Protocol

Maker = Callable[[Meeting], Conversation]


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
