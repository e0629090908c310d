"""A bench for chains: a clock that a test turns, a log that it reads, metrics that begin at nothing."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from twisted.internet.task import Clock

from mailweir import Address, Session, hookimpl, metrics
from mailweir.chain.chain import Chain, Plug
from mailweir.testing.loop import clock_driver

NOROOT = """
from mailweir import Reject, hookimpl

@hookimpl
def rcpt_to(recipient):
    if recipient.local == "root":
        return Reject("no mail for root")
"""

LIMIT = """
from pydantic import BaseModel
from mailweir import ConfigPath, Reject, Secret, hookimpl

class Host(BaseModel, extra="forbid"):
    name: str
    port: int = 11332

class Limit:
    class Settings(BaseModel, extra="forbid"):
        per_minute: int = 60
        hosts: list[Host] = []
        key: Secret | None = None
        table: ConfigPath | None = None

    def __init__(self, settings):
        self.settings = settings
        if settings.per_minute == 13:
            raise ValueError("13 brings bad luck")
        if settings.per_minute == 14:
            raise KeyError("oh")

    @hookimpl
    def helo(self):
        return Reject(str(self.settings.per_minute))

class Bare:
    @hookimpl
    def helo(self): ...

class Lax(Limit):
    class Settings(BaseModel):
        limit: int = 1

class Wrong(Limit):
    Settings = dict
"""


class Bench:
    """Makes plugs and chains on one clock, and asks them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.capture = LogCapture()
        self.log = structlog.wrap_logger(None, processors=[self.capture])
        self.session = Session("s1", "mx", "smtp", Address("192.0.2.1", 4), Address("192.0.2.2", 25), 0.0)
        self.heard: list[str] = []

    def plug(self, name: str, /, *, hooks: dict[str, Callable[..., Any]], **policy: Any) -> Plug:
        """A plugin made of functions."""
        return Plug(name, SimpleNamespace(**{hook: hookimpl(does) for hook, does in hooks.items()}), **policy)

    def helo(self, name: str, answer: Any = None, **policy: Any) -> Plug:
        """A plugin that notes that it was asked at `helo`, and answers so: a verdict, something to raise, or
        a function that makes the answer."""

        def helo() -> Any:
            self.heard.append(name)
            if isinstance(answer, BaseException):
                raise answer
            return answer() if callable(answer) else answer

        return self.plug(name, hooks={"helo": helo}, **policy)

    def chain(self, *plugs: Plug) -> Chain:
        return Chain("mx", plugs, driver=clock_driver(self.clock), clock=self.clock, log=self.log)

    def ask(self, *plugs: Plug) -> Any:
        """The answer of a chain of these at `helo`."""
        return self.chain(*plugs).ask("helo", session=self.session, name="me")

    def logged(self, event: str) -> list[Any]:
        return [entry for entry in self.capture.entries if entry["event"] == event]


@pytest.fixture
def bench() -> Bench:
    for family in (metrics.VERDICTS, metrics.PLUGIN_ERRORS, metrics.HOOK_SECONDS, metrics.TELLS_DROPPED):
        family.cells.clear()
    return Bench()


@pytest.fixture
def noroot() -> str:
    """The source of a module that is a plugin."""
    return NOROOT


@pytest.fixture
def limit() -> str:
    """The source of a module with classes that are plugins."""
    return LIMIT


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The configuration's folder, with two plugins in it."""
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "policy.py").write_text(NOROOT)
    (folder / "limit.py").write_text(LIMIT)
    return folder
