"""Which certificate a client is shown, on which terms, and what happens when its file changes."""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from OpenSSL import SSL

from mailweir import metrics
from mailweir.net.certificates import TICKET_KEYS, Certificates, Pair, Terms, ciphers_mistake
from mailweir.net.listener import Listener
from mailweir.net.tls import CertificateUnusable
from mailweir.session import Tls
from net.bench import Bench, LoopClock, echo


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return written(tmp_path, trustme.CA(), "one")


def written(folder: Path, authority: trustme.CA, stem: str) -> Pair:
    made = authority.issue_cert("mx.example.org")
    chain, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    chain.write_bytes(made.cert_chain_pems[0].bytes())
    key.write_bytes(made.private_key_pem.bytes())
    return chain, key


# Files.


def test_a_key_of_another_certificate(pair: Pair, tmp_path: Path) -> None:
    other = written(tmp_path, trustme.CA(), "two")[1]
    with pytest.raises(CertificateUnusable) as error:
        Certificates([(pair[0], other)], LoopClock()).layer(Terms())
    assert str(error.value) == f"the key {other} does not belong to the certificate {pair[0]}"


def test_files_that_can_not_be_used(pair: Pair, tmp_path: Path) -> None:
    chain, key = pair
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    for certificate, private, authorities, reason in (
        (missing, key, None, f"{missing}: no such file or directory"),
        (empty, key, None, f"{empty}: there is no certificate in PEM form in it"),
        (chain, missing, None, f"{missing}: no such file or directory"),
        (chain, empty, None, f"{empty}: there is no private key without passphrase in PEM form in it"),
        (chain, key, empty, f"{empty}: there is no CA certificates in PEM form in it"),
    ):
        with pytest.raises(CertificateUnusable) as error:
            Certificates([(certificate, private)], LoopClock()).layer(Terms(client_ca=authorities))
        assert str(error.value) == reason


def test_equal_terms_share_a_layer(pair: Pair) -> None:
    certificates = Certificates([pair], LoopClock())
    assert certificates.layer(Terms()) is certificates.layer(Terms())
    assert certificates.layer(Terms()) is not certificates.layer(Terms("1.3"))


def expiry(pair: Pair) -> float:
    decoded = ssl._ssl._test_decode_cert(str(pair[0]))  # type: ignore[attr-defined]
    return float(ssl.cert_time_to_seconds(decoded["notAfter"]))


def test_when_a_certificate_expires(pair: Pair) -> None:
    metrics.CERTIFICATE_EXPIRY.cell("gone.pem").set(1)
    certificates = Certificates([pair], LoopClock())
    assert ("gone.pem",) in metrics.CERTIFICATE_EXPIRY.cells
    certificates.publish()
    told = {labels: cell.value for labels, cell in metrics.CERTIFICATE_EXPIRY.cells.items()}
    assert told == {(str(pair[0]),): expiry(pair)}


# What clients are shown.


@asynccontextmanager
async def listening(bench: Bench, certificates: Certificates, terms: Terms) -> AsyncIterator[Listener]:
    """A listener with implicit TLS in front of an echo."""
    layer = certificates.layer(terms)
    async with (
        bench.server(echo) as address,
        bench.listener(bench.upstream(address), layer=layer, implicit=True) as listener,
    ):
        yield listener


def context(bench: Bench) -> ssl.SSLContext:
    made = bench.client_side()
    made.check_hostname = False
    return made


async def shown(bench: Bench, listener: Listener, asked: str = "", tls: ssl.SSLContext | None = None) -> str:
    """The first name of the certificate that a client gets who asks for `asked`."""
    _, writer = await bench.dial(listener, ssl=tls or context(bench), server_hostname=asked)
    certificate = writer.get_extra_info("peercert")
    return str(certificate["subjectAltName"][0][1])


async def met(bench: Bench, listener: Listener, tls: ssl.SSLContext) -> Tls:
    """What our side says was agreed with a client."""
    before = len(bench.relays)
    reader, writer = await bench.dial(listener, ssl=tls, server_hostname="")
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    assert len(bench.relays) == before + 1
    agreed = bench.relay.session.client_tls
    assert agreed is not None
    return agreed


SHOWN = {
    "the name": ("pop.example.org", "pop.example.org"),
    "in capitals": ("POP.example.org", "pop.example.org"),
    "a wildcard": ("any.example.net", "*.example.net"),
    "the name before a wildcard": ("own.example.net", "own.example.net"),
    "no wildcard over two labels": ("a.any.example.net", "mx.example.org"),
    "a name we have not": ("other.example.com", "mx.example.org"),
    "no name": ("", "mx.example.org"),
}


@pytest.mark.parametrize(("asked", "wanted"), SHOWN.values(), ids=SHOWN.keys())
def test_the_certificate_is_chosen_by_name(bench: Bench, asked: str, wanted: str) -> None:
    async def main() -> None:
        names = ("mx.example.org", "*.example.net", "pop.example.org", "own.example.net")
        certificates = Certificates([bench.certificate(name) for name in names], bench.clock)
        async with listening(bench, certificates, Terms()) as listener:
            assert await shown(bench, listener, asked) == wanted

    bench.run(main())


@pytest.mark.parametrize("asked", ["", "mx.example.org"])
@pytest.mark.parametrize("key", ["RSA", "ECDSA"])
def test_one_name_with_keys_of_two_kinds(bench: Bench, asked: str, key: str) -> None:
    async def main() -> None:
        kinds = (trustme.KeyType.RSA, trustme.KeyType.ECDSA, trustme.KeyType.RSA)
        pairs = [bench.certificate("mx.example.org", key_type=kind) for kind in kinds]
        async with listening(bench, Certificates(pairs, bench.clock), Terms()) as listener:
            tls = context(bench)
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            tls.set_ciphers(f"ECDHE-{key}-AES128-GCM-SHA256")
            _, writer = await bench.dial(listener, ssl=tls, server_hostname=asked)
            assert writer.get_extra_info("cipher")[0] == f"ECDHE-{key}-AES128-GCM-SHA256"
            got = writer.get_extra_info("ssl_object").getpeercert(True)
            wanted = pairs[0 if key == "RSA" else 1][0].read_text()
            assert ssl.DER_cert_to_PEM_cert(got).split() == wanted.split("-----END CERTIFICATE-----")[
                0
            ].split() + ["-----END", "CERTIFICATE-----"]

    bench.run(main())


# Versions, ciphers.


@pytest.mark.parametrize(
    ("terms", "version", "cipher", "taken"),
    [
        (Terms(), ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM", True),
        (Terms(), ssl.TLSVersion.TLSv1_3, "ECDHE+AESGCM", True),
        (Terms("1.3"), ssl.TLSVersion.TLSv1_3, "ECDHE+AESGCM", True),
        (Terms("1.3"), ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM", False),
        (Terms(), ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256", False),
        (Terms(ciphers="ECDHE+AES"), ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256", True),
        (Terms(ciphers="ECDHE+AES256:TLS_AES_128_GCM_SHA256"), ssl.TLSVersion.TLSv1_3, "ALL", True),
    ],
)
def test_terms(bench: Bench, terms: Terms, version: ssl.TLSVersion, cipher: str, taken: bool) -> None:
    async def main() -> None:
        certificates = Certificates([bench.certificate("mx.example.org")], bench.clock)
        async with listening(bench, certificates, terms) as listener:
            tls = context(bench)
            tls.minimum_version = tls.maximum_version = version
            tls.set_ciphers(cipher)
            if taken:
                agreed = await met(bench, listener, tls)
                assert agreed.version == version.name.replace("_", ".")
                if "TLS_AES_128" in terms.ciphers:
                    assert agreed.cipher == "TLS_AES_128_GCM_SHA256"
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await met(bench, listener, tls)

    bench.run(main())


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:@STRENGTH", ""),
        ("ECDHE-RSA-AES128-GCM-SHA256 TLS_AES_128_GCM_SHA256", ""),
        ("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA257", "OpenSSL knows no cipher ECDHE-RSA-AES128-GCM-SHA257"),
        ("TLS_AES_128_GCM_SHA257", "OpenSSL knows no cipher TLS_AES_128_GCM_SHA257"),
        ("HIGH:!HIGH", "OpenSSL does not take it: no cipher match"),
        ("a;b", "must be names of ciphers as `openssl ciphers` takes them, with : between them"),
        ("AES128-SHA:AECDH-AES256-SHA:@SECLEVEL=0", "allows AECDH-AES256-SHA, which protects nobody"),
    ],
)  # fmt: skip
def test_ciphers(text: str, mistake: str) -> None:
    assert ciphers_mistake(text) == mistake


# Certificates of clients.


def client(bench: Bench, authority: trustme.CA | None = None) -> ssl.SSLContext:
    """A client with a certificate for joe@example.org."""
    tls = context(bench)
    made = (authority or bench.authority).issue_cert("joe@example.org", common_name="joe")
    made.configure_cert(tls)
    return tls


def test_a_client_certificate_is_seen_by_plugins(bench: Bench) -> None:
    async def main() -> None:
        certificates = Certificates([bench.certificate("mx.example.org")], bench.clock)
        async with listening(bench, certificates, Terms(client_ca=bench.authority_file)) as listener:
            assert (await met(bench, listener, context(bench))).certificate is None
            seen = (await met(bench, listener, client(bench))).certificate
            assert seen is not None and seen.names == ("joe@example.org",)
            assert "CN=joe" in seen.subject and "trustme" in seen.issuer
            assert len(seen.fingerprint) == 64

    bench.run(main())


REFUSED = {
    "signed by a stranger": (True, False, "certificate", "signed by nobody we trust"),
    "none though required": (False, True, "no_certificate", "a client certificate is required"),
}


@pytest.mark.parametrize(("shows", "required", "reason", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_clients_that_are_not_let_in(
    bench: Bench, capsys: pytest.CaptureFixture[str], shows: bool, required: bool, reason: str, said: str
) -> None:
    async def main() -> None:
        certificates = Certificates([bench.certificate("mx.example.org")], bench.clock)
        terms = Terms(client_ca=bench.authority_file, required=required)
        failed = metrics.HANDSHAKES.cell("mx", "client", "failed", "", reason)
        before = failed.value
        async with listening(bench, certificates, terms) as listener:
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                await met(bench, listener, client(bench, trustme.CA()) if shows else context(bench))
            await bench.until(lambda: failed.value == before + 1)
            assert not bench.relays

    bench.run(main())
    assert said in capsys.readouterr().out


# Resumption.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_with_its_certificate(bench: Bench, version: ssl.TLSVersion) -> None:
    """asyncio can't resume: the client is one of pyOpenSSL, without sockets."""
    certificates = Certificates([bench.certificate("mx.example.org")], bench.clock)
    layer = certificates.layer(Terms(client_ca=bench.authority_file))
    number = {"TLSv1_2": SSL.TLS1_2_VERSION, "TLSv1_3": SSL.TLS1_3_VERSION}[version.name]
    tls = SSL.Context(SSL.TLS_CLIENT_METHOD)
    tls.set_max_proto_version(number)
    made = bench.authority.issue_cert("joe@example.org")
    made.configure_cert(tls)
    first, _, ticket = bench.shake(layer, tls)
    second, _, _ = bench.shake(layer, tls, ticket)
    assert (first.resumed, second.resumed) == (False, True)
    assert first.certificate is not None and first.certificate == second.certificate
    bench.clock.advance(TICKET_KEYS - 1)
    certificates.look()
    assert bench.shake(layer, tls, ticket)[0].resumed
    bench.clock.advance(1)
    certificates.look()
    assert not bench.shake(layer, tls, ticket)[0].resumed


# Files that change.


def replace(old: Pair, new: Pair) -> None:
    for before, after in zip(old, new, strict=True):
        os.replace(after, before)


def presented(bench: Bench, certificates: Certificates) -> x509.Certificate | None:
    """What a client is shown now."""
    return bench.shake(certificates.layer(Terms()), SSL.Context(SSL.TLS_CLIENT_METHOD))[1]


def test_changed_files_are_taken(bench: Bench) -> None:
    pair = bench.certificate("mx.example.org")
    certificates = Certificates([pair], bench.clock)
    before = presented(bench, certificates)
    certificates.look()
    assert presented(bench, certificates) == before
    replace(pair, bench.certificate("mx.example.org"))
    assert presented(bench, certificates) == before
    certificates.look()
    assert presented(bench, certificates) != before
    assert metrics.CERTIFICATE_EXPIRY.cell(str(pair[0])).value == expiry(pair)


BROKEN = {
    "half written": (0, lambda octets: octets[: len(octets) // 2], "there is no certificate in PEM form in it"),
    "not there": (0, None, "no such file or directory"),
    "another's key": (1, "another", "does not belong to the certificate"),
    "half a key": (1, lambda octets: octets[: len(octets) // 2], "there is no private key without passphrase"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "change", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_files_are_reported_once_and_the_old_ones_serve_on(
    bench: Bench, capsys: pytest.CaptureFixture[str], file: int, change: object, said: str
) -> None:
    pair = bench.certificate("mx.example.org")
    certificates = Certificates([pair], bench.clock)
    certificates.publish()
    before, good = presented(bench, certificates), metrics.CERTIFICATES_OK.cell()
    sound, expires = pair[file].read_bytes(), metrics.CERTIFICATE_EXPIRY.cell(str(pair[0])).value
    if change is None:
        pair[file].unlink()
    elif callable(change):
        pair[file].write_bytes(change(sound))
    else:
        pair[file].write_bytes(bench.certificate("mx.example.org")[file].read_bytes())
    certificates.look()
    certificates.look()
    lines = [line for line in capsys.readouterr().out.splitlines() if "old ones serve on" in line]
    assert len(lines) == 1 and said in lines[0] and str(pair[file]) in lines[0]
    assert good.value == 0 and presented(bench, certificates) == before
    assert metrics.CERTIFICATE_EXPIRY.cell(str(pair[0])).value == expires
    pair[file].write_bytes(sound)
    certificates.look()
    assert good.value == 1 and presented(bench, certificates) == before
