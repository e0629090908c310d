"""One side as relay and peer see it: octets, back-pressure, TLS, and every way of ending."""

import asyncio
import os
import socket
import ssl

import pytest

from mailweir import metrics
from mailweir.net.connection import GATHERED, HANDSHAKE, HURRIED, LINGER
from mailweir.net.transport import WRITE_BUFFER
from net.bench import Bench, Forwarder, echo

PIECE = 256 * 1024
"""What one read of the loop gives at most."""
KERNEL = 64 * 1024 * 1024
"""More octets than the kernel takes for the sockets of two connections whose last peer does not read."""


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that takes nothing and says nothing."""
    await asyncio.Event().wait()


async def swallows(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that takes all and says nothing until the client has said its last."""
    while await reader.read(65536):
        pass
    writer.write(b"221 bye\r\n")
    writer.close()


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that talks as long as anybody listens."""
    while True:
        writer.write(bytes(65536))
        await writer.drain()


def handshakes(leg: str, result: str) -> float:
    cells = metrics.HANDSHAKES.cells.items()
    return sum(cell.value for labels, cell in cells if labels[:3] == ("mx", leg, result))


def test_octets_pass_both_ways(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(echo) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            data = bytes(range(256)) * 20000
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            writer.close()
            await bench.relay.ended.wait()
            assert bench.relay.events == ["arrived", "upstream ready", "client gone: ", "upstream gone: "]
            assert bench.relay.session.upstream_address == address

    bench.run(main())


@pytest.mark.parametrize("listen", ["[::1]:0", "unix:{}/s"])
def test_octets_pass_on_other_sockets(bench: Bench, listen: str) -> None:
    async def main() -> None:
        async with (
            bench.server(echo, host="::1") as address,
            bench.listener(bench.upstream(address), listen.format(bench.folder)) as listener,
        ):
            reader, writer = await bench.dial(listener)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"

    bench.run(main())


def test_a_full_upstream_stops_the_client(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(silent) as address, bench.listener(bench.upstream(address)) as listener:
            _, writer = await bench.dial(listener)
            flood = asyncio.create_task(pour(writer))
            await bench.until(lambda: bool(bench.relays) and bench.relay.ready.is_set())
            leg, upstream = bench.legs[0], bench.legs[0]._upstream
            assert upstream is not None
            await bench.until(lambda: upstream.full and bool(leg._kept))
            assert leg._pauses == {"upstream full"}
            assert sum(map(len, leg._kept)) <= PIECE
            assert _waiting(upstream) <= WRITE_BUFFER + 2 * PIECE
            assert not flood.done()
            flood.cancel()

    bench.run(main())


async def pour(writer: asyncio.StreamWriter) -> None:
    """More than the kernel takes for somebody who does not read."""
    for _ in range(KERNEL // 65536):
        writer.write(bytes(65536))
        await writer.drain()


def _waiting(side: object) -> int:
    """Octets that a side's transport holds in our memory."""
    size: int = side._wire._transport.get_write_buffer_size()  # type: ignore[attr-defined]
    return size


def test_a_client_that_takes_no_answers_stops_upstream_and_itself(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(floods) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener, limit=1024)
            writer.write(b"hello")
            await bench.until(lambda: bool(bench.legs) and bench.legs[0].full)
            leg, upstream = bench.legs[0], bench.legs[0]._upstream
            assert upstream is not None
            await bench.until(lambda: bool(upstream._kept))
            assert "client full" in leg._pauses and "client full" in upstream._pauses
            assert sum(map(len, upstream._kept)) <= PIECE and _waiting(leg) <= WRITE_BUFFER + 2 * PIECE
            while not bench.relay.drains:
                await reader.read(65536)
            assert not leg.full or bench.relay.drains == 1

    bench.run(main())


def test_a_paused_client_is_noticed_when_it_leaves(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(silent) as address, bench.listener(bench.upstream(address)) as listener:
            _, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            writer.write(b"HOLD")
            await bench.until(lambda: "held" in bench.legs[0]._pauses)
            writer.close()
            await bench.until(lambda: bench.relay.events[-1] == "client gone: ")

    bench.run(main())


def test_what_came_while_paused_is_delivered_before_the_end(bench: Bench) -> None:
    async def main() -> None:
        heard: list[bytes] = []

        async def keeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(-1))
            writer.close()

        async with bench.server(keeps) as address, bench.listener(bench.upstream(address)) as listener:
            _, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            writer.write(b"HOLD")
            await bench.until(lambda: "held" in bench.legs[0]._pauses)
            writer.write(b"last words")
            writer.close()
            await bench.until(lambda: bool(bench.legs[0]._kept))
            assert bench.relay.events[-1] == "upstream ready"
            bench.legs[0].resume("held")
            await bench.relay.ended.wait()
            assert heard == [b"last words"]
            assert bench.relay.events[-2:] == ["client gone: ", "upstream gone: "]

    bench.run(main())


def test_an_end_that_waits_is_told_when_nobody_wants_the_octets(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(echo) as address, bench.listener(bench.upstream(address)) as listener:
            _, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            writer.write(b"HOLD")
            await bench.until(lambda: "held" in bench.legs[0]._pauses)
            leg = bench.legs[0]
            leg._kept.append(b"TLS may give octets and the end in one piece")
            reset(writer)
            await bench.until(lambda: not len(bench.register))
            assert bench.relay.events[-1] == "upstream ready"
            leg.abort()
            await bench.relay.ended.wait()
            assert bench.relay.events[2] == "client gone: connection reset by peer"

    bench.run(main())


def test_a_reset_has_a_reason(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(echo) as address, bench.listener(bench.upstream(address)) as listener:
            _, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            reset(writer)
            await bench.relay.ended.wait()
            assert bench.relay.events[2] == "client gone: connection reset by peer"

    bench.run(main())


def reset(writer: asyncio.StreamWriter) -> None:
    handle = writer.get_extra_info("socket")
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


def test_upstream_leaves(bench: Bench) -> None:
    async def main() -> None:
        async def bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"421 too busy\r\n")
            writer.close()

        async with bench.server(bye) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            assert await reader.read() == b"421 too busy\r\n"
            writer.close()
            await bench.until(lambda: bench.relay.events[-1].startswith("client gone"))
            assert bench.relay.events[2:] == ["upstream gone: ", "client gone: "]

    bench.run(main())


def test_abort_resets_the_client(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(echo) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            writer.write(b"ABORT")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            await bench.relay.ended.wait()

    bench.run(main())


def test_a_client_that_closed_its_half_gets_what_it_is_owed(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(swallows) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            bench.relay.owing = True
            writer.write(b"QUIT\r\n")
            writer.write_eof()
            await bench.until(lambda: bench.legs[0]._heard_all)
            assert bench.relay.events[-1] == "upstream ready"
            bench.relay.owing = False
            bench.relay.client.write(b"250 ok\r\n")
            assert await reader.read() == b"250 ok\r\n"
            assert bench.relay.events[2] == "client gone: "

    bench.run(main())


def test_close_waits_for_the_peer_and_not_for_ever(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(silent) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            leg = bench.legs[0]
            bench.relay.client.write(b"bye\r\n")
            bench.relay.client.close()
            bench.relay.client.close()
            bench.relay.client.write(b"more")
            assert await reader.read() == b"bye\r\n"
            writer.write(b"ignored")
            bench.clock.advance(LINGER - 1)
            await asyncio.sleep(0.01)
            assert len(bench.register) == 1
            bench.clock.advance(1)
            await bench.until(lambda: not len(bench.register))
            assert not leg._kept and bench.relay.events[-1].startswith("client gone")

    bench.run(main())


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_peer_has_less_time_once_we_want_to_stop(bench: Bench, when: str) -> None:
    async def main() -> None:
        async with bench.server(silent) as address, bench.listener(bench.upstream(address)) as listener:
            reader, _ = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            leg = bench.legs[0]
            if when == "after":
                bench.relay.client.close()
                bench.clock.advance(1)
            leg.retire()
            assert await reader.read() == b""
            bench.clock.advance(HURRIED - 0.5)
            await asyncio.sleep(0.01)
            assert len(bench.register) == 1
            bench.clock.advance(0.5)
            await bench.until(lambda: not len(bench.register))

    bench.run(main())


def test_who_has_not_arrived_is_turned_away_when_we_stop(bench: Bench) -> None:
    async def main() -> None:
        upstream = bench.upstream("127.0.0.1:9")
        async with bench.listener(upstream, layer=bench.layer("localhost"), implicit=True) as listener:
            await bench.dial(listener)
            await bench.until(lambda: bool(bench.legs))
            bench.legs[0].retire()
            await bench.until(lambda: not len(bench.register))

    bench.run(main())


GROUP = b"".join(b"RCPT TO:<%d@example.org>\r\n" % number for number in range(100))


@pytest.mark.parametrize("count", [1, 100])
def test_what_is_written_in_one_go_leaves_in_one_piece(
    bench: Bench, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of commands that the relay took apart, and the group of their answers."""
    monkeypatch.setattr(Forwarder, "client_octets", by_line)
    group = GROUP[: GROUP.index(b"<%d@" % count)] if count < 100 else GROUP

    async def main() -> None:
        pieces: list[bytes] = []

        async def keeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(1 << 16):
                pieces.append(piece)

        async with bench.server(keeps) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            writer.write(group)
            assert await reader.read(1 << 16) == group
            await bench.until(lambda: b"".join(pieces) == group)
            assert len(pieces) == 1

    bench.run(main())


def by_line(relay: Forwarder, data: bytes) -> None:
    assert relay.upstream is not None
    for line in data.splitlines(keepends=True):
        relay.upstream.write(line)
        relay.client.write(line)


@pytest.mark.parametrize(("end", "heard"), [("close", b"a\nb\n"), ("abort", b"")])
def test_what_was_gathered_leaves_before_the_end(
    bench: Bench, end: str, heard: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(relay: Forwarder, data: bytes) -> None:
        by_line(relay, data)
        getattr(relay.client, end)()
        by_line(relay, data)

    monkeypatch.setattr(Forwarder, "client_octets", ends)

    async def main() -> None:
        async with bench.server(silent) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            writer.write(b"a\nb\n")
            try:
                assert await reader.read() == heard
            except ConnectionError:
                assert end == "abort"

    bench.run(main())


@pytest.mark.parametrize("size", [GATHERED - 1, GATHERED, 3 * GATHERED])
def test_large_pieces_keep_their_place(bench: Bench, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forwarder, "client_octets", by_line)
    said = b"small\n" * 5000 + b"x" * size + b"\nsmall\n"

    async def main() -> None:
        async with bench.server(echo) as address, bench.listener(bench.upstream(address)) as listener:
            reader, writer = await bench.dial(listener)
            monkeypatch.setattr(Forwarder, "upstream_octets", lambda relay, data: None)
            writer.write(said)
            assert await reader.readexactly(len(said)) == said

    bench.run(main())


def test_implicit_tls_on_both_legs(bench: Bench) -> None:
    async def main() -> None:
        async with (
            bench.server(echo, ssl=bench.server_side("localhost")) as address,
            bench.listener(
                bench.upstream(
                    address.replace("127.0.0.1", "localhost"), verify=bench.authority_file, implicit=True
                ),
                layer=bench.layer("mx.example.org"),
                implicit=True,
            ) as listener,
        ):
            reader, writer = await bench.dial(
                listener, ssl=bench.client_side(), server_hostname="mx.example.org"
            )
            data = bytes(range(256)) * 10000
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            tls = bench.relay.session.client_tls
            assert tls is not None
            assert (tls.version, tls.sni) == ("TLSv1.3", "mx.example.org") and tls.cipher.startswith("TLS_")
            assert bench.relay.events == ["arrived", "upstream ready TLSv1.3"]
            writer.close()
            await bench.relay.ended.wait()
            assert bench.relay.events[2:] == ["client gone: ", "upstream gone: "]

    bench.run(main())


def test_starttls_on_both_legs(bench: Bench) -> None:
    async def main() -> None:
        server = bench.server_side("localhost")

        async def offers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 tls\r\n")
            await writer.start_tls(server)
            await echo(reader, writer)

        async with (
            bench.server(offers) as address,
            bench.listener(
                bench.upstream(address.replace("127.0.0.1", "localhost"), verify=bench.authority_file),
                layer=bench.layer("mx.example.org"),
            ) as listener,
        ):
            before = handshakes("client", "ok"), handshakes("upstream", "ok")
            reader, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays) and "upstream secured" in bench.relay.events)
            writer.write(b"STARTTLS\r\n")
            assert await reader.readline() == b"220 go\r\n"
            await writer.start_tls(bench.client_side(), server_hostname="mx.example.org")
            data = bytes(range(256)) * 10000
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            assert bench.relay.events[2:] == ["upstream secured", "client secured"]
            assert (handshakes("client", "ok"), handshakes("upstream", "ok")) == (
                before[0] + 1,
                before[1] + 1,
            )

    bench.run(main())


def test_octets_in_clear_behind_starttls_end_the_session(bench: Bench) -> None:
    async def main() -> None:
        async with (
            bench.server(echo) as address,
            bench.listener(bench.upstream(address), layer=bench.layer("mx.example.org")) as listener,
        ):
            before = handshakes("client", "failed")
            reader, writer = await bench.dial(listener)
            writer.write(b"STARTTLS\r\n")
            assert await reader.readline() == b"220 go\r\n"
            writer.write(b"MAIL FROM:<injected@example.net>\r\n")
            await bench.relay.ended.wait()
            assert bench.relay.events[2].startswith("client gone: TLS: ")
            assert handshakes("client", "failed") == before + 1

    bench.run(main())


def test_octets_kept_when_tls_begins_end_the_session(bench: Bench) -> None:
    async def main() -> None:
        async with (
            bench.server(echo) as address,
            bench.listener(bench.upstream(address), layer=bench.layer("mx.example.org")) as listener,
        ):
            _, writer = await bench.dial(listener)
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            writer.write(b"HOLD")
            await bench.until(lambda: "held" in bench.legs[0]._pauses)
            writer.write(b"EHLO injected\r\n")
            await bench.until(lambda: bool(bench.legs[0]._kept))
            bench.legs[0].start_tls()
            await bench.relay.ended.wait()
            assert bench.relay.events[2] == "client gone: octets in clear behind STARTTLS from client"

    bench.run(main())


def test_a_handshake_has_a_deadline(bench: Bench) -> None:
    async def main() -> None:
        async with (
            bench.server(echo) as address,
            bench.listener(
                bench.upstream(address), layer=bench.layer("mx.example.org"), implicit=True
            ) as listener,
        ):
            before = handshakes("client", "failed")
            reader, _ = await bench.dial(listener)
            await bench.until(lambda: len(bench.register) == 1)
            bench.clock.advance(HANDSHAKE)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            await bench.until(lambda: not len(bench.register))
            assert not bench.relays and handshakes("client", "failed") == before + 1

    bench.run(main())


def test_closing_during_a_handshake_does_not_wait_for_it(bench: Bench) -> None:
    async def main() -> None:
        async with (
            bench.server(echo) as address,
            bench.listener(bench.upstream(address), layer=bench.layer("mx.example.org")) as listener,
        ):
            reader, writer = await bench.dial(listener)
            writer.write(b"STARTTLS\r\n")
            assert await reader.readline() == b"220 go\r\n"
            bench.relay.client.close()
            await bench.relay.ended.wait()

    bench.run(main())


def test_tls_that_is_cut_off_is_told_from_tls_that_is_closed(bench: Bench) -> None:
    async def main() -> None:
        async with (
            bench.server(echo) as address,
            bench.listener(
                bench.upstream(address), layer=bench.layer("mx.example.org"), implicit=True
            ) as listener,
        ):
            _, writer = await bench.dial(listener, ssl=bench.client_side(), server_hostname="mx.example.org")
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as handle:
                handle.shutdown(socket.SHUT_WR)
            await bench.relay.ended.wait()
            assert bench.relay.events[2] == "client gone: closed without TLS close_notify"

    bench.run(main())


def test_a_client_leg_closed_by_us_says_so_in_tls(bench: Bench) -> None:
    async def main() -> None:
        async with (
            bench.server(echo) as address,
            bench.listener(
                bench.upstream(address), layer=bench.layer("mx.example.org"), implicit=True
            ) as listener,
        ):
            context = bench.client_side()
            context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
            reader, _ = await bench.dial(listener, ssl=context, server_hostname="mx.example.org")
            await bench.until(lambda: bool(bench.relays))
            await bench.relay.ready.wait()
            bench.relay.client.write(b"bye\r\n")
            bench.relay.client.close()
            assert await reader.read() == b"bye\r\n"
            await bench.until(lambda: not len(bench.register))

    bench.run(main())
