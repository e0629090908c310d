"""Before a text goes up, upstream's transaction is brought in line with the envelope as plugins left it.

Upstream has answered MAIL and the RCPTs long before; recipients that were only added are asked for now,
and for all else the transaction is begun again: RSET, MAIL, RCPT (RFC 5321 4.1.1.5). The client hears of it
only what upstream refuses now, in place of the reply to its message.
"""

from collections.abc import Callable

from mailweir.envelope import Recipient
from mailweir.relay import tally
from mailweir.relay.smtp import words
from mailweir.relay.smtp.errand import Errand, Request
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.requests import added_line, mail_line, rcpt_line, wants_success
from mailweir.relay.smtp.talk import Talk
from mailweir.verdict import Decision, Discard, Reject
from mailweir.wire.smtp import Reply

Settled = Callable[[bytes, Decision | None], None]
"""Told the reply that ends the message here, and whose decision it was; no octets if the text may go up."""


def settle(talk: Talk, mail: Mail, then: Settled) -> None:
    """Apply what plugins said of single recipients, bring upstream in line, then call `then`.

    Nothing may be open, and upstream must not have been sent DATA or BDAT.
    """
    if not mail.unsettled:
        then(b"", None)
        return
    decision = _judge(talk, mail)
    if decision is not None:
        then(talk.words(words.refusal(decision)), decision)
    else:
        _replay(talk, mail, then)


def request(talk: Talk, mail: Mail, recipient: Recipient) -> Request:
    """The RCPT for this recipient as it is now."""
    dsn = "DSN" in talk.offer.upstream
    if recipient.added:
        return "RCPT", added_line(recipient, dsn=dsn)
    return "RCPT", rcpt_line(mail.lines[recipient], recipient, dsn=dsn)


def added(talk: Talk, recipient: Recipient, reply: Reply) -> bool:
    """Upstream has answered for a recipient that a plugin added; False if mail can't go without it."""
    tally.added(talk.session, accepted=reply.positive)
    if reply.positive:
        return True
    recipient.refused_by = "upstream"
    talk.log.warning("added recipient refused", required=recipient.required, code=reply.code)
    return not recipient.required


def honest(talk: Talk, recipient: Recipient, decision: Decision) -> Decision:
    """Who asked to be told of the delivery may not believe in one: a refusal in place of a discard."""
    wronged = isinstance(decision.verdict, Discard) and wants_success(recipient)
    return decision._replace(verdict=Reject()) if wronged and "DSN" in talk.offer.upstream else decision


def _judge(talk: Talk, mail: Mail) -> Decision | None:
    """Sort the verdicts on single recipients; the decision if nobody is left whom the message may reach.

    LMTP has a reply for each of them (RFC 2033 4.2). SMTP has one, so the strictest is said for all; only
    discarded ones are left out, since the client can't tell.
    """
    accepted = [one for one in mail.transaction.envelope.accepted if one not in mail.dropped]
    judged = {one: Decision(one.verdict, one.decided_by) for one in accepted if one.verdict is not None}
    if talk.dialect.each:
        judged = {one: honest(talk, one, decision) for one, decision in judged.items()}
    strictest = max(judged.values(), key=lambda decision: decision.verdict.DIGIT, default=None)
    for one, decision in judged.items():
        discarded = isinstance(decision.verdict, Discard)
        one.refused_by = "" if discarded else decision.plugin
        if talk.dialect.each or discarded:
            mail.drop(one, talk.words(words.refusal(decision)))
            mail.stale = True
    if strictest is None or (
        (isinstance(strictest.verdict, Discard) or talk.dialect.each) and len(judged) < len(accepted)
    ):
        return None
    return strictest


def _replay(talk: Talk, mail: Mail, then: Settled) -> None:
    envelope = mail.transaction.envelope
    wanted = [one for one in envelope.recipients if mail.wants(one)]
    unwanted = any(one not in wanted for one in mail.lines)
    again = (
        mail.stale or envelope.edited or unwanted or any(one.edited and one in mail.lines for one in wanted)
    )
    asked = wanted if again else [one for one in wanted if one not in mail.lines]
    requests = [request(talk, mail, one) for one in asked]
    lines = {one: mail.lines.get(one, line) for one, (_, line) in zip(asked, requests, strict=True)}
    mail.lines = lines if again else mail.lines | lines
    for one in asked:
        one.edited = False
    if again:
        requests = [("RSET", b"RSET\r\n"), ("MAIL", mail_line(mail.line, envelope)), *requests]
    envelope.edited = mail.stale = False
    envelope.additions = ()

    def done(replies: list[Reply]) -> None:
        if again:
            reset, begun, *replies = replies
            if not reset.positive:  # the recipients of before may still stand there
                talk.cut_upstream("upstream refused RSET")
                return
            if not begun.positive:
                then(begun.raw, None)
                return
        then(_refusal(talk, mail, asked, replies), None)

    Errand(talk, requests, done)


def _refusal(talk: Talk, mail: Mail, asked: list[Recipient], replies: list[Reply]) -> bytes:
    """What upstream's replies to RCPT mean for the message: no octets if it may go up."""
    refusal = b""
    for one, reply in zip(asked, replies, strict=True):
        if not reply.positive:
            mail.lines.pop(one)
        if one.added:
            ended = not added(talk, one, reply)
        else:
            ended = not reply.positive
            if ended:
                one.refused_by = "upstream"
                if talk.dialect.each:
                    mail.drop(one, reply.raw)
                    ended = False
        if ended:
            refusal = refusal or reply.raw
    if refusal or any(one not in mail.dropped for one in mail.transaction.envelope.accepted):
        return refusal
    return max(mail.dropped.values())
