"""How long each wait may last (RFC 5321 4.5.3.2), and how upstream is kept from losing its patience.

Upstream's waits are no longer than the client's for the same thing, so that it can still be told how it
ended; the configuration may shorten them (`limits.upstream_reply`, `limits.client_idle`).
"""

from mailweir.relay.smtp.ending import GRACE
from mailweir.relay.smtp.ending import VERB as END
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.session import Leg

ANSWER = {"greeting": 300.0, "opening": 300.0, "MAIL": 300.0, "RCPT": 300.0, "DATA": 120.0, END: 600.0}
"""Seconds for upstream's answer (RFC 5321 4.5.3.2.1 to 6); to the end of a text a client waits as long."""

OTHER = 300.0
"""For the answer to anything else."""

BLOCK = 180.0
"""Seconds for upstream to take more of a text (RFC 5321 4.5.3.2.5)."""

IDLE = 300.0
"""Seconds for the client to go on (RFC 5321 4.5.3.2.7)."""

LEAVING = 30.0
"""Seconds for the last words to be taken."""

REMIND = 180.0
"""Seconds after which an upstream that waits for a text hears that we are still there: before its own
five minutes (RFC 5321 4.5.3.2.7), and seldom, since servers take many such commands for a nuisance."""


def borne(talk: Talk) -> tuple[float, Leg]:
    """How many seconds of silence are borne now, and whose silence it is."""
    if talk.closing:
        return LEAVING, "client"
    if talk.opening is not None or not talk.open:
        return _bounded(talk, ANSWER["greeting"]), "upstream"
    if talk.client.full:
        return talk.rules.client_idle or IDLE, "client"
    if talk.pump is not None or (talk.taker is not None and talk.upstream is not None and talk.upstream.full):
        return _bounded(talk, BLOCK), "upstream"
    head = talk.ledger.head
    if head is not None and (talk.taker is None or talk.held()):
        doubtful = talk.ending is not None and talk.ending.doubtful
        return _bounded(talk, GRACE if doubtful else ANSWER.get(head.verb, OTHER)), "upstream"
    return talk.rules.client_idle or IDLE, "client"


def _bounded(talk: Talk, seconds: float) -> float:
    return min(seconds, talk.rules.upstream_reply or seconds)


def remind(talk: Talk) -> None:
    """Say NOOP to an upstream that has heard nothing for long, because its next text is still judged here."""
    now = talk.clock.seconds()
    if not talk.keeps_waiting or talk.upstream is None:
        talk.reminded = 0.0
    elif not talk.reminded:
        talk.reminded = now
    elif now - talk.reminded >= REMIND and not talk.ledger:
        talk.reminded = now
        if talk.expect(Awaited("NOOP", lambda reply: talk.settle(b""), hidden=True)):
            talk.upstream.write(b"NOOP\r\n")
            talk.keeps_waiting = True
