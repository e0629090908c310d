"""Ports that open, stay, change hands and close together."""

import asyncio
import socket

import pytest
from twisted.internet.task import Clock

from app.program import free_port
from mailweir.app.config import Configuration
from mailweir.app.doors import Doors, Unable
from mailweir.app.generation import Generation
from mailweir.net.register import Register
from mailweir.session import Address
from mailweir.spool import Spool


class Running:
    unready = ""


def made(admin: int = 0, host: str = "127.0.0.1", **ports: int) -> Generation:
    """A generation whose listeners have these ports, of the loopback."""
    listeners = {
        name: {"protocol": "smtp", "listen": [f"{host}:{port}"], "upstream": "mta"}
        for name, port in ports.items()
    }
    data = {"listeners": listeners, "upstreams": {"mta": {"address": ["127.0.0.1:1"]}}}
    if admin:
        data["admin"] = {"listen": f"127.0.0.1:{admin}"}
    return Generation(Configuration.model_validate(data), {}, Clock(), lambda address: False, Spool())


def doors() -> Doors:
    return Doors(Register(), Running(), Clock())


def opens(port: int) -> bool:
    """Somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_addresses_come_and_go() -> None:
    async def main() -> None:
        house, kept, gone, new, window = doors(), *(free_port() for _ in range(4))
        await house.change(made(window, kept=kept, gone=gone))
        assert list(house.listeners) == ["kept", "gone"]
        assert [opens(port) for port in (kept, gone, new, window)] == [True, True, False, True]
        await house.change(made(kept=kept, new=new))
        assert list(house.listeners) == ["kept", "new"]
        assert [opens(port) for port in (kept, gone, new, window)] == [True, False, True, False]
        assert house.is_own(Address("127.0.0.1", new)) and not house.is_own(Address("127.0.0.1", gone))
        house.shut()
        assert not opens(kept) and not opens(new)

    asyncio.run(main())


def test_an_address_changes_hands_without_being_closed() -> None:
    async def main() -> None:
        house, port, other = doors(), free_port(), free_port()
        await house.change(made(one=port, two=other))
        ports = {port: house.listeners["one"]._ports, other: house.listeners["two"]._ports}
        before = [next(iter(held.values()))[0] for held in ports.values()]
        await house.change(made(two=port, one=other))
        after = [next(iter(house.listeners[name]._ports.values()))[0] for name in ("two", "one")]
        assert before == after and opens(port) and opens(other)
        assert [port.factory for port in after] == [house.listeners["two"], house.listeners["one"]]
        house.shut()

    asyncio.run(main())


def test_all_or_nothing() -> None:
    async def main() -> None:
        house, kept, new, window = doors(), free_port(), free_port(), free_port()
        await house.change(made(kept=kept))
        welcome = house.listeners["kept"].welcome
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            taken, also = one.getsockname()[1], two.getsockname()[1]
            with pytest.raises(Unable) as error:
                await house.change(made(window, new=new, taken=taken, also=also))
            first, second = error.value.reasons
            assert first.startswith(f"listeners.taken: 127.0.0.1:{taken}: port taken")
            assert second.startswith(f"listeners.also: 127.0.0.1:{also}: port taken")
            with pytest.raises(Unable, match=f"admin: 127.0.0.1:{taken}: port taken"):
                await house.change(made(taken, new=new))
        assert opens(kept) and not opens(new) and not opens(window)
        assert list(house.listeners) == ["kept"] and house.listeners["kept"].welcome is welcome
        house.shut()

    asyncio.run(main())


def test_an_address_that_covers_one_of_ours() -> None:
    async def main() -> None:
        house, port = doors(), free_port()
        await house.change(made(mx=port))
        with pytest.raises(Unable, match=f"; mailweir itself still has 127.0.0.1:{port}: restart it, or"):
            await house.change(made(host="0.0.0.0", mx=port))
        assert opens(port)
        house.shut()

    asyncio.run(main())


def test_the_window_stays_open_longest() -> None:
    async def main() -> None:
        house, port, window = doors(), free_port(), free_port()
        await house.change(made(window, mx=port))
        house.shut()
        assert opens(window) and not opens(port)
        house.shut_window()
        assert not opens(window)

    asyncio.run(main())
