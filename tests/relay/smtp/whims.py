"""Plugins that answer what a test has told them to, at once or when it lets them."""

from collections.abc import Callable

from twisted.internet.defer import Deferred

from mailweir import (
    Accept,
    Close,
    Defer,
    Discard,
    Envelope,
    Message,
    Quarantine,
    Recipient,
    Reject,
    Session,
    Transaction,
    Verdict,
    hookimpl,
)
from relay.smtp.edits import EDITS, Edits

Answer = Verdict | None | Deferred[Verdict | None]

VERDICTS: dict[str, Callable[[], Verdict | None]] = {
    "nothing": lambda: None,
    "accept": lambda: Accept("friend"),
    "reject": lambda: Reject("no"),
    "reject in three lines": lambda: Reject("no\r\n250 ok\r\n250 ok", 554),
    "defer": lambda: Defer("later", 452, "4.2.2"),
    "quarantine": lambda: Quarantine("odd"),
    "discard": lambda: Discard("spam"),
    "close": lambda: Close("enough"),
    "breaks": lambda: 1 / 0,  # type: ignore[dict-item, return-value]
}
PLANS = (*VERDICTS, *EDITS)
ENVELOPE_HOOKS = ("connected", "helo", "mail_from", "rcpt_to", "login", "command")
TEXT_HOOKS = ("message_head", "message", "sign")


class Whims:
    """`plan` says, by hook, what the next question gets; `thoughts` are the questions that wait.

    A plan is a verdict or an edit of the envelope. `discarded` are the senders and recipients for whom
    `Discard` was answered, `done` how each transaction ended, by its id.
    """

    def __init__(self) -> None:
        self.plan: dict[str, tuple[str, bool]] = {}
        self.thoughts: list[tuple[Deferred[Verdict | None], Callable[[], Verdict | None]]] = []
        self.edits = Edits()
        self.discarded: set[bytes] = set()
        self.done: dict[str, list[Transaction]] = {}
        self.closed: list[str] = []

    def answer(
        self, hook: str, envelope: Envelope | None = None, recipient: Recipient | None = None
    ) -> Answer:
        plan, late = self.plan.pop(hook, ("nothing", False))
        if plan == "discard" and envelope is not None:
            about = recipient.address.encode() if recipient else envelope.sender.encode()
            self.discarded.add(self.edits.came_as(about))

        def verdict() -> Verdict | None:
            if plan in VERDICTS:
                return VERDICTS[plan]()
            if envelope is not None:
                self.edits.make(plan, envelope, recipient)
            return None

        if not late:
            return verdict()
        thought: Deferred[Verdict | None] = Deferred()
        self.thoughts.append((thought, verdict))
        return thought

    @property
    def thinking(self) -> bool:
        self.thoughts = [(thought, verdict) for thought, verdict in self.thoughts if not thought.called]
        return bool(self.thoughts)

    def decide(self) -> None:
        """Whoever has thought longest comes to an end."""
        if self.thinking:
            thought, verdict = self.thoughts.pop(0)
            try:
                answer = verdict()
            except (ZeroDivisionError, ValueError) as error:
                thought.errback(error)
            else:
                thought.callback(answer)

    @hookimpl
    def message_done(self, session: Session, transaction: Transaction) -> None:
        self.done.setdefault(transaction.id, []).append(transaction)

    @hookimpl
    def session_closed(self, session: Session) -> None:
        self.closed.append(session.id)


class Doorman(Whims):
    """Asked about all but the messages."""

    @hookimpl
    def connected(self, session: Session) -> Answer:
        return self.answer("connected")

    @hookimpl
    def helo(self, name: str) -> Answer:
        return self.answer("helo")

    @hookimpl
    def login(self, session: Session) -> Answer:
        return self.answer("login")

    @hookimpl
    def command(self, session: Session) -> Answer:
        return self.answer("command")

    @hookimpl
    def mail_from(self, envelope: Envelope) -> Answer:
        return self.answer("mail_from", envelope)

    @hookimpl
    async def rcpt_to(self, envelope: Envelope, recipient: Recipient) -> Verdict | None:
        answer = self.answer("rcpt_to", envelope, recipient)
        return await answer if isinstance(answer, Deferred) else answer


class Reader(Doorman):
    """Reads the header of every message, and puts a field on top of it."""

    @hookimpl
    def message_head(self, message: Message) -> Answer:
        if message.headers.original[:1] not in (b" ", b"\t"):
            message.headers.add("X-Seen", self.edits.sender(message.envelope).decode())
        return self.answer("message_head", message.envelope)


class Censor(Reader):
    """Reads every message to its end."""

    @hookimpl
    def message(self, message: Message) -> Answer:
        return self.answer("message", message.envelope)

    @hookimpl
    def sign(self, message: Message) -> Answer:
        return self.answer("sign", message.envelope)


class Judge(Doorman):
    """Reads every message to its end and changes nothing, so that most of it may leave before."""

    @hookimpl(edits=False)
    def message(self, message: Message) -> Answer:
        return self.answer("message", message.envelope)


PLUGINS: dict[str, Callable[[], Whims]] = {
    "nobody": Whims,
    "doorman": Doorman,
    "judge": Judge,
    "reader": Reader,
    "censor": Censor,
}
