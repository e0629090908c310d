"""Sessions to play with, up to a point."""

from typing import Any, Literal, Protocol

import pytest

from mailweir.chain.chain import Plug
from mailweir.relay.rules import Rules
from mailweir.session import Address
from mailweir.testing.play import Stage

GREETED = """
    U> 220 mail.example.org
    C< 220 mail.example.org
"""
ALL = "PIPELINING|250-CHUNKING|250 ENHANCEDSTATUSCODES"
HELLO = """
    C> {verb} me
    U< {verb} me
    U> 250-mail.example.org|250-{offer}
    C< 250-mail.example.org|250-{heard}
"""
MAIL = """
    C> MAIL FROM:<ann@example.org>
    U< MAIL FROM:<ann@example.org>
    U> 250 2.1.0 ok
    C< 250 2.1.0 ok
    C> RCPT TO:<bob@example.net>
    U< RCPT TO:<bob@example.net>
    U> 250 2.1.5 ok
    C< 250 2.1.5 ok
"""
DATA = """
    C> DATA
    U< DATA
    U> 354 go
    C< 354 go
"""


def heard(offer: str) -> str:
    """The keywords that a client hears where upstream has these, PIPELINING among them."""
    return offer if "CHUNKING" in offer else offer.replace("|250 ", "|250-") + "|250 CHUNKING"


Point = Literal["connected", "greeted", "hello", "mail", "data"]


class Make(Protocol):
    """Make a session with these plugins, and play it up to `upto`."""

    def __call__(
        self,
        *plugins: object,
        upto: Point = "hello",
        protocol: Literal["smtp", "lmtp"] = "smtp",
        offer: str = ALL,
        client: str = "192.0.2.1",
        **rules: Any,
    ) -> Stage: ...


@pytest.fixture
def smtp() -> Make:
    def make(
        *plugins: object,
        upto: Point = "hello",
        protocol: Literal["smtp", "lmtp"] = "smtp",
        offer: str = ALL,
        client: str = "192.0.2.1",
        **rules: Any,
    ) -> Stage:
        plugs = [
            plugin if isinstance(plugin, Plug) else Plug(f"plug{number}", plugin)
            for number, plugin in enumerate(plugins)
        ]
        known = Rules(**{"upstream": "server", "hostname": "weir.example", **rules})
        stage = Stage(protocol, plugs, known, client=Address(client, 40000))
        verb = "LHLO" if protocol == "lmtp" else "EHLO"
        hello = HELLO.format(verb=verb, offer=offer, heard=heard(offer))
        for point, script in {"greeted": GREETED, "hello": hello, "mail": MAIL, "data": DATA}.items():
            if upto == "connected":
                break
            stage.play(script)
            if point == upto:
                break
        return stage

    return make
