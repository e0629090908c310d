"""TLS with upstream by STARTTLS or STLS, as far as all protocols do the same (RFC 3207 6, RFC 9051 11.1).

Each asks in its own words, before the client is greeted, and comes here with upstream's answer. Where TLS
is required and can't be had the session ends, and nothing of the client's has gone up.
"""

from mailweir.relay.conversation import Conversation
from mailweir.wire.errors import ProtocolError


def switch(conversation: Conversation, word: str) -> None:
    """Upstream has agreed to `word`. What it said in clear behind that could be anybody's: it is no upstream."""
    if conversation.from_upstream.rest():
        error = ProtocolError(f"octets in clear behind {word}")
        conversation.broke_rules("upstream", error)
        conversation.do_without()
        conversation.unreachable(f"upstream sent {error.text}", insecure=True)
    elif conversation.upstream is not None:
        conversation.securing = True
        conversation.upstream.start_tls()
