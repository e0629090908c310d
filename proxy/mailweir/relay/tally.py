"""What is counted of sessions, logins and messages, in the same words for all protocols.

Verbs are counted where they are known (each protocol's own table), verdicts by the chain, connections to
upstreams by `net`.
"""

from mailweir import metrics
from mailweir.session import Leg, Session, Transaction


def began(session: Session) -> None:
    """A client has arrived."""
    metrics.CONNECTIONS.cell(session.listener, session.protocol).add()
    metrics.SESSIONS.cell(session.listener, session.protocol).add()


def ended(session: Session) -> None:
    """Both its legs are closed; `duration` is set."""
    listener, protocol = session.listener, session.protocol
    metrics.SESSIONS.cell(listener, protocol).add(-1)
    metrics.SESSION_SECONDS.cell(listener, protocol).observe(session.duration)
    metrics.OCTETS_CARRIED.cell(listener, protocol, "from_client").add(session.octets_from_client)
    metrics.OCTETS_CARRIED.cell(listener, protocol, "from_upstream").add(session.octets_from_upstream)


def login(session: Session, *, accepted: bool) -> None:
    """Upstream has answered a login. One that a plugin refused is counted as its verdict."""
    metrics.LOGINS.cell(session.listener, session.protocol, "accepted" if accepted else "rejected").add()


def message(session: Session, transaction: Transaction) -> None:
    """The fate of a message is known."""
    listener, protocol = session.listener, session.protocol
    metrics.MESSAGES.cell(listener, protocol, transaction.stage, transaction.outcome).add()
    metrics.MESSAGE_OCTETS.cell(listener, protocol).observe(transaction.size)


def broken_rule(session: Session, leg: Leg) -> None:
    """One side said what it may not say."""
    metrics.PROTOCOL_ERRORS.cell(session.listener, session.protocol, leg).add()
