"""The AUTHORIZATION state: USER and PASS, APOP (RFC 1939 7), AUTH (RFC 5034).

Upstream sees credentials only after the rules of the listener allowed the secret on the client's
connection, and after the plugins were asked. What the client says here goes into no log.
"""

from mailweir.relay import tally
from mailweir.relay.pop3 import words
from mailweir.relay.pop3.capa import Mechanisms, usable
from mailweir.relay.pop3.talk import Exchange, Talk
from mailweir.relay.sasl import LAYERED, READABLE, Responses, text
from mailweir.relay.splicing import unseen
from mailweir.session import Credentials
from mailweir.verdict import Close, Decision
from mailweir.wire.errors import ProtocolError
from mailweir.wire.pop3 import Command, Reply, Response, Text

CANCEL = b"*\r\n"


def user(talk: Talk, command: Command) -> None:
    """USER name."""
    if talk.plaintext:
        talk.send(User(talk, text(command.arguments.strip())), command.line)
    else:
        talk.answer("USER", words.NEED_TLS)


def password(talk: Talk, command: Command) -> None:
    """PASS secret: the rest of the line, blanks included."""
    if not talk.plaintext:
        talk.answer("PASS", words.NEED_TLS)
        return
    if talk.void or talk.chain.listens("login"):
        talk.alone(lambda: _judge(talk, command))  # USER must have been answered, to know whose secret it is
    else:
        talk.send(Password(talk, "PASS"), command.line)


def apop(talk: Talk, command: Command) -> None:
    """APOP name digest: nobody between can read the secret, so plugins that want to see logins can't."""
    if not talk.confidential:
        talk.answer("APOP", words.NEED_TLS)
    elif talk.rules.refuse_unknown and talk.chain.listens("login"):
        talk.answer("APOP", words.MECHANISM)
    else:
        name = text(command.arguments.partition(b" ")[0])
        talk.send(Entry(talk, "APOP", Credentials("APOP", name, "")), command.line)


def auth(talk: Talk, command: Command) -> None:
    """AUTH mechanism [initial response]; alone it asks which mechanisms there are."""
    name, _, initial = command.arguments.strip().partition(b" ")
    mechanism = name.decode("latin-1").upper()
    if name and command.arguments[:1].isspace():
        talk.answer("AUTH", words.SYNTAX)  # to Dovecot it has no argument, and a text follows
    elif not name:
        talk.send(Mechanisms(talk, "AUTH"), command.line, barrier=True)
    elif not (talk.plaintext if mechanism in READABLE else talk.confidential):
        talk.answer("AUTH", words.NEED_TLS)
    elif not usable(talk, mechanism):
        talk.answer("AUTH", words.MECHANISM)
    else:
        talk.alone(lambda: Dialogue(talk, mechanism).begin(command.line, initial.strip()))


def _judge(talk: Talk, command: Command) -> None:
    """PASS, for plugins."""
    if talk.void:
        talk.answer("PASS", words.NO_USER)
        return
    credentials = Credentials("USER", talk.user, text(command.arguments))

    def judged(decision: Decision | None) -> None:
        if decision is not None and not decision.passes:
            refused(talk, credentials, decision)
            talk.refuse("PASS", decision, login=True)
        else:
            talk.send(Password(talk, "PASS"), command.line)

    talk.ask(judged, "login", session=talk.session, credentials=credentials)


class User(Exchange):
    """USER; if upstream refuses the name, the one before it stands."""

    __slots__ = ("name",)

    def __init__(self, talk: Talk, name: str) -> None:
        super().__init__(talk, "USER")
        self.name = name

    def replied(self, reply: Reply) -> None:
        if reply.ok:
            self.talk.user = self.name
            self.talk.void = False
        super().replied(reply)


class Password(Exchange):
    """PASS, of whom USER named and upstream accepted by then."""

    __slots__ = ()

    def replied(self, reply: Reply) -> None:
        entered(self.talk, self.talk.user, "USER", reply)
        welcome(self, reply)


class Entry(Exchange):
    """A command whose `+OK` means that the client is logged in."""

    __slots__ = ("credentials",)

    def __init__(self, talk: Talk, verb: str, credentials: Credentials) -> None:
        super().__init__(talk, verb)
        self.credentials = credentials

    def replied(self, reply: Reply) -> None:
        entered(self.talk, self.credentials.user, self.credentials.mechanism, reply)
        welcome(self, reply)


class Dialogue(Exchange):
    """One AUTH: upstream prompts and the client responds, until `+OK` or `-ERR`.

    If a plugin refuses in the middle of it we cancel (RFC 5034 4), and the client hears our words instead
    of upstream's answer to that.
    """

    __slots__ = ("_decision", "_refusal", "_responses")
    prompts = True

    def __init__(self, talk: Talk, mechanism: str) -> None:
        super().__init__(talk, "AUTH")
        self._responses = Responses(mechanism)
        self._refusal = b""
        self._decision: Decision | None = None

    def begin(self, line: bytes, initial: bytes) -> None:
        """The AUTH line, and the initial response that may stand on it."""
        talk = self.talk

        credentials: Credentials | None = None

        def judged(decision: Decision | None) -> None:
            if decision is not None and not decision.passes:
                refused(talk, credentials, decision)
                talk.refuse("AUTH", decision, login=True)
            else:
                talk.send(self, line, barrier=True)

        if initial:
            try:
                credentials = self._read(initial)
            except ValueError:
                talk.answer("AUTH", words.MALFORMED)
                return
        if credentials is None:
            judged(None)
        else:
            talk.ask(judged, "login", session=talk.session, credentials=credentials)

    def replied(self, reply: Reply) -> None:
        talk = self.talk
        if self._refusal:
            self._cancelled(reply)
        elif reply.prompt:
            talk.ledger.say(reply.line)
            self.turn = "client"
            talk.from_client.response()
            talk.release("reply")
        else:
            talk.from_client.response(False)  # upstream may have lost patience with the client
            entered(talk, self._responses.user, self._responses.mechanism, reply)
            if reply.ok and self._responses.mechanism in LAYERED:
                talk.ledger.say(reply.line)
                talk.ledger.abandon()
                talk.splice("security layer")
            else:
                welcome(self, reply)

    def said(self, event: Response | Text) -> None:
        talk = self.talk
        self.turn = "upstream"
        talk.hold("reply")
        line = event.line if isinstance(event, Response) else b""
        assert talk.upstream is not None
        if line == CANCEL:
            talk.upstream.write(line)
            return
        try:
            credentials = self._read(line[:-2])
        except ValueError:
            self.cancel(words.MALFORMED)
            return

        def judged(decision: Decision | None) -> None:
            if talk.ledger.head is not self:
                return  # upstream gave up meanwhile: the response would be a command
            if decision is not None and not decision.passes:
                self._decision = decision
                refused(talk, credentials, decision)
                self.cancel(words.refusal(decision, talk.session.id, login=True))
            elif not talk.over and talk.upstream is not None:
                talk.upstream.write(line)

        if credentials is None:
            judged(None)
        else:
            talk.ask(judged, "login", session=talk.session, credentials=credentials)

    def cancel(self, refusal: bytes) -> None:
        """End the dialogue; the client will hear `refusal`."""
        talk = self.talk
        if talk.over or talk.upstream is None:
            return
        self.turn = "upstream"
        self._refusal = refusal
        talk.hold("reply")
        talk.from_client.response(False)
        talk.upstream.write(CANCEL)

    def _read(self, response: bytes) -> Credentials | None:
        """The credentials, if this response completes them.

        What nobody can read passes, unless a plugin wants to see each login.
        """
        try:
            return self._responses.take(response)
        except ValueError:
            if self.talk.chain.listens("login"):
                raise
            return None

    def _cancelled(self, reply: Reply) -> None:
        talk = self.talk
        if reply.ok or reply.prompt:
            raise ProtocolError("a cancelled AUTH went on", fatal=True)
        talk.ledger.say(self._refusal)
        if self._decision is not None and isinstance(self._decision.verdict, Close):
            talk.end(f"closed by {self._decision.plugin}")
        else:
            talk.settle()


def entered(talk: Talk, user: str, mechanism: str, reply: Reply) -> None:
    """Upstream's answer to a login."""
    session = talk.session
    tally.login(session, talk.log, mechanism, user, reply.line, accepted=reply.ok)
    if reply.ok:
        session.login = user
        session.mechanism = mechanism
        session.state = "transaction"
        talk.chain.tell("logged_in", session=session)


def welcome(exchange: Exchange, reply: Reply) -> None:
    """Say upstream's answer to a login, and let the octets pass if nobody wants to see more of the session:
    to an upstream that can't be spoken to ahead of its replies only if the client wasn't told that it can.
    """
    talk = exchange.talk
    if reply.ok and len(talk.ledger) == 1 and not talk.promised and unseen(talk.chain, talk.rules):
        talk.ledger.say(reply.line)
        talk.ledger.abandon()
        talk.splice("login")
    else:
        Exchange.replied(exchange, reply)


def refused(talk: Talk, credentials: Credentials | None, decision: Decision) -> None:
    """A plugin's answer to a login, which upstream doesn't get."""
    assert credentials is not None
    tally.login(talk.session, talk.log, credentials.mechanism, credentials.user, decision)
