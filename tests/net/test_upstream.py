"""Reaching a server: which address stands, and the words for why none does."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from mailweir import metrics
from mailweir.net.dane import NoRecords, Tlsa
from mailweir.net.upstream import Upstream
from mailweir.relay.side import Side
from mailweir.session import Address, Tls
from net.bench import Bench, Forwarder, echo


@asynccontextmanager
async def session(bench: Bench, upstream: Upstream) -> AsyncIterator[asyncio.StreamReader]:
    """A client of a listener before `upstream`."""
    async with bench.listener(upstream) as listener:
        reader, _ = await bench.dial(listener)
        await bench.until(lambda: bool(bench.relays))
        yield reader


async def outcome(bench: Bench, upstream: Upstream) -> str:
    """What the relay is told of the dial."""
    async with session(bench, upstream):
        await bench.until(lambda: len(bench.relay.events) > 1)
        return bench.relay.events[1]


def attempts(result: str) -> float:
    return metrics.UPSTREAM_CONNECTS.cell("server", result).value


def closed_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_first_address_that_answers(bench: Bench) -> None:
    async def main() -> None:
        before = attempts("failed"), attempts("ok")
        async with bench.server(echo) as address:
            upstream = bench.upstream(f"127.0.0.1:{closed_port()}", "unix:/nowhere/s", address)
            async with session(bench, upstream):
                await bench.relay.ready.wait()
                assert bench.relay.session.upstream_address == address
                assert upstream.used == 1
            await bench.until(lambda: upstream.used == 0)
        assert (attempts("failed"), attempts("ok")) == (before[0] + 2, before[1] + 1)

    bench.run(main())


def test_every_number_of_a_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with bench.server(echo) as address:
            host, _, port = address.rpartition(":")

            async def found(place: object) -> list[Address]:
                return [Address("::1", int(port)), Address(host, int(port))]

            upstream = bench.upstream(f"mail.example.org:{port}")
            monkeypatch.setattr(upstream, "_resolve", found)
            async with session(bench, upstream):
                await bench.relay.ready.wait()
                assert bench.relay.session.upstream_address == address

    bench.run(main())


def test_unix_socket(bench: Bench) -> None:
    async def main() -> None:
        path = str(bench.folder / "s")
        server = await asyncio.start_unix_server(echo, path)
        async with session(bench, bench.upstream(f"unix:{path}")) as reader:
            await bench.relay.ready.wait()
            bench.relay.client_octets(b"hello")
            assert await reader.readexactly(5) == b"hello"
            assert bench.relay.session.upstream_address == f"unix:{path}"
        server.close()

    bench.run(main())


def test_nobody_there(bench: Bench) -> None:
    async def main() -> None:
        one, two = closed_port(), closed_port()
        upstream = bench.upstream(f"127.0.0.1:{one}", f"127.0.0.1:{two}", "unix:/nowhere/s")
        assert await outcome(bench, upstream) == (
            f"upstream failed: 127.0.0.1:{one}: connection refused; 127.0.0.1:{two}: connection refused; "
            "unix:/nowhere/s: no such file or directory"
        )
        assert upstream.used == 0

    bench.run(main())


def test_a_name_that_is_not_known(bench: Bench) -> None:
    async def main() -> None:
        told = await outcome(bench, bench.upstream("nowhere.invalid:25"))
        assert told.startswith("upstream failed: nowhere.invalid:25: host name not resolved (")

    bench.run(main())


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example.org"])
def test_a_name_that_no_host_can_have(bench: Bench, host: str) -> None:
    async def main() -> None:
        before = attempts("failed")
        told = await outcome(bench, bench.upstream(f"{host}:25"))
        assert told == f"upstream failed: {host}:25: no name that a host can have"
        assert attempts("failed") == before + 1

    bench.run(main())


def test_a_mistake_of_ours_is_told_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        upstream = bench.upstream("mail.example.org:25")

        async def broken(place: object) -> None:
            raise KeyError(place)

        monkeypatch.setattr(upstream, "_resolve", broken)
        assert await outcome(bench, upstream) == "upstream failed: internal error"
        assert upstream.used == 0

    bench.run(main())


def test_no_answer_in_time(bench: Bench) -> None:
    async def main() -> None:
        before = attempts("timeout")
        async with bench.server(mute) as address:
            upstream = bench.upstream(address, verify=False, implicit=True, timeout=0.05)
            told = await outcome(bench, upstream)
            assert told == f"upstream failed: {address}: no answer within 0.05 seconds"
            assert attempts("timeout") == before + 1 and upstream.used == 0

    bench.run(main())


def test_our_own_address(bench: Bench) -> None:
    async def main() -> None:
        told = await outcome(
            bench, bench.upstream("127.0.0.1:2525", is_own=lambda address: address.port == 2525)
        )
        assert "127.0.0.1:2525: is an address of our own" in told

    bench.run(main())


def test_an_upstream_that_nobody_configured(bench: Bench) -> None:
    async def main() -> None:
        async with session(bench, bench.upstream("127.0.0.1:1")):
            bench.relay._dial(bench.relay, "elsewhere")
            assert (
                bench.relay.events[-1]
                == "upstream failed: there is no upstream 'elsewhere' in the configuration"
            )

    bench.run(main())


def test_connections_are_capped(bench: Bench) -> None:
    async def main() -> None:
        before = attempts("full")
        async with bench.server(echo) as address:
            upstream = bench.upstream(address, connections=1)
            async with bench.listener(upstream) as listener:
                _, first = await bench.dial(listener)
                await bench.until(lambda: bool(bench.relays))
                await bench.relay.ready.wait()
                await bench.dial(listener)
                await bench.until(lambda: len(bench.relays) == 2 and len(bench.relay.events) == 2)
                assert bench.relay.events[1] == "upstream failed: all 1 connections to it are in use"
                assert attempts("full") == before + 1
                first.close()
                await bench.until(lambda: upstream.used == 0)
                await bench.dial(listener)
                await bench.until(lambda: len(bench.relays) == 3 and bench.relay.ready.is_set())

    bench.run(main())


def test_dialled_again_in_the_same_session(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one connection of a session stands at a time, and only one is counted."""
    gone = Forwarder.upstream_gone

    def dial_again(relay: Forwarder, reason: str) -> None:
        if relay.events.count("upstream ready") < 3:
            relay.events.append("upstream lost")
            relay.client.pause("dialling")
            relay.arrived()
        else:
            gone(relay, reason)

    monkeypatch.setattr(Forwarder, "upstream_gone", dial_again)

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def main() -> None:
        async with bench.server(once) as address:
            upstream = bench.upstream(address, connections=1)
            async with bench.listener(upstream) as listener:
                reader, writer = await bench.dial(listener)
                for line in (b"one\n", b"two\n", b"three\n"):
                    writer.write(line)
                    assert await reader.readline() == line
                    assert upstream.used <= 1
                assert await reader.read() == b""
                writer.close()
                await bench.until(lambda: not len(bench.register))
                assert bench.relay.events.count("upstream ready") == 3
                assert "upstream failed" not in " ".join(bench.relay.events)
                assert upstream.used == 0

    bench.run(main())


def test_a_client_that_leaves_ends_the_dial(bench: Bench) -> None:
    async def main() -> None:
        hung_up = asyncio.Event()

        async def hears_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read(-1)
            finally:
                hung_up.set()

        async with bench.server(hears_the_end) as address:
            upstream = bench.upstream(address, verify=False, implicit=True)
            async with bench.listener(upstream) as listener:
                _, writer = await bench.dial(listener)
                await bench.until(lambda: bool(bench.relays))
                writer.close()
                await bench.relay.ended.wait()
                await hung_up.wait()
                await bench.until(lambda: not len(bench.register))
                assert bench.relay.events == ["arrived", "client gone: "]
                assert upstream.used == 0

    bench.run(main())


def test_a_client_that_leaves_as_upstream_stands(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop has not told the dialler yet that it connected: the server's end must be told all the same."""
    stands = Forwarder.upstream_ready

    def leaving(relay: Forwarder, side: Side, tls: Tls | None) -> None:
        stands(relay, side, tls)
        relay.client.abort()

    monkeypatch.setattr(Forwarder, "upstream_ready", leaving)

    async def main() -> None:
        async with bench.server(echo) as address:
            upstream = bench.upstream(address)
            async with bench.listener(upstream) as listener:
                await bench.dial(listener)
                await bench.until(lambda: bool(bench.relays))
                await bench.until(lambda: bench.relay.ended.is_set())
                assert bench.relay.events[-2:] == ["client gone: ", "upstream gone: "]
                await bench.until(lambda: upstream.used == 0)

    bench.run(main())


def test_nothing_is_heard_before_the_relay_has_the_side(bench: Bench) -> None:
    async def main() -> None:
        async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 hello\r\n")
            await reader.read(-1)

        async with (
            bench.server(greets, ssl=bench.server_side("localhost")) as address,
            session(
                bench,
                bench.upstream(
                    address.replace("127.0.0.1", "localhost"), verify=bench.authority_file, implicit=True
                ),
            ) as reader,
        ):
            assert await reader.readline() == b"220 hello\r\n"

    bench.run(main())


HOUR = datetime.timedelta(hours=1)
UNTRUSTED = {
    "expired": "certificate has expired",
    "wrong name": "certificate is for other.example.org, not for localhost",
    "no name": "not for localhost",
    "unknown authority": "certificate is signed by nobody we trust",
    "not TLS": "TLS: ",
}


@pytest.mark.parametrize("case", UNTRUSTED)
@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "starttls"])
def test_what_is_not_believed(
    bench: Bench, case: str, implicit: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """The session ends, the reason says why, and not one octet has gone up."""

    async def main() -> None:
        heard: list[bytes] = []
        context = None
        if case != "not TLS":
            past = datetime.datetime.now(datetime.UTC) - HOUR
            name = {"wrong name": "other.example.org", "no name": "192.0.2.1"}.get(case, "localhost")
            context = bench.server_side(name, **({"not_after": past} if case == "expired" else {}))

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not implicit:
                writer.write(b"220 tls\r\n")
                if context is not None:
                    await writer.start_tls(context)
            if context is None:
                await reader.read(100)
                writer.write(b"500 what?\r\n")
                return
            heard.append(await reader.read(-1))

        believed = bench.authority_file
        if case == "unknown authority":
            believed = bench.folder / "other.pem"
            trustme.CA().cert_pem.write_to_path(str(believed))
        async with bench.server(talk, **({"ssl": context} if implicit and context else {})) as address:
            upstream = bench.upstream(
                address.replace("127.0.0.1", "localhost"), verify=believed, implicit=implicit
            )
            async with session(bench, upstream):
                relay = bench.relay
                await relay.ended.wait()
                assert "upstream secured" not in relay.events
                told = relay.events[1] if implicit else relay.events[2]
                assert told.startswith("upstream insecure: " if implicit else "upstream gone: TLS: ")
                assert UNTRUSTED[case] in told
                logged = capfd.readouterr().out
                assert implicit or ("TLS handshake failed" in logged and UNTRUSTED[case] in logged)
        assert not any(heard)

    bench.run(main())


def test_anybody_is_believed_where_the_keeper_says_so(bench: Bench) -> None:
    async def main() -> None:
        async with bench.server(echo, ssl=bench.server_side("other.example.org")) as address:
            told = await outcome(bench, bench.upstream(address, verify=False, implicit=True))
            assert told == "upstream ready TLSv1.3"

    bench.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_number_is_proven_too(bench: Bench, host: str) -> None:
    async def main() -> None:
        async with bench.server(echo, ssl=bench.server_side(host), host=host) as address:
            told = await outcome(bench, bench.upstream(address, verify=bench.authority_file, implicit=True))
            assert told == "upstream ready TLSv1.3"

    bench.run(main())


def test_the_system_does_not_know_our_authority(bench: Bench, tmp_path: Path) -> None:
    async def main() -> None:
        async with bench.server(echo, ssl=bench.server_side("127.0.0.1")) as address:
            told = await outcome(bench, bench.upstream(address, verify=True, implicit=True))
            assert "signed by nobody we trust" in told and isinstance(bench.relay, Forwarder)

    bench.run(main())


def test_another_name_is_checked_and_asked_for(bench: Bench) -> None:
    """`name` in place of the address' host, in the certificate and, where `sni` says nothing else, in SNI."""

    async def main() -> None:
        asked: list[str | None] = []
        context = bench.server_side("mx.example.org")
        context.set_servername_callback(lambda socket, name, context: asked.append(name))
        async with bench.server(echo, ssl=context) as address:
            for tls, said in (
                ({"name": "mx.example.org"}, "upstream ready TLSv1.3"),
                ({"name": "mx.example.org", "sni": "other.example.org"}, "upstream ready TLSv1.3"),
                ({"name": "mx.example.net"}, "certificate is for mx.example.org, not for mx.example.net"),
            ):
                upstream = bench.upstream(address, verify=bench.authority_file, implicit=True, tls=tls)
                assert said in await outcome(bench, upstream)
        assert asked == ["mx.example.org", "other.example.org", "mx.example.net"]

    bench.run(main())


@pytest.mark.parametrize("shown", [True, False])
def test_a_server_that_wants_to_see_a_certificate(bench: Bench, shown: bool) -> None:
    async def main() -> None:
        seen: list[object] = []

        async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(writer.get_extra_info("peercert")["subjectAltName"])
            await echo(reader, writer)

        context = bench.server_side("127.0.0.1")
        context.load_verify_locations(str(bench.authority_file))
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # later ones refuse only after the handshake
        tls = {"pair": bench.certificate("weir.example.org")} if shown else {}
        async with bench.server(look, ssl=context) as address:
            upstream = bench.upstream(address, verify=bench.authority_file, implicit=True, tls=tls)
            told = await outcome(bench, upstream)
        if shown:
            assert told == "upstream ready TLSv1.2" and seen == [(("DNS", "weir.example.org"),)]
        else:
            assert told.startswith("upstream insecure: ") and not seen

    bench.run(main())


def tlsa(certificate: Path, usage: int = 3) -> Tlsa:
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    return Tlsa(usage, 0, 1, loaded.fingerprint(hashes.SHA256()))


@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "starttls"])
@pytest.mark.parametrize("case", ["matches", "another", "none"])
def test_dane(bench: Bench, case: str, implicit: bool) -> None:
    """No authority is known here: the records alone say who is believed, for that host and port."""

    async def main() -> None:
        asked: list[tuple[str, int]] = []
        pair = bench.certificate("mx.example.org")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pair)
        expected = pair[0] if case == "matches" else bench.certificate("mx.example.org")[0]

        async def records(host: str, port: int) -> list[Tlsa]:
            asked.append((host, port))
            if case == "none":
                raise NoRecords("there are no TLSA records")
            return [tlsa(expected)]

        heard: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not implicit:
                writer.write(b"220 tls\r\n")
                await writer.start_tls(context)
            heard.append(await reader.read(-1))

        async with bench.server(talk, **({"ssl": context} if implicit else {})) as address:
            port = int(address.rpartition(":")[2])
            upstream = bench.upstream(f"localhost:{port}", verify="dane", implicit=implicit, records=records)
            async with session(bench, upstream):
                relay = bench.relay
                last = 2 if implicit or case == "none" else 3
                await bench.until(lambda: len(relay.events) >= last)
                told = relay.events
        assert asked == [("localhost", port)]
        if case == "matches":
            assert told[1:last] == (
                ["upstream ready TLSv1.3"] if implicit else ["upstream ready", "upstream secured"]
            )
        elif case == "none":
            assert told[1] == f"upstream insecure: localhost:{port}: there are no TLSA records"
        else:
            assert "TLS: certificate matches no TLSA record of localhost" in told[last - 1]
            assert not any(heard)

    bench.run(main())


def test_dane_needs_a_name(bench: Bench) -> None:
    async def records(host: str, port: int) -> list[Tlsa]:
        raise AssertionError("asked")

    async def main() -> None:
        upstream = bench.upstream("127.0.0.1:1", verify="dane", records=records)
        assert "DANE needs a host name" in await outcome(bench, upstream)

    bench.run(main())
