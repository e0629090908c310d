"""TLS towards clients as openssl sees it: what is taken, what is shown, and that renewals disturb nobody."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from end2end import loads
from end2end.fakes import SmtpFake
from end2end.machine import Daemon, free_port, locate, wait_until
from end2end.tls import Papers
from end2end.weir import Mailweir, Start

EVERYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
SUITES = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
STRONG = re.compile(r"TLS_.*|ECDHE-(RSA|ECDSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)")
UNBOUND = {**os.environ, "OPENSSL_CONF": "/dev/null"}
"""The system's configuration of OpenSSL may forbid what a scan must try."""


def s_client(port: int, *options: str | Path, say: bytes = b"") -> str:
    """All that `openssl s_client` prints."""
    done = subprocess.run(
        [locate("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *options],
        input=say,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=UNBOUND,
        timeout=20,
    )
    return done.stdout.decode(errors="replace")


def scan(port: int) -> set[tuple[str, str]]:
    """Every version and cipher that a server takes from a client that would take anything.

    What it chose is taken away, until it finds nothing more to its liking.
    """
    found = set()
    for option in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3"):
        suites, refused = SUITES.split(":"), ""
        while suites:
            lists = ("-cipher", f"{EVERYTHING}{refused}", "-ciphersuites", ":".join(suites))
            said = re.search(r"Ciphersuite: (\S+)", s_client(port, "-brief", option, *lists))
            if said is None:
                break
            found.add((option, said[1]))
            if said[1] in suites:
                suites.remove(said[1])
            else:
                refused += f":!{said[1]}"
    return found


def weak(found: set[tuple[str, str]]) -> tuple[set[str], set[str]]:
    """What should not be there: versions, ciphers."""
    return {version for version, _ in found if version in ("-tls1", "-tls1_1")}, {
        cipher for _, cipher in found if not STRONG.fullmatch(cipher)
    }


@pytest.fixture
def fake() -> Iterator[SmtpFake]:
    fake = SmtpFake()
    yield fake
    fake.stop()


@pytest.fixture
def secured(start: Start, fake: SmtpFake) -> Callable[..., Mailweir]:
    """Start a listener with implicit TLS: `secured(*pairs of files, more keys of the listener)`."""

    def secured(*pairs: tuple[Path, Path], **keys: object) -> Mailweir:
        listener = {
            "protocol": "smtp",
            "tls": "implicit",
            "upstream": "out",
            "plugins": ["accesslog"],
            **keys,
        }
        certificates = [{"certificate": str(certificate), "key": str(key)} for certificate, key in pairs]
        return start(
            {"in": listener}, {"out": fake.upstream}, certificates=certificates, plugins={"accesslog": {}}
        )

    return secured


def issued(papers: Papers, folder: Path, stem: str, *names: str, **more: object) -> tuple[Path, Path]:
    """A certificate and its key."""
    made = papers.issuer.issue_cert(*names, **more)  # type: ignore[arg-type]
    certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    certificate.write_bytes(made.cert_chain_pems[0].bytes())
    key.write_bytes(made.private_key_pem.bytes())
    return certificate, key


def test_a_scan_finds_nothing_weak(secured: Callable[..., Mailweir], papers: Papers, tmp_path: Path) -> None:
    kinds = (trustme.KeyType.RSA, trustme.KeyType.ECDSA)
    pairs = [issued(papers, tmp_path, kind.name, "localhost", key_type=kind) for kind in kinds]
    found = scan(secured(*pairs).port)
    assert weak(found) == (set(), set())
    assert {version for version, _ in found} == {"-tls1_2", "-tls1_3"}
    assert {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"} <= {cipher for _, cipher in found}


def test_the_same_scan_finds_what_is_weak(papers: Papers, tmp_path: Path) -> None:
    certificate, key = issued(papers, tmp_path, "rsa", "localhost", key_type=trustme.KeyType.RSA)
    port = free_port()
    ciphers = "AES128-SHA:NULL-SHA256:AECDH-AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"
    command: list[Path | str] = [locate("openssl"), "s_server", "-www", "-accept", f"127.0.0.1:{port}"]
    command += ["-cert", certificate, "-key", key, "-cipher", ciphers]
    server = Daemon(command, tmp_path / "s_server.log", {"OPENSSL_CONF": "/dev/null"})
    server.wait_for_ports(port)
    try:
        versions, found = weak(scan(port))
    finally:
        server.stop()
    assert versions == {"-tls1", "-tls1_1"}
    assert found == {"AES128-SHA", "NULL-SHA256", "AECDH-AES128-SHA"}


def test_names_and_kinds_of_keys(secured: Callable[..., Mailweir], papers: Papers, tmp_path: Path) -> None:
    pairs = [
        issued(papers, tmp_path, "rsa", "mx.example.org", common_name="rsa", key_type=trustme.KeyType.RSA),
        issued(papers, tmp_path, "ecdsa", "mx.example.org", common_name="ecdsa"),
        issued(papers, tmp_path, "pop", "*.example.net", common_name="wildcard"),
    ]
    port = secured(*pairs).port
    for options, common_name in (
        (("-servername", "mx.example.org", "-sigalgs", "RSA-PSS+SHA256"), "rsa"),
        (("-servername", "mx.example.org", "-sigalgs", "ECDSA+SHA256"), "ecdsa"),
        (("-noservername", "-sigalgs", "ECDSA+SHA256"), "ecdsa"),
        (("-servername", "pop.example.net"), "wildcard"),
        (("-servername", "pop.example.com", "-sigalgs", "RSA-PSS+SHA256"), "rsa"),
    ):
        assert f"CN = {common_name}" in s_client(port, "-brief", *options), options


def test_client_certificates_and_resumption(
    secured: Callable[..., Mailweir], papers: Papers, tmp_path: Path
) -> None:
    joe, key = issued(papers, tmp_path, "joe", "joe@example.org", common_name="joe")
    weir = secured(
        (papers.certificate, papers.key), client_ca=str(papers.authority), require_client_certificate=True
    )
    shows = ("-cert", joe, "-key", key)
    for version in ("-tls1_2", "-tls1_3"):
        ticket = tmp_path / f"ticket{version}"
        for option in ("-sess_out", "-sess_in"):
            printed = s_client(weir.port, version, *shows, option, ticket, "-crlf", "-ign_eof", say=b"QUIT\n")
            assert "221 " in printed, printed
    wait_until("four sessions are logged", lambda: len(weir.events("session")) == 4)
    assert [event.get("resumed") for event in weir.events("session")] == [None, True, None, True]
    assert all("CN=joe" in event["certificate"] for event in weir.events("session"))
    assert weir.metric("mailweir_tls_resumed_total", leg="client") == 2
    s_client(weir.port, "-tls1_2")
    assert "a client certificate is required" in weir.wait_for_event("TLS handshake failed")["reason"]


def test_a_client_that_knows_no_such_authority(secured: Callable[..., Mailweir], papers: Papers) -> None:
    weir = secured((papers.certificate, papers.key))
    s_client(weir.port, "-verify_return_error")
    assert "does not trust our certificate" in weir.wait_for_event("TLS handshake failed")["reason"]
    assert weir.metric("mailweir_tls_handshakes_total", result="failed", reason="distrusted") == 1


def test_a_broken_file_at_reload(secured: Callable[..., Mailweir], papers: Papers, tmp_path: Path) -> None:
    certificate, key = issued(papers, tmp_path, "one", "localhost")
    weir = secured((certificate, key))
    expiry = weir.metric("mailweir_tls_certificate_expiry_timestamp_seconds")
    certificate.write_bytes(certificate.read_bytes()[:200])
    weir.reload()
    refused = weir.wait_for_event("configuration refused, nothing has changed")
    assert str(certificate) in refused["reason"]
    assert "221 " in s_client(weir.port, "-crlf", "-ign_eof", say=b"QUIT\n")
    assert weir.metric("mailweir_config_last_reload_successful") == 0
    assert weir.metric("mailweir_tls_certificate_expiry_timestamp_seconds") == expiry > 0


def test_a_renewal_that_nobody_tells_us_of(
    secured: Callable[..., Mailweir], papers: Papers, tmp_path: Path
) -> None:
    certificate, key = issued(papers, tmp_path, "one", "localhost")
    weir = secured((certificate, key))
    other, other_key = issued(papers, tmp_path, "two", "localhost", common_name="renewed")
    other_key.replace(key)
    other.replace(certificate)
    wait_until("the files are looked at", lambda: weir.events("certificates taken anew"), 60)
    assert "CN = renewed" in s_client(weir.port, "-brief")
    assert weir.metric("mailweir_tls_certificates_last_reload_successful") == 1


def test_a_thousand_handshakes_and_fifty_renewals(start: Start, tmp_path: Path) -> None:
    loads.reloads(start, tmp_path, 1000, 50)


def test_five_hundred_slow_handshakes(start: Start, papers: Papers) -> None:
    loads.slow_handshakes(start, papers, 500)
