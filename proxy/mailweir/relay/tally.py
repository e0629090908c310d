"""What is counted of sessions, logins and messages, in the same words for all protocols.

Verbs are counted where they are known (each protocol's own table), verdicts by the chain, connections to
upstreams by `net`.
"""

import re

from structlog.typing import FilteringBoundLogger

from mailweir import metrics
from mailweir.session import Leg, Session, Transaction
from mailweir.verdict import Decision, printable

NAME = 120
"""Characters of a login name in the log at most."""

_WORDS = re.compile(
    rb"[2-5]\d\d(?:[ -][245](?:\.\d{1,3}){2})?"  # SMTP
    rb"|-ERR(?: \[[\w/-]{1,40}\])?"  # POP3, RFC 2449 8
    rb"|(?:NO|BAD)(?: \[[\w-]{1,40}\])?"  # IMAP
)
"""What of an answer is in a registry; the rest likes to repeat what was said."""


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


def login(
    session: Session,
    log: FilteringBoundLogger,
    mechanism: str,
    user: str,
    answer: bytes | Decision,
    *,
    accepted: bool = False,
    by: str = "upstream",
) -> None:
    """The fate of a login: an answer to it and `by` whom, or a plugin's refusal. Of those that are not
    upstream's it knows nothing.

    One that failed is logged: whose address it came from is for those who keep guessers out. `user` is the
    name, empty where none was read as one. Of an answer the log gets the codes, which tell a wrong
    password from a server in trouble.
    """
    by = answer.plugin if isinstance(answer, Decision) else by
    result = "accepted" if accepted else "rejected" if by == "upstream" else "refused"
    metrics.LOGINS.cell(session.listener, session.protocol, result).add()
    if accepted:
        return
    words = None if isinstance(answer, Decision) else _WORDS.match(answer)
    facts = {
        "protocol": session.protocol,
        "client": session.client.host,
        "login": printable(user, NAME) or None,
        "mechanism": mechanism,
        "by": by,
        "reply": words[0].decode() if words else None,
    }
    log.info("login failed", **{key: fact for key, fact in facts.items() if fact is not None})


def message(session: Session, transaction: Transaction) -> None:
    """The fate of a message is known."""
    listener, protocol = session.listener, session.protocol
    metrics.MESSAGES.cell(listener, protocol, transaction.stage, transaction.outcome).add()
    metrics.MESSAGE_OCTETS.cell(listener, protocol).observe(transaction.size)


def spliced(session: Session, why: str) -> None:
    """Its octets are not read any more."""
    metrics.SPLICED.cell(session.listener, session.protocol, why).add()


def added(session: Session, *, accepted: bool) -> None:
    """Upstream has answered for a recipient that a plugin added."""
    result = "accepted" if accepted else "refused"
    metrics.RECIPIENTS_ADDED.cell(session.listener, session.protocol, result).add()


def limited(session: Session, limit: str) -> None:
    """A limit was reached; `limit` is its key in the configuration."""
    metrics.LIMITS.cell(session.listener, session.protocol, limit).add()


def broken_rule(session: Session, leg: Leg) -> None:
    """One side said what it may not say."""
    metrics.PROTOCOL_ERRORS.cell(session.listener, session.protocol, leg).add()
