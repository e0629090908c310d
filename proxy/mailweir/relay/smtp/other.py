"""NOOP, VRFY, EXPN, HELP, ETRN, QUIT - and verbs that we don't know.

What answer an unknown verb gets, and what follows it, can't be known either. So it either never goes up,
or the client is read no further until upstream's answer has told: 3yz turns the session into raw octets.
What stands behind it in a group is no sign that more belongs to it, or anybody could bring XCLIENT past us.
"""

from collections.abc import Callable
from functools import partial

from mailweir.relay.smtp import words
from mailweir.relay.smtp.offer import stripped
from mailweir.relay.smtp.talk import VERBS, Awaited, Talk
from mailweir.session import Command as Asked
from mailweir.verdict import Decision
from mailweir.wire.smtp import Command, Reply


class Unknown(Asked):
    """A command whose name may be a password that was said a line too late."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Command(unknown)"


def plain(talk: Talk, command: Command) -> None:
    """One command, one reply; plugins may refuse it or rewrite its arguments."""
    _ask(talk, command, partial(_forward, talk, command.verb))


def quit(talk: Talk, command: Command) -> None:
    """QUIT: nothing that follows it counts."""
    if talk.upstream is None:
        talk.goodbye(words.BYE, "client quit")
        return
    talk.forward(command.raw, Awaited("QUIT", partial(_parted, talk)), barrier=True)


def _parted(talk: Talk, reply: Reply) -> None:
    talk.part(reply.raw, "client quit")


def unknown(talk: Talk, command: Command) -> None:
    if stripped(command.verb):
        talk.refuse(words.DISABLED)
    elif talk.rules.refuse_unknown or not command.verb.isalpha():
        talk.refuse(words.UNKNOWN)
    else:
        talk.when_quiet(lambda: _ask(talk, command, partial(_try, talk, command.verb)))


def _ask(talk: Talk, command: Command, then: Callable[[bytes], None]) -> None:
    if not talk.chain.listens("command"):
        then(command.raw)
        return
    asked = (Asked if command.verb in VERBS else Unknown)(command.verb, command.arguments)

    def answered(decision: Decision | None) -> None:
        if decision is not None and not decision.passes:
            talk.stopped(decision, "command")
        elif asked.arguments == command.arguments:
            then(command.raw)
        elif any(octet in asked.arguments for octet in b"\r\n\0"):
            verb = command.verb if command.verb in VERBS else "unknown"  # it might be a password
            talk.log.error("a plugin put CR, LF or NUL into a command", command=verb)
            talk.refuse(words.LOCAL_ERROR)
        else:
            spelled = command.raw[: len(command.verb)]
            then(spelled + (b" " + asked.arguments if asked.arguments else b"") + b"\r\n")

    talk.ask(answered, "command", session=talk.session, command=asked)


def _forward(talk: Talk, verb: str, octets: bytes) -> None:
    """NOOP asks for nothing: to keep the session of an idle client up, nobody is dialled."""
    if verb == "NOOP" and talk.upstream is None:
        talk.answer(talk.words(words.ACCEPTED))
        return
    talk.forward(octets, Awaited(verb, talk.passed))


def _try(talk: Talk, verb: str, octets: bytes) -> None:
    if talk.upstream is None:
        talk.reach(partial(_try, talk, verb, octets))
    else:
        talk.forward(octets, Awaited(verb, partial(_answered, talk)), barrier=True)


def _answered(talk: Talk, reply: Reply) -> None:
    """3yz asks for something more, and only the client knows what."""
    if 300 <= reply.code < 400:
        talk.ledger.say(reply.raw)
        talk.ledger.settle()
        _splice(talk)
    else:
        talk.settle(reply.raw)


def _splice(talk: Talk) -> None:
    talk.forget_mail()
    talk.session.state = "spliced"
    talk.splice("unknown command")
