"""The fixture `weir`, as a plugin's author uses it."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from twisted.internet.defer import Deferred

from mailweir import ConfigPath, Decision, Defer, Envelope, Message, Recipient, Reject, Route, hookimpl
from mailweir.chain.mistakes import PluginError
from mailweir.hookspecs import HOOKS
from mailweir.testing.weir import Weir


class Echo:
    """Says what it was asked about."""

    class Settings(BaseModel, extra="forbid"):
        name: str = "me"
        path: ConfigPath | None = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.told: list[Any] = []

    @hookimpl
    def helo(self, name: Any) -> Reject:
        return Reject(name)

    @hookimpl
    def login(self, credentials: Any) -> Reject:
        return Reject(f"{credentials.user} {credentials.secret()}")

    @hookimpl
    def mail_from(self, envelope: Any) -> Reject:
        return Reject(envelope.sender)

    @hookimpl
    def rcpt_to(self, envelope: Any, recipient: Any) -> Reject:
        return Reject(f"{envelope.sender} {recipient.address}")

    @hookimpl
    def command(self, command: Any) -> Reject:
        return Reject(f"{command.name} {command.arguments}")

    @hookimpl
    def route(self, session: Any) -> Route:
        return Route(session.login)

    @hookimpl
    def message(self, message: Any) -> Reject:
        return Reject(f"{message.headers.get('subject')} {b''.join(message.body())!r} {message.size}")

    @hookimpl
    def message_done(self, transaction: Any) -> None:
        self.told.append(transaction)


def test_facts_from_texts(weir: Weir) -> None:
    weir.plug(Echo)
    assert weir.ask("helo", name="x") == Reject("x")
    assert weir.ask("login", credentials="ann:a:b") == Reject("ann a:b")
    assert weir.ask("mail_from", envelope="bob@example.net") == Reject("bob@example.net")
    assert weir.ask("rcpt_to", recipient="a@b") == Reject("bob@example.net a@b")
    assert weir.ask("command", command="VRFY ann") == Reject("VRFY b'ann'")
    assert weir.ask("message", message="Subject: x\n\ny\n") == Reject("x b'y\\r\\n' 17")


def test_facts_as_they_are(weir: Weir) -> None:
    weir.plug(Echo)
    envelope = Envelope("s@b")
    assert weir.ask("rcpt_to", envelope=envelope, recipient=Recipient("r@b")) == Reject("s@b r@b")
    message = Message("m", "append", envelope, b"Subject: z\r\n\r\n")
    assert weir.ask("message", message=message) == Reject("z b'' 14")
    weir.session.login = "there"
    assert weir.ask("route") == Route("there")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_facts_made_up(weir: Weir, hook: str) -> None:
    """Take all facts of each hook, and see that they are of the types that the hook's specification says."""
    from typing import get_type_hints

    from mailweir import hookspecs

    names = HOOKS[hook].arguments
    taken: dict[str, Any] = {}
    namespace: dict[str, Any] = {"taken": taken}
    exec(f"def {hook}({', '.join(names)}): taken.update(locals())", namespace)
    plugin = type("Plugin", (), {hook: staticmethod(hookimpl(namespace[hook]))})()
    weir.plug(plugin)
    (weir.tell if HOOKS[hook].kind == "tell" else weir.ask)(hook)
    hints = get_type_hints(getattr(hookspecs, hook))
    assert set(taken) == set(names)
    for name in names:
        if isinstance(hints[name], type) and name != "service":
            assert isinstance(taken[name], hints[name])
    assert taken.get("leg", "client") == "client"
    if "service" in taken:
        assert taken["service"].listeners == ["test"]


def test_a_misspelt_hook_or_fact_is_an_error(weir: Weir) -> None:
    with pytest.raises(AssertionError, match="there is no hook rcpt_too"):
        weir.ask("rcpt_too")
    with pytest.raises(AssertionError, match="hook helo has session, name, not nam"):
        weir.ask("helo", nam="x")


def test_settings_are_validated_as_in_the_configuration(weir: Weir) -> None:
    weir.plug(Echo, "mine", name="x", path="below", timeout=3, mode="shadow")
    (plug,) = weir.plugs
    assert (plug.name, plug.timeout, plug.mode) == ("mine", 3, "shadow")
    assert isinstance(plug.plugin, Echo)
    assert plug.plugin.settings.path == weir.folder / "below"
    with pytest.raises(PluginError, match="nam: there is no such setting; did you mean name"):
        weir.plug(Echo, nam="x")


def test_plugins_stand_in_the_order_they_were_plugged(weir: Weir) -> None:
    weir.plug(Echo, "a", mode="shadow").plug(Echo, "b")
    assert weir.asking("helo", name="x").decision == Decision(Reject("x"), "b")


def test_tell(weir: Weir) -> None:
    echo = Echo(Echo.Settings())
    weir.plug(echo).tell("message_done")
    assert echo.told == [weir.session.transaction]


class Slow:
    def __init__(self) -> None:
        self.later: Deferred[Reject] = Deferred()
        self.stopped = False

    @hookimpl
    async def helo(self) -> Reject:
        try:
            await asyncio.sleep(1)
            return await self.later
        finally:
            self.stopped = True


def test_async_without_a_loop(weir: Weir) -> None:
    slow = Slow()
    asked = weir.plug(slow).asking("helo")
    assert asked.thinking
    with pytest.raises(AssertionError, match="has not answered yet"):
        assert asked.answer
    weir.clock.advance(1)
    slow.later.callback(Reject("x"))
    assert not asked.thinking
    assert asked.answer == Reject("x")


def test_a_late_one_and_one_whose_client_left(weir: Weir) -> None:
    asked = weir.plug(Slow(), timeout=3).asking("helo")
    weir.clock.advance(3)
    assert asked.decision == Decision(Defer("local error"), "Slow", failed=True)
    other = Slow()
    weir.plugs.clear()
    asked = weir.plug(other).asking("helo")
    asked.leave()
    assert asked.thinking
    assert other.stopped


def test_message_takes_indentation_off(weir: Weir) -> None:
    message = weir.message(
        """
        Subject: two
          lines

        Hello
          you.
        """
    )
    assert b"".join(message.pieces()) == b"Subject: two\r\n  lines\r\n\r\nHello\r\n  you.\r\n"
    assert message.whole
    assert b"".join(weir.message("From: a\n").pieces()) == b"From: a\r\n"


def test_play_runs_on_the_fixtures_clock(weir: Weir) -> None:
    class Wait:
        @hookimpl
        async def connected(self) -> Defer:
            await asyncio.sleep(2)
            return Defer("later")

    weir.plug(Wait)
    stage = weir.play("T+ 2\nC< 421 weir.example later (s1)\nC. closed")
    assert stage.clock is weir.clock
    assert weir.clock.seconds() == 2
