"""What handshakes come to, in the words and numbers that the keeper gets."""

import ssl
from hashlib import sha256

import pytest
import trustme
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost

from mailweir import metrics
from mailweir.net import connection
from mailweir.net.certificates import Certificates, Terms
from mailweir.net.handshake import Reason, facts, said, why
from net.bench import Bench, echo


@pytest.mark.parametrize(
    ("words", "reason", "text"),
    [
        ("tlsv1 alert unknown ca", Reason.DISTRUSTED, "the other side does not trust our certificate: it does not know the authority (tlsv1 alert unknown ca)"),
        ("ssl/tls alert handshake failure", Reason.REFUSED, "the other side finds nothing acceptable in what we offer (ssl/tls alert handshake failure)"),
        ("tlsv13 alert certificate required", Reason.NO_CERTIFICATE, "the other side wants a certificate of ours (tlsv13 alert certificate required)"),
        ("tlsv1 alert internal error", Reason.REFUSED, "the other side broke off (tlsv1 alert internal error)"),
        ("unexpected message", Reason.OTHER, "unexpected message"),
    ],
)  # fmt: skip
def test_openssl_is_explained(words: str, reason: Reason, text: str) -> None:
    assert why(SSL.Error([("SSL routines", "", words)])) == (reason, text)


def test_ends_that_openssl_says_nothing_of() -> None:
    assert why(SSL.Error()) == (Reason.OTHER, "handshake failed")
    assert why(ConnectionLost()) == (Reason.CLOSED, "closed during the handshake")
    assert said(SSL.Error([("", "", "one"), ("", "", "two")])) == "one, two"


def test_facts() -> None:
    names = ("mx.example.org", "*.example.org", "192.0.2.1", "joe@example.org")
    made = trustme.CA(organization_name="Authority").issue_cert(*names, organization_name="Example")
    certificate = x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
    seen = facts(certificate)
    assert seen.names == names and "O=Example" in seen.subject and "O=Authority" in seen.issuer
    der = ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode().strip())
    assert bytes.fromhex(seen.fingerprint) == sha256(der).digest()
    assert seen.expires == certificate.not_valid_after_utc


def old(tls: ssl.SSLContext) -> None:
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("ALL:@SECLEVEL=0")


def weak(tls: ssl.SSLContext) -> None:
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers("AES128-SHA")


CLIENTS = {  # name: (what a client speaks, the reason counted, part of what the log says)
    "too old": (old, "version", "too old for the minimum here (unsupported protocol)"),
    "no cipher": (weak, "cipher", "none of its ciphers is allowed here"),
    "no TLS": (b"EHLO me\r\n", "not_tls", "no TLS is spoken there"),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", "not_tls", "HTTP is spoken there"),
    "leaves": (b"\x16\x03\x01", "closed", "closed during the TLS handshake"),
    "says nothing": (None, "timeout", "TLS handshake took longer than 30 seconds"),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("speaks", "reason", "text"), CLIENTS.values(), ids=CLIENTS.keys())
def test_a_handshake_that_fails_is_explained_and_counted(
    bench: Bench, capsys: pytest.CaptureFixture[str], speaks: object, reason: str, text: str
) -> None:
    async def main() -> None:
        failed = metrics.HANDSHAKES.cell("mx", "client", "failed", "", reason)
        before = failed.value
        async with (
            bench.server(echo) as address,
            bench.listener(
                bench.upstream(address), layer=bench.layer("mx.example.org"), implicit=True
            ) as listener,
        ):
            if callable(speaks):
                tls = bench.client_side()
                speaks(tls)
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await bench.dial(listener, ssl=tls, server_hostname="mx.example.org")
            else:
                _, writer = await bench.dial(listener)
                await bench.until(lambda: len(bench.register) == 1)
                if isinstance(speaks, bytes):
                    writer.write(speaks)
                    if reason == "closed":
                        writer.close()
                else:
                    bench.clock.advance(connection.HANDSHAKE)
            await bench.until(lambda: failed.value == before + 1)
            await bench.until(lambda: not len(bench.register))
            assert not bench.relays

    bench.run(main())
    line = next(line for line in capsys.readouterr().out.splitlines() if "TLS handshake failed" in line)
    assert text in line


def test_what_was_agreed_is_counted(bench: Bench) -> None:
    async def main() -> None:
        counted = metrics.HANDSHAKES.cell("mx", "client", "ok", "TLSv1.3", "")
        before = counted.value
        layer = Certificates([bench.certificate("mx.example.org")], bench.clock).layer(Terms())
        async with (
            bench.server(echo) as address,
            bench.listener(bench.upstream(address), layer=layer, implicit=True) as listener,
        ):
            await bench.dial(listener, ssl=bench.client_side(), server_hostname="mx.example.org")
            await bench.until(lambda: counted.value == before + 1)
            tls = bench.relay.session.client_tls
            assert tls is not None and (tls.sni, tls.resumed, tls.certificate) == (
                "mx.example.org",
                False,
                None,
            )

    bench.run(main())
