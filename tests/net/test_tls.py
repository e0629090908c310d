"""Certificates of ours that can't serve, which one is shown, and what is wrong with those of others."""

import ssl
from pathlib import Path

import pytest
import trustme
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost

from mailweir import metrics
from mailweir.net.tls import CertificateUnusable, ClientTls, Layer, ServerTls, explain
from net.bench import Bench, LoopClock, echo


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    made = trustme.CA().issue_cert("mx.example.org")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    made.cert_chain_pems[0].write_to_path(str(chain))
    made.private_key_pem.write_to_path(str(key))
    return chain, key


def test_a_key_of_another_certificate(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("mx.example.org").private_key_pem.write_to_path(str(other))
    with pytest.raises(CertificateUnusable) as error:
        ServerTls([(pair[0], other)])
    assert str(error.value) == f"the key {other} does not belong to the certificate {pair[0]}"


def test_files_that_can_not_be_used(pair: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = pair
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    for certificate, private, reason in (
        (missing, key, f"{missing}: no such file or directory"),
        (empty, key, f"{empty}: there is no certificate in PEM form in it"),
        (chain, missing, f"{missing}: no such file or directory"),
        (chain, empty, f"{empty}: there is no private key without passphrase in PEM form in it"),
    ):
        with pytest.raises(CertificateUnusable) as error:
            ServerTls([(certificate, private)])
        assert str(error.value) == reason
    for file, reason in ((missing, "no such file"), (empty, "there is no CA certificates in PEM form")):
        with pytest.raises(CertificateUnusable, match=reason):
            ClientTls(file, LoopClock())


def test_when_a_certificate_expires(pair: tuple[Path, Path]) -> None:
    ServerTls([pair])
    told = metrics.CERTIFICATE_EXPIRY.cell(str(pair[0])).value
    decoded = ssl._ssl._test_decode_cert(str(pair[0]))  # type: ignore[attr-defined]
    assert told == ssl.cert_time_to_seconds(decoded["notAfter"])


SHOWN = {
    "the name": ("pop.example.org", "pop.example.org"),
    "in capitals": ("POP.example.org", "pop.example.org"),
    "a wildcard": ("any.example.net", "*.example.net"),
    "no wildcard over two labels": ("a.any.example.net", "mx.example.org"),
    "a name we have not": ("other.example.com", "mx.example.org"),
    "no name": (None, "mx.example.org"),
}


@pytest.mark.parametrize(("asked", "shown"), SHOWN.values(), ids=SHOWN.keys())
def test_the_certificate_is_chosen_by_name(bench: Bench, asked: str | None, shown: str) -> None:
    async def main() -> None:
        names = ("mx.example.org", "pop.example.org", "*.example.net")
        layer = Layer(ServerTls([bench.certificate(name) for name in names]), bench.clock)
        async with (
            bench.server(echo) as address,
            bench.listener(bench.upstream(address), layer=layer, implicit=True) as listener,
        ):
            context = bench.client_side()
            context.check_hostname = False
            _, writer = await bench.dial(listener, ssl=context, server_hostname=asked or "")
            certificate = writer.get_extra_info("peercert")
            assert certificate["subjectAltName"] == (("DNS", shown),)

    bench.run(main())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_protocols_are_refused(bench: Bench) -> None:
    async def main() -> None:
        layer = bench.layer("mx.example.org")
        async with (
            bench.server(echo) as address,
            bench.listener(bench.upstream(address), layer=layer, implicit=True) as listener,
        ):
            context = bench.client_side()
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await bench.dial(listener, ssl=context, server_hostname="mx.example.org")

    bench.run(main())


def test_reasons() -> None:
    reset = ConnectionLost("x")
    reset.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    odd = ConnectionLost("x")
    odd.__cause__ = RuntimeError("what now")
    assert explain(ConnectionDone(), None) == ""
    assert explain(reset, None) == "connection reset by peer"
    assert explain(odd, None) == "what now"
    assert explain(ConnectionLost(), None) == "connection lost"
    assert explain(SSL.Error([("SSL routines", "", "no shared cipher")]), None) == "TLS: no shared cipher"
    clear = SSL.Error([("SSL routines", "", "wrong version number")])
    assert explain(clear, None) == "TLS: wrong version number (no TLS is spoken here)"
    assert explain(SSL.Error(), None) == "TLS: handshake failed"


def test_a_client_that_speaks_no_tls_has_no_session(bench: Bench) -> None:
    async def main() -> None:
        failed = metrics.HANDSHAKES.cell("mx", "client", "failed")
        before = failed.value
        async with (
            bench.server(echo) as address,
            bench.listener(
                bench.upstream(address), layer=bench.layer("mx.example.org"), implicit=True
            ) as listener,
        ):
            reader, writer = await bench.dial(listener)
            writer.write(b"EHLO me\r\n")
            await reader.read()
            await bench.until(lambda: failed.value == before + 1)
            assert not bench.relays

    bench.run(main())
