"""BURL (RFC 4468): a part of the text that upstream fetches by itself, where nobody here wants to see it.

It stands among the BDATs of a transaction. Its URL is a secret like a password, so it is never logged.
"""

import re

from mailweir.relay.smtp import words
from mailweir.relay.smtp.data import discarded, no_recipients
from mailweir.relay.smtp.ending import VERB, Ending, conclude
from mailweir.relay.smtp.envelope import after_reset
from mailweir.relay.smtp.mail import Mail
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.wire.smtp import Command, Reply

_ARGUMENTS = re.compile(rb"[!-~]++(?P<last> LAST)?", re.IGNORECASE)


def burl(talk: Talk, command: Command) -> None:
    after_reset(talk, lambda: _burl(talk, command))


def _burl(talk: Talk, command: Command) -> None:
    mail = talk.mail
    read = _ARGUMENTS.fullmatch(command.arguments)
    if "BURL" not in talk.offer.keywords:
        talk.refuse(words.DISABLED)
    elif read is None:
        talk.refuse(words.BAD_ARGUMENTS)
    elif mail is None:
        talk.refuse(talk.needs_mail())
    else:
        last = read["last"] is not None
        talk.when_quiet(lambda: _decide(talk, command, last=last))


def _decide(talk: Talk, command: Command, *, last: bool) -> None:
    """All replies are here: it is known who gets the message."""
    mail = talk.mail
    if mail is None:
        talk.refuse(talk.needs_mail())
    elif not mail.up and not mail.dropped:
        no_recipients(talk, mail)
    elif (decision := discarded(mail)) is not None:
        if last:
            conclude(talk, talk.words(words.ACCEPTED), decision)
        else:
            talk.refuse(words.ACCEPTED)
    elif mail.unsettled or mail.collecting:  # it can't be held back until upstream has been asked anew
        mail.balked = True
        talk.refuse(words.LOCAL_ERROR)
    else:
        _pass(talk, mail, command, last=last)


def _pass(talk: Talk, mail: Mail, command: Command, *, last: bool) -> None:
    ending = Ending(talk, mail)

    def fetched(reply: Reply) -> None:
        if not reply.positive:
            mail.turned_down = reply.raw
        talk.settle(reply.raw)

    if not mail.chunked:
        mail.transaction.envelope.fix()
        mail.chunked = True
    if last:
        talk.ending = ending
        talk.session.state = "end"
    talk.forward(
        command.raw, Awaited(VERB if last else "BURL", ending.replied if last else fetched), barrier=True
    )
