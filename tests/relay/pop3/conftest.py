"""Sessions to play with."""

from typing import Any, Protocol

import pytest

from mailweir.chain.chain import Plug
from mailweir.relay.rules import Rules
from mailweir.session import Address
from mailweir.testing.play import Stage

GREETED = """
    U> +OK ready <1.2@h>
    C< +OK ready <1.2@h>
"""
LOGGED_IN = """
    C> USER bob
    U< USER bob
    U> +OK
    C< +OK
    C> PASS secret
    U< PASS secret
    U> +OK
    C< +OK
"""
PIPELINING = """
    C> CAPA
    U< CAPA
    U> +OK|PIPELINING|.
    C< +OK|PIPELINING{}|.
"""


class Make(Protocol):
    """Make a session with these plugins, and play it up to a point."""

    def __call__(
        self,
        *plugins: object,
        greeted: bool = True,
        logged_in: bool = False,
        pipelining: bool = False,
        client: str = "127.0.0.1",
        **rules: Any,
    ) -> Stage: ...


@pytest.fixture
def pop3() -> Make:
    def make(
        *plugins: object,
        greeted: bool = True,
        logged_in: bool = False,
        pipelining: bool = False,
        client: str = "127.0.0.1",
        **rules: Any,
    ) -> Stage:
        plugs = [Plug(f"plug{number}", plugin) for number, plugin in enumerate(plugins)]
        stage = Stage("pop3", plugs, Rules(upstream="server", **rules), client=Address(client, 40000))
        if greeted or logged_in or pipelining:
            stage.play(GREETED)
        if logged_in:
            stage.play(LOGGED_IN)
        if pipelining:
            stage.play(PIPELINING.format("|STLS" if rules.get("starttls") else ""))
        return stage

    return make
