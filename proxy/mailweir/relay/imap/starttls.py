"""STARTTLS of the client (RFC 9051 6.2.1); upstream never hears of it.

What was sent in clear behind the command may be somebody else's (CVE-2011-0411): the session ends.
"""

from mailweir.relay.imap import literals, words
from mailweir.relay.imap.base import ImapBase
from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap import CommandLine


def starttls(relay: ImapBase, event: CommandLine) -> None:
    if not relay.offers.starttls:
        literals.refuse(relay, event, words.tagged(event.tag, "BAD", "TLS is not available"))
    elif event.literal is not None or event.arguments:
        literals.refuse(relay, event, words.tagged(event.tag, "BAD", "STARTTLS takes no arguments"))
    else:
        relay.hold("TLS")
        relay.table.when_due(lambda: _switch(relay, event.tag))


def _switch(relay: ImapBase, tag: bytes) -> None:
    if relay.from_client.rest() or not relay.from_upstream.border:
        error = ProtocolError("octets in clear behind STARTTLS", fatal=True)
        relay.broke_rules("client", error)
        relay.cut(error.text)
        return
    relay.say(words.tagged(tag, "OK", "begin TLS negotiation now"))
    relay.client.start_tls()
