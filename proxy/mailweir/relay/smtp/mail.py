"""One transaction, as upstream and the client each believe it to stand."""

from typing import Any, Protocol

from mailweir.envelope import Recipient
from mailweir.relay.carry import Carrier
from mailweir.relay.rules import Rules
from mailweir.relay.smtp.hops import Hops
from mailweir.relay.smtp.screen import Screen
from mailweir.session import Outcome, Transaction
from mailweir.verdict import Decision
from mailweir.wire.smtp_path import parameters

REMEMBERED = 1000
"""Refused recipients that are kept in the envelope, for logs."""


class Taker(Protocol):
    """Who is given what follows a command: the text, the chunk, the response."""

    def take(self, event: Any) -> None: ...


class Mail:
    """From MAIL to the final reply, RSET, or another hello.

    `up` counts the recipients that upstream has accepted or has yet to answer; `refused`: a recipient was
    refused here, so upstream doesn't know of it; `balked`: DATA was refused here, so upstream still waits
    for it. `discard`: the whole message shall be dropped; `dropped`: these recipients get nothing, though
    the client was told that they were accepted, and what we say for them where LMTP owes them a reply.
    `line` is the client's MAIL, and `lines` its RCPT for each recipient that upstream knows, in upstream's
    order, our own for those that plugins added; `stale`: upstream knows others, too, who shall get nothing.
    `policy` is that of the recipients which are `up`. `collecting` takes the chunks of a text that doesn't pass
    one to one; `amid_data`: it goes up by DATA, so upstream takes for text whatever it hears.
    `last_refusal` is the latest reply that said no to a recipient, and `decision` whose; `turned_down` is
    the one that said no to DATA or to a chunk. `hops` looks for loops.
    """

    __slots__ = (
        "amid_data",
        "balked",
        "binary",
        "carrier",
        "chunked",
        "collecting",
        "decision",
        "discard",
        "dropped",
        "hops",
        "last_refusal",
        "line",
        "lines",
        "policy",
        "refused",
        "screen",
        "stale",
        "transaction",
        "turned_down",
        "up",
    )

    def __init__(self, transaction: Transaction, line: bytes = b"") -> None:
        self.transaction = transaction
        self.line = line
        self.lines: dict[Recipient, bytes] = {}
        self.policy = ""
        self.stale = False
        self.up = 0
        self.refused = False
        self.balked = False
        self.chunked = False
        self.amid_data = False
        self.binary = parameters(transaction.envelope.parameters).get("BODY", "").upper() == "BINARYMIME"
        self.discard: Decision | None = None
        self.dropped: dict[Recipient, bytes] = {}
        self.last_refusal = b""
        self.turned_down = b""
        self.decision: Decision | None = None
        self.hops: Hops | None = None
        self.screen: Screen | None = None
        self.carrier: Carrier | None = None
        self.collecting: Taker | None = None

    @property
    def unsettled(self) -> bool:
        """Plugins have changed the envelope since upstream was asked."""
        envelope = self.transaction.envelope
        return (
            self.stale
            or envelope.edited
            or bool(envelope.additions)
            or any(one.edited and (one in self.lines or one.added) for one in envelope.recipients)
        )

    def wants(self, recipient: Recipient) -> bool:
        """The message shall reach this one."""
        if recipient.added:
            return recipient.verdict is None and not recipient.refused_by
        return recipient.accepted and recipient not in self.dropped

    def drop(self, recipient: Recipient, reply: bytes) -> None:
        """This one gets nothing; `reply` is what LMTP hears of it in the end."""
        recipient.edited = False
        self.dropped[recipient] = reply

    def no(self, recipient: Recipient, reply: bytes, decision: Decision | None = None) -> None:
        """This recipient was refused."""
        recipient.refused_by = decision.plugin if decision is not None else "upstream"
        self.last_refusal = reply
        self.decision = decision
        recipients = self.transaction.envelope.recipients
        if len(recipients) > REMEMBERED:
            # from the end: it is among the last ones, and those before may be many
            places = range(len(recipients) - 1, -1, -1)
            at = next((at for at in places if recipients[at] is recipient), None)
            if at is not None:
                del recipients[at]

    def outcome(self) -> tuple[Outcome, bytes, Decision | None]:
        """What becomes of it if it ends now, without a text having been accepted."""
        if self.turned_down:
            return outcome(self.turned_down), self.turned_down, None
        if self.last_refusal and not self.transaction.envelope.accepted:
            return outcome(self.last_refusal), self.last_refusal, self.decision
        return "aborted", b"", None

    def screened(self, rules: Rules) -> Screen:
        """What looks its text over; the same one for all its chunks."""
        if self.screen is None:
            self.screen = Screen(rules, self.transaction, self.hops, binary=self.binary)
        return self.screen

    def close(self) -> None:
        """Give back the room that its text takes."""
        if self.carrier is not None:
            self.carrier.close()
            self.carrier = None


def outcome(reply: bytes) -> Outcome:
    """What the first digit of a final reply means for the message."""
    if reply.startswith(b"2"):
        return "accepted"
    return "rejected" if reply.startswith(b"5") else "deferred"
