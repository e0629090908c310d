"""TLS on both legs against real servers: a session where there should be one, else words that say why."""

import imaplib
import poplib
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from end2end.dovecot import PASSWORD, Dovecot
from end2end.machine import free_port, run, wait_until
from end2end.postfix import Postfix
from end2end.tls import Papers
from end2end.weir import Mailweir, once

pytestmark = pytest.mark.real

CLIENT = ("none", "starttls", "implicit")
UPSTREAM = ("none", "opportunistic", "starttls", "implicit")
CERTIFICATES = {
    "valid": "",
    "expired": "certificate has expired",
    "name": "certificate is for other.example.org, not for 127.0.0.1",
    "unknown": "certificate is signed by nobody we trust",
    "none": "",
}
PROTOCOLS = ("smtp", "lmtp", "pop3", "imap")
MAIN = "smtpd_relay_restrictions = permit_mynetworks, reject\nmynetworks = 127.0.0.0/8\n"


NO_TLS = """
ssl = no
service imap-login {
  inet_listener imaps {
    ssl = no
  }
}
service pop3-login {
  inet_listener pop3s {
    ssl = no
  }
}
service lmtp {
  inet_listener lmtps {
    ssl = no
  }
}
"""
"""For Dovecot, which opens no port for TLS without."""


@dataclass(frozen=True)
class Ports:
    """Of one kind of certificate: where each protocol is spoken in clear, and where in TLS."""

    clear: dict[str, int]
    implicit: dict[str, int]


class Servers:
    """A Postfix and a Dovecot for each certificate; those of "none" offer no STARTTLS."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o755)
        authority, stranger = trustme.CA(), trustme.CA()
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(self.authority)
        past = datetime.now(UTC) - timedelta(hours=1)
        issued = {
            "valid": authority.issue_cert("localhost", "127.0.0.1"),
            "expired": authority.issue_cert("localhost", "127.0.0.1", not_after=past),
            "name": authority.issue_cert("other.example.org"),
            "unknown": stranger.issue_cert("localhost", "127.0.0.1"),
        }
        self.ports: dict[str, Ports] = {}
        self.papers: dict[str, Papers] = {}
        self._running: list[Postfix | Dovecot] = []
        for name in CERTIFICATES:
            place = folder / name
            for part in (place, place / "postfix", place / "dovecot"):
                part.mkdir(mode=0o755)
            made = issued.get(name, issued["valid"])
            papers = Papers(self.authority, place / "server.pem", place / "server.key", authority)
            made.cert_chain_pems[0].write_to_path(papers.certificate)
            made.private_key_pem.write_to_path(papers.key)
            self.papers[name] = papers
            self._start(name, place, papers)

    def _start(self, name: str, place: Path, papers: Papers) -> None:
        main = MAIN + ("smtpd_tls_security_level = none\n" if name == "none" else "")
        mta = Postfix(
            place / "postfix", papers, "mta.example.org", {"smtp": free_port(), "smtps": free_port()}, main
        )
        self._running.append(mta)
        mda = Dovecot(place / "dovecot", papers, NO_TLS if name == "none" else "")
        self._running.append(mda)
        boxes = ("lmtp", "pop3", "imap")
        self.ports[name] = Ports(
            {"smtp": mta.ports["smtp"], **{box: mda.ports[box] for box in boxes}},
            {"smtp": mta.ports["smtps"], **{box: mda.ports[f"{box}s"] for box in boxes}},
        )

    def stop(self) -> None:
        for server in self._running:
            server.stop()


def fresh_ports() -> Iterator[int]:
    """Each another one: so many would meet by chance."""
    given: set[int] = set()
    while True:
        port = free_port()
        if port not in given:
            given.add(port)
            yield port


@pytest.fixture(scope="module")
def servers(place: Path) -> Iterator[Servers]:
    made = Servers(place / "matrix")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def weir(servers: Servers, place: Path) -> Iterator[Mailweir]:
    """A listener for each cell of the matrix, named PROTOCOL-CLIENT-UPSTREAM-CERTIFICATE."""
    listeners, upstreams = {}, {}
    listen = fresh_ports()
    for protocol in PROTOCOLS:
        for upstream in UPSTREAM:
            for certificate in CERTIFICATES:
                ports = servers.ports[certificate]
                wrapped = upstream == "implicit" and certificate != "none"
                port = (ports.implicit if wrapped else ports.clear)[protocol]
                name = f"{protocol}-{upstream}-{certificate}"
                upstreams[name] = {
                    "address": f"127.0.0.1:{port}",
                    "tls": upstream,
                    "verify": str(servers.authority),
                }
                for client in CLIENT:
                    listeners[f"{protocol}-{client}-{upstream}-{certificate}"] = {
                        "protocol": protocol,
                        "listen": f"127.0.0.1:{next(listen)}",
                        "tls": client,
                        "upstream": name,
                    }
    folder = place / "matrix-weir"
    folder.mkdir()
    own = servers.papers["valid"]
    pair = {"certificate": str(own.certificate), "key": str(own.key)}
    running = Mailweir(folder, listeners, upstreams, certificates=[pair])
    yield running
    running.stop()


def session(protocol: str, tls: str, port: int, authority: Path) -> str:
    """Begin a session as mail programs do; what the server said in place of one, or nothing."""
    context = ssl.create_default_context(cafile=str(authority))
    try:
        if protocol in ("smtp", "lmtp"):
            kind = smtplib.LMTP if protocol == "lmtp" else smtplib.SMTP
            if tls == "implicit" and protocol == "smtp":
                smtp: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, timeout=20, context=context)
            elif tls == "implicit":
                return _lmtps(port, authority)
            else:
                smtp = kind("127.0.0.1", port, timeout=20)
            if tls == "starttls":
                smtp.starttls(context=context)
            code, text = smtp.noop()
            smtp.quit()
            return "" if code == 250 else text.decode()
        if protocol == "pop3":
            pop = (
                poplib.POP3_SSL("127.0.0.1", port, timeout=20, context=context)
                if tls == "implicit"
                else poplib.POP3("127.0.0.1", port, timeout=20)
            )
            if tls == "starttls":
                pop.stls(context)
            pop.user("ann")
            pop.pass_(PASSWORD)
            pop.quit()
            return ""
        imap = (
            imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context, timeout=20)
            if tls == "implicit"
            else imaplib.IMAP4("127.0.0.1", port, timeout=20)
        )
        if tls == "starttls":
            imap.starttls(context)
        imap.login("ann", PASSWORD)
        imap.logout()
        return ""
    except (smtplib.SMTPException, poplib.error_proto, imaplib.IMAP4.error) as error:
        return str(error)


def _lmtps(port: int, authority: Path) -> str:
    """LMTP in TLS from the start, which smtplib does not know."""
    said = run(
        *("openssl", "s_client", "-quiet", "-CAfile", authority, "-verify_return_error"),
        *("-connect", f"127.0.0.1:{port}"),
        input=b"LHLO me\r\nQUIT\r\n",
    )
    greeting = next(row for row in said.splitlines() if row[:1].isdigit() and row[3:4] in " -")
    return "" if greeting.startswith("220") else greeting


def wrong(upstream: str, certificate: str) -> str:
    """What keeps a session from its beginning; empty if nothing does."""
    if upstream == "none" or (upstream, certificate) == ("opportunistic", "none"):
        return ""
    if upstream == "implicit" and certificate == "none":
        return "no TLS is spoken"
    return "" if certificate == "valid" else CERTIFICATES[certificate] or "upstream "


@pytest.mark.parametrize("upstream", UPSTREAM)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_matrix(servers: Servers, weir: Mailweir, protocol: str, upstream: str) -> None:
    for certificate in CERTIFICATES:
        for client in CLIENT:
            name = f"{protocol}-{client}-{upstream}-{certificate}"
            said = session(protocol, client, weir.ports[name], servers.authority)
            reason = wrong(upstream, certificate)
            if not reason:
                assert said == "", name
                continue
            assert "no secure way to the server" in said, (name, said)

            def logged(name: str = name) -> list[str]:
                return [
                    line["reason"] for line in weir.events("upstream unreachable") if line["listener"] == name
                ]

            wait_until(f"the log says why {name} had no session", logged)
            assert [text for text in logged() if reason in text], (name, logged())


def test_probe(servers: Servers, weir: Mailweir) -> None:
    """All eighty at once: exactly those fail that have no sessions, and each says why."""
    code, said = once("check", weir.file, "--probe")
    assert code == 1
    for protocol in PROTOCOLS:
        for upstream in UPSTREAM:
            for certificate in CERTIFICATES:
                name = f"{protocol}-{upstream}-{certificate}"
                rows = [
                    row for row in said.splitlines() if row.startswith(f"{name} (") and "warning:" not in row
                ]
                reason = wrong(upstream, certificate)
                assert len(rows) == bool(reason), (name, rows)
                assert not rows or reason.replace("upstream ", "it offers no STARTTLS") in rows[0]
