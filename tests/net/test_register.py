"""Who may come, and when nobody is left."""

import asyncio

from mailweir.net.register import Register
from mailweir.relay.side import Relay
from mailweir.session import Address, Session


class Somebody:
    welcome: object = None
    relay: Relay | None = None

    def __init__(self, host: str) -> None:
        port = 40000 if host else 0
        self.session = Session("s", "mx", "smtp", Address(host, port), Address("192.0.2.2", 25), 0.0)

    def abort(self) -> None: ...

    def retire(self) -> None: ...


def test_limits() -> None:
    register = Register(sessions=3, sessions_per_client=2)
    one, other = Somebody("192.0.2.1"), Somebody("192.0.2.1")
    for entry in (one, other):
        assert register.refuses("192.0.2.1") == ""
        register.enter(entry)
    assert register.refuses("192.0.2.1") == "sessions_per_client"
    assert register.refuses("192.0.2.9") == ""
    register.enter(Somebody("192.0.2.9"))
    assert register.refuses("192.0.2.10") == "sessions"
    register.leave(other)
    assert register.refuses("192.0.2.1") == ""
    assert next(iter(register)) is one and len(register) == 2


def test_clients_of_unix_sockets_are_not_told_apart() -> None:
    register = Register(sessions=100, sessions_per_client=1)
    register.enter(Somebody(""))
    assert register.refuses("") == ""


def test_emptied() -> None:
    async def main() -> None:
        register, somebody = Register(), Somebody("192.0.2.1")
        assert register.emptied().done()
        register.enter(somebody)
        emptied = register.emptied()
        assert not emptied.done()
        register.leave(somebody)
        assert emptied.done()

    asyncio.run(main())
