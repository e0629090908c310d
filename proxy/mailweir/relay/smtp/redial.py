"""An upstream that was lost, or had to be cut off: the client's session goes on, with another connection.

That is lawful as long as nothing is tied to the old connection but what can be said again: the hello. So
not after a login, not in a login's dialogue, and not with half a message up. MAIL is never said again:
whether upstream has the message or not, what becomes of it is for the client to decide (RFC 1047).

Nobody is dialled before a command needs it, so a client that says QUIT, RSET or NOOP meanwhile costs
nothing; and whoever was offered something must find it again, or the session ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from mailweir.relay.smtp import words
from mailweir.relay.smtp.ending import VERB as END
from mailweir.relay.smtp.offer import KEYWORDS, How, Offer, upstream_keywords
from mailweir.relay.smtp.opening import Opening
from mailweir.relay.smtp.talk import Talk
from mailweir.wire.smtp import Reply, ReplyReader

UNANSWERED = {"MAIL": words.LOST_COMMAND, "RCPT": words.LOST_COMMAND, "DATA": words.LOST_COMMAND}
UNANSWERED |= {
    "BDAT": words.LOST_COMMAND,
    "BURL": words.LOST_COMMAND,
    "RSET": words.ACCEPTED,
    "NOOP": words.ACCEPTED,
}
"""What is said to commands that upstream took with it; the session ends with it at any other. A transaction
that is no more needs no RSET. Never 5yz: the client would take that for the fate of its message."""


def lawful(talk: Talk) -> bool:
    """Another connection can take the place of the one that ended."""
    return talk.welcomed and not talk.session.mechanism and not talk.retiring


def outlive(talk: Talk, reason: str) -> bool:
    """Upstream's connection was lost. If the session can go on, answer for upstream all that is open."""
    if talk.closing or talk.opening is not None or talk.unfinished or talk.errands or not lawful(talk):
        return False
    open_verbs = {slot.verb for slot in talk.ledger if slot.local is None and not slot.hidden}
    if not open_verbs <= UNANSWERED.keys() | {END}:
        return False
    talk.log.info("upstream lost", reason=reason)
    talk.do_without()
    for slot in talk.ledger.abandon():
        if slot.local is not None:
            talk.client.write(slot.local)
        elif slot.verb == END:
            talk.client.write(talk.words(words.LOST_AT_END) if talk.ending is None else talk.ending.lost())
        elif not slot.hidden:
            talk.client.write(talk.words(UNANSWERED[slot.verb]))
    _forsake(talk, nested="MAIL" in open_verbs)
    talk.quiet()
    return True


def _forsake(talk: Talk, *, nested: bool) -> None:
    """The transaction is lost, and with it one that a second MAIL was to begin."""
    talk.owes_reset = False
    talk.forsaken = talk.mail is not None
    said = talk.words(words.LOST_COMMAND)
    talk.end_mail("deferred", said)
    begun = talk.session.transaction
    if nested and begun is not None:
        talk.finish(begun, "deferred", said.decode().rstrip())


def reach(talk: Talk, then: Callable[[], None], *, greets: bool) -> None:
    """Dial again and call `then`; the client waits. `greets`: a hello is what goes up next."""
    if talk.upstream is not None:
        then()
    elif not lawful(talk):
        talk.goodbye(words.OUT_OF_SYNC, "no upstream that could be spoken to")
    else:
        talk.hold("dialling")
        talk.opening = Again(talk, then, b"" if greets else talk.hello)
        talk.dial_again(ReplyReader())


def failed(talk: Talk, reason: str, *, insecure: bool) -> None:
    """It could not be reached again, or not with the TLS that it must be spoken to with."""
    talk.warn_of_upstream(reason)
    talk.goodbye(words.NO_TLS_UPSTREAM if insecure else words.UNAVAILABLE, reason)


class Again(Opening):
    """The client has been greeted; the new upstream is told by whom it is spoken to."""

    __slots__ = ("_hello", "_state", "_then")

    def __init__(self, talk: Talk, then: Callable[[], None], hello: bytes) -> None:
        super().__init__(talk)
        self._then = then
        self._hello = hello
        self._state = talk.session.state

    def welcomed(self, greeting: Reply) -> None:
        if not greeting.positive:
            self._refused("upstream refused the session")
        elif self._hello:
            self.next(self._hello, self._known)
        else:
            self._stand()

    def _refused(self, reason: str) -> None:
        self.talk.warn_of_upstream(reason)
        self.talk.goodbye(words.UNAVAILABLE, reason)

    def _known(self, reply: Reply) -> None:
        talk = self.talk
        now = upstream_keywords(reply.raw)
        if not reply.positive:
            self._refused("upstream refused the client's hello")
        elif not covers(now, talk.offer):
            self._refused("upstream offers less than before")
        else:
            talk.offer = replace(talk.offer, upstream=now)
            talk.pipelines = "PIPELINING" in now
            self._stand()

    def _stand(self) -> None:
        talk = self.talk
        talk.ledger.settle()
        talk.opening = None
        talk.session.state = self._state
        talk.log.info("upstream reached again")
        self._then()
        talk.release("dialling")


def covers(now: Mapping[str, str], before: Offer) -> bool:
    """Upstream offers all of what the client was offered, and not less of it."""
    if "BINARYMIME" in before.keywords and "CHUNKING" not in now:
        return False  # no DATA can carry that
    return all(
        keyword in now and _as_much(keyword, now[keyword], before.upstream.get(keyword, ""))
        for keyword in before.keywords
        if keyword not in KEYWORDS or KEYWORDS[keyword].how is not How.OWN
    )


def _as_much(keyword: str, now: str, before: str) -> bool:
    if keyword == "SIZE":  # none and 0 are no limit (RFC 1870 3)
        return _limit(now) >= _limit(before)
    return set(before.split()) <= set(now.split())


def _limit(value: str) -> float:
    return int(value) if value.isdecimal() and int(value) else float("inf")
