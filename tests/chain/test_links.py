"""Every mistake about hooks, and the sentence that says it."""

import asyncio
import types
from collections.abc import Iterator
from typing import Any

import pluggy
import pytest

from mailweir import hookimpl
from mailweir.chain.chain import Chain, Plug
from mailweir.chain.links import implementations, links_of
from mailweir.chain.mistakes import PluginError

marker = pluggy.HookimplMarker("mailweir")


def marked(function: Any, **options: Any) -> Any:
    """A copy of the function with a mark of its own."""
    code, names = function.__code__, function.__globals__
    copy = types.FunctionType(code, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return marker(**options)(copy)


def misspelt() -> None: ...
def unknown_argument(recipent: Any) -> None: ...
def nothing_like_it(colour: Any) -> None: ...
def no_arguments(session: Any) -> None: ...
def helo(session: Any) -> None: ...
def judges_nothing(session: Any) -> None: ...
def keywords(*, recipient: Any) -> None: ...
def anything(**facts: Any) -> None: ...
def always_default(recipient: Any = None) -> None: ...


def yields(recipient: Any) -> Iterator[None]:
    yield


async def async_yields(recipient: Any) -> Any:
    yield


MISTAKES = {
    "misspelt hook": ({"rcpt_too": marked(misspelt)}, "there is no hook rcpt_too; did you mean rcpt_to?"),
    "no such hook": ({"zzz": marked(misspelt)}, "there is no hook zzz ("),
    "misspelt argument": (
        {"rcpt_to": marked(unknown_argument)},
        "hook rcpt_to has no argument recipent; did you mean recipient?",
    ),
    "no such argument": (
        {"rcpt_to": marked(nothing_like_it)},
        "hook rcpt_to has no argument colour; there are session, envelope, recipient",
    ),
    "hook without arguments": (
        {"stopping": marked(no_arguments)},
        "hook stopping has no argument session (",
    ),
    "tryfirst": (
        {"helo": marked(helo, tryfirst=True)},
        "hook helo asks for tryfirst, but the listener's list",
    ),
    "trylast": ({"helo": marked(helo, trylast=True)}, "hook helo asks for trylast, but the listener's list"),
    "wrapper": ({"rcpt_to": marked(yields, wrapper=True)}, "hook rcpt_to is a wrapper"),
    "hookwrapper": ({"rcpt_to": marked(yields, hookwrapper=True)}, "hook rcpt_to is a wrapper"),
    "yields": ({"rcpt_to": marked(yields)}, "hook rcpt_to yields, but must return"),
    "async yields": ({"rcpt_to": marked(async_yields)}, "hook rcpt_to yields, but must return"),
    "keywords": ({"rcpt_to": marked(keywords)}, "hook rcpt_to must name its arguments one by one"),
    "any keywords": ({"rcpt_to": marked(anything)}, "hook rcpt_to must name its arguments one by one"),
    "default": ({"rcpt_to": marked(always_default)}, "hook rcpt_to would always have its own default"),
    "twice": (
        {"helo": marked(helo), "again": marked(helo, specname="helo")},
        "hook helo is implemented twice",
    ),
    "nothing to edit": (
        {"helo": hookimpl(edits=False)(judges_nothing)},
        "hook helo is handed no message, so edits=False says nothing there",
    ),
    "no hook": ({"reject": helo}, "it has no hook, so it is not a plugin"),
    "no mark": (
        {"message": print},
        "nothing in it is marked with @hookimpl, though message looks like a hook",
    ),
}


@pytest.mark.parametrize(("attributes", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake(attributes: dict[str, Any], sentence: str) -> None:
    plugin = types.SimpleNamespace(**attributes)
    with pytest.raises(PluginError) as caught:
        Chain("mx", [Plug("noroot", plugin)])
    assert str(caught.value).startswith(f"plugin noroot: {sentence}")
    if "marked" not in sentence and "no hook," not in sentence and "twice" not in sentence:
        assert f"({__file__}:" in str(caught.value)


def test_every_mistake_at_once() -> None:
    plugin = types.SimpleNamespace(rcpt_too=marked(misspelt), rcpt_to=marked(unknown_argument))
    with pytest.raises(PluginError) as caught:
        implementations("p", plugin)
    assert [problem.path for problem in caught.value.problems] == [("use",), ("use",)]


def test_a_class_that_was_not_called() -> None:
    class Plugin:
        helo = marked(helo)

    with pytest.raises(PluginError, match="Plugin is a class and was not called"):
        implementations("p", Plugin)


def test_a_module_whose_class_is_the_plugin() -> None:
    class Policy:
        @hookimpl
        def helo(self) -> None: ...

    module = types.ModuleType("policy")
    module.__file__ = "/etc/mailweir/policy.py"
    module.Policy = Policy  # type: ignore[attr-defined]
    with pytest.raises(PluginError) as caught:
        implementations("p", module)
    assert str(caught.value) == (
        "plugin p: the module has no hook, but its class Policy does: add :Policy to `use` "
        "(/etc/mailweir/policy.py)"
    )


def test_what_is_right() -> None:
    class Plugin:
        @hookimpl
        def helo(self, name: str, own: int = 3) -> None: ...

        @staticmethod
        @hookimpl
        def stopping() -> None: ...

        @marker(specname="mail_from")
        async def sender(self, envelope: Any, session: Any) -> None:
            await asyncio.sleep(0)

        @marker(optionalhook=True)
        def of_a_later_version(self) -> None: ...

    found = implementations("p", Plugin())
    assert {hook: tuple(each.argnames) for hook, each in found.items()} == {
        "helo": ("name",),
        "mail_from": ("envelope", "session"),
        "stopping": (),
    }
    assert list(found) == ["helo", "mail_from", "stopping"]


def test_who_only_judges() -> None:
    class Plugin:
        @hookimpl(edits=False)
        def message(self, message: Any) -> None: ...

        @hookimpl(edits=True)
        def message_head(self, message: Any) -> None: ...

        @hookimpl
        def sign(self, message: Any) -> None: ...

    links = {link.hook: link.edits for link in links_of(Plug("p", Plugin()))}
    assert links == {"message": False, "message_head": True, "sign": True}
