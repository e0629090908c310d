"""When a session may become raw octets after its login: nobody wants to see what follows, nothing was promised.

A spliced session costs no parsing. The price is that nothing of it can be counted, refused or edited any
more, so it is for chains that end with the login, and for servers that do themselves all that the client
was offered in their name.
"""

from mailweir.chain.chain import Chain
from mailweir.relay.rules import Rules

BEHIND_LOGIN = ("command", "message_head", "message", "sign", "message_done")
"""Hooks that only a session which is read can serve."""


def unseen(chain: Chain, rules: Rules) -> bool:
    """Neither a plugin nor a rule of the listener needs what comes after the login."""
    if not rules.splice or rules.refuse_unknown or rules.message_size:
        return False
    return not any(chain.listens(hook) for hook in BEHIND_LOGIN)
