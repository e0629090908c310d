"""AUTH (RFC 4954): the dialogue goes through line by line; its lines are never commands, and never logged.

Every login that fails is counted, whoever refused it. Where the secret can be read, the chain is asked before
upstream sees it. A dialogue that we end ourselves is cancelled upstream by `*`, and upstream's reply to that is
ours to swallow. A mechanism that may put all that follows in a layer of its own turns the session into raw
octets.
"""

from functools import partial

from mailweir.relay import tally
from mailweir.relay.sasl import LAYERED, Responses, shown
from mailweir.relay.smtp import words
from mailweir.relay.smtp.envelope import after_reset
from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.relay.smtp.words import Answer
from mailweir.session import Credentials
from mailweir.verdict import Close, Decision
from mailweir.wire.errors import ProtocolError
from mailweir.wire.smtp import Command, Reply, Response

CANCEL = b"*\r\n"


def auth(talk: Talk, command: Command) -> None:
    """AUTH mechanism [initial-response]."""
    name, initial = _parts(command)
    if not name:
        talk.refuse(words.BAD_ARGUMENTS)
    elif name not in talk.offer.mechanisms:
        withheld = talk.offer.plaintext_withheld(name)
        refuse(talk, command, words.LOGIN_FIRST_ENCRYPT if withheld else words.NO_MECHANISM)
    else:
        after_reset(talk, partial(Dialogue(talk, name).begin, command.raw, initial))


def refuse(talk: Talk, command: Command, refusal: Answer) -> None:
    """A login that upstream hears nothing of."""
    answer = talk.words(refusal)
    tally.login(talk.session, talk.log, shown(_parts(command)[0]), "", answer, by="mailweir")
    talk.answer(answer)


def _parts(command: Command) -> tuple[str, bytes]:
    """The mechanism in capitals, and the initial response."""
    mechanism, _, initial = command.arguments.strip().partition(b" ")
    return mechanism.decode("latin-1").upper(), initial.strip()


class Dialogue:
    """One AUTH, to its final reply."""

    __slots__ = ("_mechanism", "_over", "_refusal", "_responses", "_slot", "_talk")

    def __init__(self, talk: Talk, mechanism: str) -> None:
        self._talk = talk
        self._mechanism = mechanism
        self._responses = Responses(mechanism)
        self._refusal: tuple[bytes, Decision | None] | None = None
        self._slot = Awaited("AUTH", self._replied)
        self._over = False

    def begin(self, raw: bytes, initial: bytes) -> None:
        """The command itself, and with it maybe the first response."""
        if initial:
            self._judge(initial, raw)
        else:
            self._send(raw)

    def take(self, event: Response) -> None:
        """A response of the client's; `*` gives up, and that is upstream's to answer."""
        self._talk.taker = None
        if event.raw == CANCEL:
            self._send(event.raw)
        else:
            self._judge(event.raw[:-2], event.raw)

    def broken(self, error: ProtocolError) -> None:
        """A line that can't go up."""
        self._talk.taker = None
        self._cant_read(Answer(error.code, error.status, error.text))

    def _judge(self, response: bytes, raw: bytes) -> None:
        """Ask for leave once the credentials are there; what can't be read can't be judged."""
        talk = self._talk
        try:
            found = self._responses.take(response)
        except ValueError:
            if talk.chain.listens("login"):
                self._cant_read(words.BAD_RESPONSE)
            else:
                self._send(raw)
            return
        if found is None:
            self._send(raw)
        else:
            self._ask(found, raw)

    def _ask(self, found: Credentials, raw: bytes) -> None:
        talk = self._talk

        def asked(decision: Decision | None) -> None:
            if self._over:
                return  # upstream did not wait for the plugin: what it hears now would be a command
            if decision is None or decision.passes:
                self._send(raw)
            else:
                self._tally(decision)
                self._stop(talk.words(words.refusal(decision, "login")), decision)

        talk.ask(asked, "login", session=talk.session, credentials=found)

    def _cant_read(self, refusal: Answer) -> None:
        answer = self._talk.words(refusal)
        self._tally(answer, by="mailweir")
        self._stop(answer, None)

    def _tally(self, answer: bytes | Decision, *, accepted: bool = False, by: str = "upstream") -> None:
        talk, name, user = self._talk, self._mechanism, self._responses.user
        tally.login(talk.session, talk.log, name, user, answer, accepted=accepted, by=by)

    def _send(self, raw: bytes) -> None:
        talk = self._talk
        talk.session.state = "auth"
        if self._under_way:
            assert talk.upstream is not None
            talk.hold("turn")
            talk.upstream.write(raw)
        else:
            talk.forward(raw, self._slot, barrier=True)

    @property
    def _under_way(self) -> bool:
        """Upstream has heard AUTH and waits for a response."""
        return self._talk.ledger.head is self._slot

    def _stop(self, reply: bytes, decision: Decision | None) -> None:
        """The dialogue ends here."""
        self._refusal = reply, decision
        if self._under_way:
            self._send(CANCEL)
        else:
            self._say(reply, decision)

    def _say(self, reply: bytes, decision: Decision | None) -> None:
        talk = self._talk
        if decision is not None and isinstance(decision.verdict, Close):
            talk.when_quiet(lambda: talk.part(reply, f"closed by {decision.plugin}"))
        else:
            talk.answer(reply)

    def _replied(self, reply: Reply) -> None:
        talk = self._talk
        if talk.taker is self:  # what the client is about to say would be taken for a command
            talk.cut_upstream("a reply that nobody asked for")
        elif self._refusal is not None:
            if reply.code < 400:  # neither "go on" nor "welcome" answers a `*`
                talk.cut_upstream("AUTH was cancelled, and upstream went on")
                return
            talk.ledger.settle()
            talk.session.state = "command"
            self._say(*self._refusal)
            talk.quiet()
        elif reply.code == 334:
            talk.ledger.say(reply.raw)
            talk.from_client.expect_response()
            talk.taker = self
            talk.release("turn")
        elif 300 <= reply.code < 400:
            talk.cut_upstream(f"{reply.code} in answer to AUTH")
        else:
            self._decided(reply)

    def _decided(self, reply: Reply) -> None:
        talk, session = self._talk, self._talk.session
        self._over = True
        session.state = "command"
        self._tally(reply.raw, accepted=reply.positive)
        if reply.positive:
            session.mechanism = self._mechanism
            session.login = self._responses.user
            talk.chain.tell("logged_in", session=session)
        if reply.positive and self._mechanism in LAYERED:
            talk.ledger.say(reply.raw)
            talk.ledger.settle()
            talk.session.state = "spliced"
            talk.splice("security layer")
        else:
            talk.settle(reply.raw)
