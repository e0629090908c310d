"""Authorities that can't be read, and why a connection ended."""

from pathlib import Path

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost

from mailweir.net.tls import CertificateUnusable, ClientTls, explain
from net.bench import Bench, LoopClock, echo


def test_authorities_that_can_not_be_used(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    for file, reason in ((missing, "no such file"), (empty, "there is no CA certificates in PEM form")):
        with pytest.raises(CertificateUnusable, match=reason):
            ClientTls(file, LoopClock())


def test_reasons() -> None:
    reset = ConnectionLost("x")
    reset.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    odd = ConnectionLost("x")
    odd.__cause__ = RuntimeError("what now")
    assert explain(ConnectionDone(), None) == ""
    assert explain(reset, None) == "connection reset by peer"
    assert explain(odd, None) == "what now"
    assert explain(ConnectionLost(), None) == "connection lost"
    clear = SSL.Error([("SSL routines", "", "wrong version number")])
    assert explain(clear, None) == "TLS: no TLS is spoken there (wrong version number)"
    assert explain(SSL.Error(), None) == "TLS: handshake failed"


def test_a_client_that_speaks_no_tls_has_no_session(bench: Bench) -> None:
    async def main() -> None:
        async with (
            bench.server(echo) as address,
            bench.listener(
                bench.upstream(address), layer=bench.layer("mx.example.org"), implicit=True
            ) as listener,
        ):
            reader, writer = await bench.dial(listener)
            writer.write(b"EHLO me\r\n")
            await reader.read()
            await bench.until(lambda: not len(bench.register))
            assert not bench.relays

    bench.run(main())
