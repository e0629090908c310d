"""Sessions to play with."""

from typing import Any, Protocol

import pytest

from mailweir.chain.chain import Plug
from mailweir.relay.rules import Rules
from mailweir.session import Address
from mailweir.testing.play import Stage

GREETED = """
    U> * OK ready
    C< * OK ready
"""
LOGGED_IN = """
    C> l LOGIN ann secret
    U< l LOGIN ann secret
    U> l OK in
    C< l OK in
"""


class Make(Protocol):
    """Make a session with these plugins, and play it up to a point."""

    def __call__(
        self,
        *plugins: object,
        greeted: bool = True,
        logged_in: bool = False,
        client: str = "127.0.0.1",
        **rules: Any,
    ) -> Stage: ...


@pytest.fixture
def imap() -> Make:
    def make(
        *plugins: object,
        greeted: bool = True,
        logged_in: bool = False,
        client: str = "127.0.0.1",
        **rules: Any,
    ) -> Stage:
        plugs = [Plug(f"plug{number}", plugin) for number, plugin in enumerate(plugins)]
        stage = Stage("imap", plugs, Rules(upstream="server", **rules), client=Address(client, 40000))
        if greeted or logged_in:
            stage.play(GREETED)
        if logged_in:
            stage.play(LOGGED_IN)
        return stage

    return make
