"""What the fixture `weir` is: plugins under test, one question or one conversation at a time."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailweir.chain.chain import Chain, Plug
from mailweir.chain.loader import make
from mailweir.chain.plug import KEEPERS
from mailweir.envelope import Envelope, Recipient
from mailweir.hookspecs import HOOKS
from mailweir.message import Message
from mailweir.relay.rules import Rules
from mailweir.session import (
    Address,
    Command,
    Credentials,
    Protocol,
    Session,
    Transaction,
)
from mailweir.spool import Spool
from mailweir.testing.loop import clock_driver
from mailweir.testing.play import Stage
from mailweir.verdict import Decision, Route, Verdict


class Weir:
    """A chain without a network.

    `session` is the one that hooks are asked about; write to it what a test needs. `clock` is the only time
    there is. `folder` is where relative paths in settings begin: that of the test's file.
    """

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.folder = folder
        self.plugs: list[Plug] = []
        self.session = Session(
            "s1", "test", "smtp", Address("192.0.2.1", 40000), Address("192.0.2.2", 25), self.clock.seconds()
        )
        self.session.begin("smtp", self.clock.seconds())

    def plug(self, what: object, name: str | None = None, /, **options: Any) -> "Weir":
        """Put a plugin at the end of the chain: a module, a class or an object.

        `options` are what stands in its entry of the configuration: settings of its own, and the keeper's
        `mode`, `timeout`, `on_error` and so on.
        """
        name = name or getattr(what, "__name__", type(what).__name__).rpartition(".")[2]
        keepers = {key: value for key, value in options.items() if key in KEEPERS}
        own = {key: value for key, value in options.items() if key not in KEEPERS}
        self.plugs.append(Plug(name, make(name, what, own, self.folder), **keepers))
        return self

    def ask(self, hook: str, **facts: Any) -> Verdict | Route | None:
        """Put a hook to the chain; `AssertionError` if a plugin has not answered yet.

        Facts may be written as text: a recipient, a sender (`envelope=`), `user:password` (`credentials=`),
        a command, a message. What is left out is made up.
        """
        return self.asking(hook, **facts).answer

    def asking(self, hook: str, **facts: Any) -> "Asked":
        """Like `ask`, for plugins that take their time: advance the clock, then look at `answer`."""
        chain = self._chain()
        facts = self._facts(hook, facts)
        return Asked(chain.route(self.session) if hook == "route" else chain.ask(hook, **facts))

    def tell(self, hook: str, **facts: Any) -> None:
        """Tell the chain; errors of plugins are logged and counted, as in real life."""
        self._chain().tell(hook, **self._facts(hook, facts))

    def play(
        self,
        script: str,
        protocol: Protocol = "smtp",
        *,
        rules: Rules | None = None,
        client: Address | None = None,
    ) -> Stage:
        """Play a written conversation (`mailweir.testing.play`) through the chain."""
        return Stage(protocol, self.plugs, rules, client=client, clock=self.clock).play(script)

    def message(self, text: str, stage: str = "smtp", envelope: Envelope | None = None) -> Message:
        """A whole message; lines end as Python writes them, and indentation that all share is taken off."""
        octets = dedent(text).lstrip("\n").replace("\r\n", "\n").replace("\n", "\r\n").encode()
        head, end, _ = octets.partition(b"\r\n\r\n")
        message = Message("s1.1", stage, envelope or self._transaction.envelope, head + end)
        spooled = Spool().open()
        spooled.write(octets)
        message.attach(spooled, whole=True)
        return message

    @property
    def _transaction(self) -> Transaction:
        return self.session.transaction or self.session.begin("smtp", self.clock.seconds())

    def _chain(self) -> Chain:
        return Chain("test", self.plugs, driver=clock_driver(self.clock), clock=self.clock)

    def _facts(self, hook: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every fact that the hook has: given, made from a text, or made up."""
        if hook not in HOOKS:
            raise AssertionError(f"there is no hook {hook}")
        wanted = HOOKS[hook].arguments
        unknown = [name for name in given if name not in wanted]
        assert not unknown, f"hook {hook} has {', '.join(wanted)}, not {', '.join(unknown)}"
        facts: dict[str, Any] = {}
        for name in wanted:
            fact = given.get(name, MADE_UP.get(name))
            if name == "session":
                fact = given.get(name, self.session)
            elif name == "transaction":
                fact = given.get(name, self._transaction)
            elif name == "envelope":
                fact = self._envelope(given.get(name))
            elif name == "message" and isinstance(fact, str):
                fact = self.message(fact)
            elif isinstance(fact, str) and name in FROM_TEXT:
                fact = FROM_TEXT[name](fact)
            facts[name] = fact
        if isinstance(recipient := facts.get("recipient"), Recipient):
            facts["envelope"].recipients.append(recipient)
        return facts

    def _envelope(self, given: Envelope | str | None) -> Envelope:
        envelope = self._transaction.envelope
        if isinstance(given, Envelope):
            self._transaction.envelope = envelope = given
        elif given is not None:
            envelope.sender = given
        return envelope


class Asked:
    """A question under way."""

    def __init__(self, found: "Decision | Route | Deferred[Any] | None") -> None:
        self._found: list[Decision | Route | None] = []
        self._deferred = found if isinstance(found, Deferred) else None
        if isinstance(found, Deferred):
            found.addCallbacks(self._found.append, lambda failure: None)
        else:
            self._found.append(found)

    @property
    def thinking(self) -> bool:
        """No answer yet."""
        return not self._found

    @property
    def decision(self) -> Decision | Route | None:
        """The answer, with the name of the plugin and whether it failed."""
        assert self._found, "the plugin has not answered yet: weir.clock.advance(...)"
        return self._found[0]

    @property
    def answer(self) -> Verdict | Route | None:
        """What the chain answered."""
        found = self.decision
        return found.verdict if isinstance(found, Decision) else found

    def leave(self) -> None:
        """The client goes away while the plugin thinks."""
        if self._deferred is not None:
            self._deferred.cancel()


def _credentials(text: str) -> Credentials:
    user, _, password = text.partition(":")
    return Credentials("PLAIN", user, password)


def _command(text: str) -> Command:
    name, _, arguments = text.partition(" ")
    return Command(name, arguments.encode())


class _Service:
    """A program with one listener."""

    listeners: Sequence[str] = ["test"]


FROM_TEXT: dict[str, Callable[[str], object]] = {
    "recipient": Recipient,
    "credentials": _credentials,
    "command": _command,
}
MADE_UP = {
    "name": "client.example",
    "leg": "client",
    "recipient": "ann@example.org",
    "credentials": "ann:secret",
    "command": "NOOP",
    "message": "From: bob@example.net\nTo: ann@example.org\nSubject: hello\n\nHello.\n",
    "service": _Service(),
}
