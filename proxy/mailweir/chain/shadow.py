"""What a plugin in shadow mode is handed: copies, so that its edits stay with it.

It reads and writes the same `session.notes` as everybody, so that it can remember from one hook to the
next; the message, the envelope, the recipient and the command are its own for the one call.
"""

from copy import copy, deepcopy
from typing import Any

from mailweir.envelope import Envelope, Recipient
from mailweir.message import Message
from mailweir.session import Command, Session


def shadowed(facts: dict[str, Any]) -> dict[str, Any]:
    """`facts` with copies in place of what a plugin may edit; one thing stays one thing among them."""
    copies = _Copies()
    return {name: copies.of(fact) for name, fact in facts.items()}


class _Copies:
    """Each object's copy, by the object's id, for one call."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def of(self, fact: Any) -> Any:
        if id(fact) not in self._made:
            self._made[id(fact)] = self._copy(fact)
        return self._made[id(fact)]

    def _copy(self, fact: Any) -> Any:
        if isinstance(fact, Envelope):
            twin = copy(fact)
            twin.recipients = [self.of(recipient) for recipient in fact.recipients]
            return twin
        if isinstance(fact, Message):
            message = copy(fact)
            message.headers = deepcopy(fact.headers)
            message.envelope = self.of(fact.envelope)
            return message
        if isinstance(fact, Session):
            session = copy(fact)
            if fact.transaction is not None:
                session.transaction = copy(fact.transaction)
                session.transaction.envelope = self.of(fact.transaction.envelope)
                session.transaction.message = self.of(fact.transaction.message)
            return session
        return copy(fact) if isinstance(fact, Command | Recipient) else fact
