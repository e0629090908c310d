"""One side as relay and peer see it: octets, back-pressure, TLS, and every way of ending."""

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from net.conftest import Bench


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_octets_pass_both_ways(bench: "Bench") -> None:
    async def main() -> None:
        async with bench.server(_echo) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            data = bytes(range(256)) * 20000
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            writer.close()
            await bench.relay.ended.wait()
            assert bench.relay.events == ["arrived", "upstream ready", "client gone: ", "upstream gone: "]

    bench.run(main())
