"""Clients that come to a listener: which are welcome, and what of theirs becomes a session."""

from mailweir import metrics
from mailweir.net.addresses import parse
from mailweir.net.listener import Listener
from mailweir.session import session_ids
from net.bench import Bench, echo


def test_a_session_is_made(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(echo) as address, bench.listener(bench.upstream(address)) as listener:
            _, one = await bench.dial(listener)
            await bench.until(lambda: len(bench.relays) == 1)
            await bench.dial(listener)
            await bench.until(lambda: len(bench.relays) == 2)
            first, second = (relay.session for relay in bench.relays)
            assert first.id < second.id and first.listener == "mx" and first.protocol == "smtp"
            assert (first.client.host, first.client.port) == one.get_extra_info("sockname")
            assert str(first.local) == str(listener.addresses[0])
            assert [entry.session for entry in bench.register] == [first, second]
            one.close()
            await bench.until(lambda: len(bench.register) == 1)

    bench.run(main())


def test_limits_close_at_once_and_are_counted(bench: Bench) -> None:
    async def main() -> None:
        for limit in ("sessions", "sessions_per_client"):
            bench.register.sessions = 1 if limit == "sessions" else 100
            bench.register.sessions_per_client = 1 if limit == "sessions_per_client" else 100
            refused = metrics.CONNECTIONS_REFUSED.cell("mx", limit)
            before, relays = refused.value, len(bench.relays)
            async with bench.server(echo) as address, bench.listener(bench.upstream(address)) as listener:
                await bench.dial(listener)
                reader, _ = await bench.dial(listener)
                assert await reader.read() == b""
                assert refused.value == before + 1 and len(bench.relays) == relays + 1

    bench.run(main())


def test_a_shut_address_and_one_that_changes_hands(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(echo) as address, bench.listener(bench.upstream(address)) as listener:
            place = parse("127.0.0.1:0")
            _, standing = await bench.dial(listener)
            await bench.until(lambda: len(bench.relays) == 1)
            heir = Listener("mx2", listener.welcome, bench.register, session_ids(), bench.clock)
            heir.take_over(place, listener)
            assert listener.addresses == [] and listener.places == [] and heir.places == [place]
            await bench.dial(heir)
            await bench.until(lambda: len(bench.relays) == 2)
            assert [relay.session.listener for relay in bench.relays] == ["mx", "mx2"]
            assert not standing.is_closing()
            listener.take_over(place, heir)

    bench.run(main())
