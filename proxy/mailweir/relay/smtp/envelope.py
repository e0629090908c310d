"""EHLO, HELO, LHLO, MAIL and RSET: who the client says he is, and who sends the message.

Upstream must believe what the client believes. What is refused here never goes up, so later commands of
the same transaction are answered here too; and where upstream is left waiting for a text that will not
come, it is owed an RSET before the next transaction (RFC 5321 4.1.4 allows no second MAIL).
"""

from collections.abc import Callable
from functools import partial

from mailweir.envelope import Envelope
from mailweir.relay.smtp import words
from mailweir.relay.smtp.dialect import one_line
from mailweir.relay.smtp.mail import Mail, outcome
from mailweir.relay.smtp.offer import NOTHING, PARAMETERS, advertise, facts
from mailweir.relay.smtp.requests import mail_line
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.relay.smtp.trace import hops
from mailweir.relay.smtp.words import Answer
from mailweir.verdict import Accept, Decision, Discard, printable
from mailweir.wire.smtp import Command, Reply
from mailweir.wire.smtp_path import Path, parameters, path


def hello(talk: Talk, command: Command) -> None:
    if command.verb not in talk.dialect.hellos:
        talk.refuse(words.UNKNOWN)
        return
    name = command.arguments.decode("utf-8", "replace").strip()

    def asked(decision: Decision | None) -> None:
        if decision is not None and not decision.passes:
            talk.stopped(decision, "helo")
            return
        octets = talk.upstream_dialect.hello(command.verb, command.raw)
        greets = Awaited(command.verb, partial(_greeted, talk, command, octets, name))
        talk.forward(octets, greets, barrier=True)

    talk.ask(asked, "helo", session=talk.session, name=printable(name))


def _greeted(talk: Talk, command: Command, sent: bytes, name: str, reply: Reply) -> None:
    """A hello that was accepted also ends the transaction (RFC 5321 4.1.4)."""
    if not reply.positive:
        _doubts(talk, sent, reply.code)
        talk.settle(reply.raw)
        return
    talk.forget_mail()
    talk.owes_reset = False
    talk.must_greet = False
    talk.forsaken = False
    talk.hello = sent
    talk.session.helo = printable(name)
    octets = reply.raw if command.verb in talk.upstream_dialect.hellos else one_line(reply.raw)
    talk.offer = NOTHING
    if command.verb != "HELO":
        octets, talk.offer = advertise(reply.raw, facts(talk.session, talk.chain, talk.rules))
    talk.pipelines = "PIPELINING" in talk.offer.upstream
    talk.settle(octets)


def _doubts(talk: Talk, sent: bytes, code: int) -> None:
    """Tell the keeper of a server that knows no such hello. EHLO alone is unknown to old servers, too."""
    verb = sent[:4].decode("ascii", "replace").upper()
    if code in (500, 502) and verb in ("LHLO", "HELO"):
        spoken, other = ("lmtp", "smtp") if verb == "LHLO" else ("smtp", "lmtp")
        reason = f"it does not seem to speak {spoken}; if it speaks {other}, say `protocol: {other}` of it"
        talk.log.warning(
            f"upstream knows no {verb}", upstream=talk.session.upstream, code=code, reason=reason
        )


def mail(talk: Talk, command: Command) -> None:
    """MAIL. A second one inside a transaction is upstream's to judge, and the first stands until then."""
    talk.forsaken = False
    if talk.mail is not None and talk.mail.balked:
        talk.forget_mail()
        talk.owes_reset = True
    after_reset(talk, lambda: _mail(talk, command))


def after_reset(talk: Talk, then: Callable[[], None]) -> None:
    """Pay upstream the RSET that we owe, then go on."""
    if not talk.owes_reset:
        then()
        return
    assert talk.upstream is not None
    talk.owes_reset = False
    talk.forward(b"RSET\r\n", Awaited("RSET", partial(_paid, talk), hidden=True), barrier=True)
    talk.when_quiet(then)


def _paid(talk: Talk, reply: Reply) -> None:
    if reply.positive:
        talk.settle(b"")
    else:  # it may keep the recipients of the last message for the next one
        talk.cut_upstream("upstream refused RSET")


def _mail(talk: Talk, command: Command) -> None:
    most = talk.rules.smtp.messages
    if most and talk.session.transactions >= most:
        talk.limits.reached("messages_per_session")
        talk.when_quiet(lambda: talk.goodbye(words.TOO_MANY_MESSAGES, "messages_per_session"))
        return
    sender = path(command.arguments, b"FROM:")
    refusal = _objection(talk, sender) if sender is not None else unreadable(talk, command)
    if refusal is not None:
        talk.refuse(refusal)
        return
    address, given = sender or Path("", "")
    transaction = talk.session.begin(talk.dialect.stage, talk.clock.seconds())
    transaction.envelope = Envelope(address, given)

    def asked(decision: Decision | None) -> None:
        begun = Mail(transaction, command.raw)
        begun.hops = hops(talk)
        if decision is None or isinstance(decision.verdict, Accept | Discard):
            begun.discard = decision if decision is not None and not decision.passes else None
            _begin(talk, command, begun)
            return
        _refused(talk, begun, talk.stopped(decision, "mail_from"), decision)

    talk.ask(asked, "mail_from", session=talk.session, envelope=transaction.envelope)


def _begin(talk: Talk, command: Command, begun: Mail) -> None:
    envelope = begun.transaction.envelope
    line = mail_line(command.raw, envelope) if envelope.edited else command.raw
    envelope.edited = False
    nested = talk.mail is not None
    if not nested:
        talk.mail = begun
        talk.session.state = "mail"
    talk.forward(line, Awaited("MAIL", partial(_begun, talk, begun)), barrier=nested)


def _begun(talk: Talk, begun: Mail, reply: Reply) -> None:
    if not reply.positive:
        if talk.mail is begun:
            talk.mail = None
            talk.session.state = "command"
        _refused(talk, begun, reply.raw)
    elif talk.mail is not begun and talk.session.transaction is begun.transaction:
        talk.forget_mail()
        talk.mail = begun
        talk.session.transaction = begun.transaction
        talk.session.state = "mail"
    talk.settle(reply.raw)


def _refused(talk: Talk, begun: Mail, reply: bytes, decision: Decision | None = None) -> None:
    text = printable(reply.decode("utf-8", "replace"))
    talk.finish(begun.transaction, outcome(reply), text, decision)
    if talk.mail is not None:
        talk.session.transaction = talk.mail.transaction


def _objection(talk: Talk, sender: Path) -> Answer | None:
    """What we have offered less of than upstream, we must refuse ourselves."""
    if not sender.parameters:
        return None
    given = parameters(sender.parameters)
    said = sender.parameters.split()
    if len(said) > len(given):  # a key stands twice
        keys = [word.partition("=")[0].upper() for word in said]
        if keys.count("SIZE") > 1 or keys.count("BODY") > 1:  # who knows which of them upstream believes
            return words.BAD_ARGUMENTS
    size = given.get("SIZE", "")
    # RFC 1870 allows 20 digits, and Python would refuse to read thousands
    if talk.offer.size and size.isdecimal() and (len(size) > 20 or int(size) > talk.offer.size):
        talk.limits.reached("message_size")
        return words.TOO_BIG
    if given.get("BODY", "").upper() == "BINARYMIME" and _withheld(talk, "BINARYMIME"):
        return words.NO_SUCH_PARAMETER
    return unoffered(talk, given)


def unoffered(talk: Talk, given: dict[str, str]) -> Answer | None:
    """Parameters of what was not offered, though upstream may know them."""
    if any(_withheld(talk, PARAMETERS[key]) for key in given if key in PARAMETERS):
        return words.NO_SUCH_PARAMETER
    return None


def _withheld(talk: Talk, keyword: str) -> bool:
    return keyword not in talk.offer.keywords


def unreadable(talk: Talk, command: Command) -> Answer | None:
    """Arguments we can't read are upstream's to refuse, unless plugins would have had to judge them, or a
    parameter that was not offered may hide in them: servers take a tab for a blank.
    """
    said = command.arguments.upper()
    hidden = any(key.encode() in said for key, keyword in PARAMETERS.items() if _withheld(talk, keyword))
    return words.BAD_ARGUMENTS if hidden or talk.chain.filtered else None


def rset(talk: Talk, command: Command) -> None:
    """RSET: the transaction ends here as it does upstream. What follows in the group relies on that, but
    where there are arguments, which RFC 5321 4.1.1.5 doesn't know, only upstream's answer tells.
    """
    plain = not command.arguments
    if plain:
        _reset(talk)
    if plain and talk.upstream is None:  # nobody who would have to forget anything
        talk.answer(talk.words(words.ACCEPTED))
        return
    talk.forward(command.raw, Awaited("RSET", partial(_reset_answered, talk, plain)), barrier=not plain)


def _reset(talk: Talk) -> None:
    talk.forget_mail()
    talk.owes_reset = False
    talk.forsaken = False
    talk.session.state = "command"


def _reset_answered(talk: Talk, plain: bool, reply: Reply) -> None:
    if reply.positive and not plain:
        _reset(talk)
    elif plain and not reply.positive and talk.mail is None:
        talk.owes_reset = True  # the transaction that we have forgotten may still stand there
    talk.settle(reply.raw)


def no_transaction(talk: Talk, command: Command) -> None:
    """RCPT, DATA without MAIL: upstream refuses that, in its own words where no plugin must be sure of it."""
    if talk.chain.filtered or talk.forsaken:
        talk.refuse(talk.needs_mail())
    else:
        talk.forward(command.raw, Awaited(command.verb, partial(_out_of_order, talk)), barrier=True)


def _out_of_order(talk: Talk, reply: Reply) -> None:
    if 300 <= reply.code < 400:
        talk.cut_upstream("354 without a transaction")
    else:
        talk.settle(reply.raw)
