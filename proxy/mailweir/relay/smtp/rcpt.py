"""RCPT: for whom the message is, by the client's word and by the plugins'.

A recipient that a plugin adds is asked for behind the one that was the occasion, whose reply the client
hears when both answers are known. What upstream has accepted and shall not get the message after all is
taken back before the text goes up (`replay`).
"""

from functools import partial

from mailweir.envelope import Recipient
from mailweir.relay.smtp import words
from mailweir.relay.smtp.envelope import after_reset, no_transaction, unoffered, unreadable
from mailweir.relay.smtp.errand import Errand
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.replay import added, honest, request
from mailweir.relay.smtp.requests import rcpt_line
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.relay.smtp.words import Answer
from mailweir.verdict import Decision, Defer, Discard
from mailweir.wire.smtp import Command, Reply
from mailweir.wire.smtp_path import Path, parameters, path


def rcpt(talk: Talk, command: Command) -> None:
    after_reset(talk, lambda: _rcpt(talk, command))


def _rcpt(talk: Talk, command: Command) -> None:
    current = talk.mail
    if current is None:
        no_transaction(talk, command)
    elif single(talk) and current.up and talk.ledger:
        talk.when_quiet(lambda: _rcpt(talk, command))  # there is room for this one if the first is refused
    else:
        _read(talk, current, command)


def single(talk: Talk) -> bool:
    """One recipient a message: no verdict on it is about another, and one reply of LMTP is all there is."""
    return not talk.dialect.each and (talk.rules.smtp.verdicts == "single" or talk.upstream_dialect.each)


def _read(talk: Talk, current: Mail, command: Command) -> None:
    read = path(command.arguments, b"TO:")
    if read is None:
        refusal = unreadable(talk, command)
    else:
        refusal = unoffered(talk, parameters(read.parameters)) if read.parameters else None
    refusal = refusal or _no_room(talk, current)
    if refusal is not None:
        current.refused = True
        talk.refuse(refusal)
        return
    recipient = Recipient(*(read or Path("", "")))
    envelope = current.transaction.envelope
    envelope.recipients.append(recipient)

    def asked(decision: Decision | None) -> None:
        if not _stands(talk, current):
            return
        if recipient.verdict is not None and (decision is None or decision.passes):
            decision = Decision(recipient.verdict, recipient.decided_by)
        if decision is None or decision.passes:
            _admit(talk, current, recipient, command)
            return
        decision = honest(talk, recipient, decision)
        if isinstance(decision.verdict, Discard):
            recipient.accepted = True
            current.drop(recipient, talk.stopped(decision, "rcpt_to"))
        else:
            current.refused = True
            current.no(recipient, talk.stopped(decision, "rcpt_to"), decision)

    talk.ask(asked, "rcpt_to", session=talk.session, envelope=envelope, recipient=recipient)


def _stands(talk: Talk, current: Mail) -> bool:
    """False, and RCPT is refused, if upstream was lost while something was waited for."""
    if talk.mail is current:
        return True
    talk.refuse(talk.needs_mail())
    return False


def _no_room(talk: Talk, current: Mail) -> Answer | None:
    taken = current.up + len(current.dropped)
    if single(talk) and current.up:
        return words.ALONE
    most = talk.rules.smtp.recipients
    if most and taken >= most:
        talk.limits.reached("recipients")
        return words.TOO_MANY_RECIPIENTS
    return None


def _admit(talk: Talk, current: Mail, recipient: Recipient, command: Command) -> None:
    """All who are `up` want the same; who wants something else waits for its own message."""
    if not _stands(talk, current):
        return
    apart = talk.rules.smtp.verdicts == "defer" and not talk.dialect.each
    if not (apart and current.up and recipient.policy != current.policy):
        _ask(talk, current, recipient, command)
    elif talk.ledger:
        talk.when_quiet(partial(_admit, talk, current, recipient, command))
    else:
        current.refused = True
        reply = talk.words(words.APART)
        current.no(recipient, reply, Decision(Defer(), "mailweir"))
        talk.answer(reply)


def _ask(talk: Talk, current: Mail, recipient: Recipient, command: Command) -> None:
    current.up += 1
    current.policy = recipient.policy
    current.lines[recipient] = line = command.raw
    if recipient.edited:
        recipient.edited = False
        line = rcpt_line(line, recipient, dsn="DSN" in talk.offer.upstream)
    if current.transaction.envelope.additions:
        talk.when_quiet(partial(_ask_first, talk, current, recipient, line))
    else:
        talk.forward(line, Awaited("RCPT", partial(_answered, talk, current, recipient)))


def _answered(talk: Talk, current: Mail, recipient: Recipient, reply: Reply) -> None:
    _believe(current, recipient, reply)
    talk.settle(reply.raw)


def _believe(current: Mail, recipient: Recipient, reply: Reply) -> None:
    if reply.positive:
        recipient.accepted = True
    else:
        current.up -= 1
        current.lines.pop(recipient, None)
        current.no(recipient, reply.raw)


def _ask_first(talk: Talk, current: Mail, recipient: Recipient, line: bytes) -> None:
    """The client's own recipient; only if upstream takes it those that were added."""
    if not _stands(talk, current):
        return

    def answered(replies: list[Reply]) -> None:
        (reply,) = replies
        if reply.positive:
            _ask_added(talk, current, recipient, reply)
        else:  # those that were added go with the next one, if there is any
            _believe(current, recipient, reply)
            talk.answer(reply.raw)

    Errand(talk, [("RCPT", line)], answered)


def _ask_added(talk: Talk, current: Mail, recipient: Recipient, accepted: Reply) -> None:
    envelope = current.transaction.envelope
    additions = [one for one in envelope.additions if current.wants(one)]
    envelope.additions = ()
    requests = [request(talk, current, one) for one in additions]
    current.lines.update({one: line for one, (_, line) in zip(additions, requests, strict=True)})

    def answered(replies: list[Reply]) -> None:
        told = accepted
        for one, reply in zip(additions, replies, strict=True):
            one.edited = False
            if not reply.positive:
                current.lines.pop(one)
            if not added(talk, one, reply):
                told = reply
        _believe(current, recipient, told)
        if not told.positive:  # upstream has accepted it, and nobody else believes so
            current.refused = current.stale = True
        talk.answer(told.raw)

    Errand(talk, requests, answered)
