"""What only the whole configuration, or the machine, can tell."""

import errno
import os
from pathlib import Path

import pytest

from app.files import SOUND, configuration, mistakes, with_line

CERTIFICATES = "certificates: [{certificate: one.pem, key: one.key}]\n"

# fmt: off
FILES = {  # name: (the whole file, every mistake in it)
    "TLS without certificates": (with_line("tls: starttls"), ["6:10: listeners.mx.tls: needs at least one entry under certificates"]),
    "TLS required but none": (with_line("require_tls: true"), ["6:18: listeners.mx.require_tls: can't be had with tls: none; set tls: starttls"]),
    "plaintext where TLS is required": (with_line("tls: starttls\n    require_tls: true\n    allow_plaintext: true") + CERTIFICATES, ["8:22: listeners.mx.allow_plaintext: contradicts require_tls: no login is taken on a clear connection"]),
    "client certificates without TLS": (with_line("require_client_certificate: true"), ["6:33: listeners.mx.require_client_certificate: can't be had with tls: none; set tls: starttls or implicit"]),
    "client certificates of anybody": (with_line("tls: starttls\n    require_client_certificate: true") + CERTIFICATES, ["7:33: listeners.mx.require_client_certificate: needs client_ca: the authorities that sign such certificates"]),
    "no authorities for clients": (with_line("tls: starttls\n    client_ca: one.key") + CERTIFICATES, ["7:16: listeners.mx.client_ca: DIR/one.key holds no certificate in PEM form"]),
    "authorities for clients": (with_line("tls: starttls\n    client_ca: one.pem\n    require_client_certificate: true") + CERTIFICATES, []),
    "a key too short": (SOUND + "certificates: [{certificate: weak.pem, key: weak.key}]\n", ["9:30: certificates.0.certificate: DIR/weak.pem: OpenSSL does not take it: ee key too small"]),
    "a cipher that is none": (with_line("tls_ciphers: ECDHE+AESGCM:AES257"), ["6:18: listeners.mx.tls_ciphers: OpenSSL knows no cipher AES257"]),
    "SMTP's options for IMAP": (SOUND.replace("smtp", "imap").replace("    upstream: mta\n", "    upstream: mta\n    trace: none\n"), ["6:5: listeners.mx.trace: is for smtp and lmtp, not for imap"]),
    "splicing SMTP": (with_line("splice: never"), ["6:5: listeners.mx.splice: is for pop3 and imap, not for smtp"]),
    "passing bare newlines": (with_line("bare_newline: pass"), ["6:19: listeners.mx.bare_newline: lets clients smuggle mail where the server ends lines at LF; if yours does not, say so: i_know: [smuggling]"]),
    "passing bare newlines, knowing": (with_line("bare_newline: pass\n    i_know: [smuggling]"), []),
    "plugin twice": (with_line("plugins: [hello, hello]"), ["6:22: listeners.mx.plugins.1: hello is listed twice"]),
    "LMTP on SMTP's port": (SOUND.replace("protocol: smtp", "protocol: lmtp").replace("127.0.0.1:2525", "[127.0.0.1:24, 127.0.0.1:25]"), ["4:28: listeners.mx.listen.1: LMTP must not be spoken on port 25 (RFC 2033 5)"]),
    "SMTP before LMTP": (SOUND + "    protocol: lmtp\n", ["5:15: warning: listeners.mx.upstream: mta speaks lmtp, so each message will have one recipient; clients are told to send the others again"]),
    "LMTP before SMTP": (SOUND.replace("protocol: smtp", "protocol: lmtp") + "    protocol: smtp\n", []),
    "LMTP before LMTP": (SOUND.replace("protocol: smtp", "protocol: lmtp") + "    protocol: lmtp\n", []),
    "IMAP before LMTP": (SOUND.replace("protocol: smtp", "protocol: imap") + "    protocol: lmtp\n", ["5:15: listeners.mx.upstream: mta speaks lmtp, and the clients here speak imap"]),
    "POP3 before SMTP": (SOUND.replace("protocol: smtp", "protocol: pop3") + "    protocol: smtp\n", ["5:15: listeners.mx.upstream: mta speaks smtp, and the clients here speak pop3"]),
    "unknown upstream": (SOUND.replace("  mta:\n", "  mtb:\n"), ["5:15: listeners.mx.upstream: no upstream is named mta; did you mean mtb?", "7:3: warning: upstreams.mtb: no listener names it"]),
    "unused upstream": (SOUND + "  spare: {address: 'spare.example.org:25'}\n", ["9:3: warning: upstreams.spare: no listener names it"]),
    "reserved upstream": (SOUND + "  route: {address: 'spare.example.org:25'}\n", ["9:3: upstreams.route: this word has a meaning of its own; choose another name"]),
    "no CA file": (SOUND + "    verify: ca.pem\n", ["9:13: upstreams.mta.verify: there is no file DIR/ca.pem"]),
    "half a pair": (SOUND + "    key: one.key\n", ["9:5: upstreams.mta.key: needs a certificate beside it"]),
    "the other half": (SOUND + "    certificate: one.pem\n", ["9:5: upstreams.mta.certificate: needs a key beside it"]),
    "a pair of ours": (SOUND + "    certificate: one.pem\n    key: one.key\n", []),
    "no pair of ours": (SOUND + "    certificate: none.pem\n    key: one.key\n", ["9:18: upstreams.mta.certificate: there is no file DIR/none.pem"]),
    "DANE": (SOUND + "    verify: dane\n", []),
    "DANE of a number": (SOUND.replace("mail.example.org:25", "[a.example.org:25, 192.0.2.1:25]") + "    verify: dane\n", ["8:33: upstreams.mta.address.1: verify: dane needs a host name: there are no TLSA records of numbers and sockets"]),
    "no CA in it": (SOUND + "    verify: policy.py\n", ["9:13: upstreams.mta.verify: DIR/policy.py holds no certificate in PEM form"]),
    "no spool": (SOUND + "spool: {directory: nowhere}\n", ["9:20: spool.directory: there is no directory DIR/nowhere"]),
    "a file as spool": (SOUND + "spool: {directory: one.pem}\n", ["9:20: spool.directory: DIR/one.pem is no directory"]),
    "a spool below a file": (SOUND + "spool: {directory: one.pem/in}\n", ["9:20: spool.directory: there is no directory DIR/one.pem/in"]),
    "a TLS port in clear": (SOUND.replace("org:25", "org:465"), ["8:14: warning: upstreams.mta.address: servers on port 465 expect tls: implicit, and this says none"]),
    "a TLS port among others": (SOUND.replace("mail.example.org:25", "[a.example.org:143, a.example.org:993]") + "    tls: starttls\n", ["8:34: warning: upstreams.mta.address.1: servers on port 993 expect tls: implicit, and this says starttls"]),
    "a TLS port in TLS": (SOUND.replace("org:25", "org:995") + "    tls: implicit\n", []),
    "admin on a listener's address": (SOUND + "admin: {listen: 127.0.0.1:2525}\n", ["9:17: admin.listen: 127.0.0.1:2525 is taken: listener mx listens on 127.0.0.1:2525"]),
    "one address twice": (SOUND.replace("127.0.0.1:2525", "['[::1]:25', '[::]:25']"), ["4:26: listeners.mx.listen.1: [::]:25 is taken: listener mx listens on [::1]:25"]),
    "no folder for a socket": (SOUND.replace("127.0.0.1:2525", "unix:nowhere/in"), ["4:13: listeners.mx.listen: there is no directory DIR/nowhere"]),
    "a long path": (SOUND.replace("127.0.0.1:2525", "unix:/" + "x" * 107), ["4:13: listeners.mx.listen: a socket's path has at most 107 octets"]),
    "a socket of our own as upstream": (SOUND.replace("127.0.0.1:2525", "unix:in").replace("mail.example.org:25", "[a.example.org:25, unix:in]"), ["8:33: upstreams.mta.address.1: unix:DIR/in is ourselves: listener mx listens on unix:DIR/in"]),
}

SECOND = {  # where a second listener listens: what is said of it, beside 127.0.0.1:2525
    "127.0.0.1:2525": "127.0.0.1:2525 is taken: listener mx listens on 127.0.0.1:2525",
    "0.0.0.0:2525": "0.0.0.0:2525 is taken: listener mx listens on 127.0.0.1:2525",
    "'[::]:2525'": "",
    "127.0.0.1:2526": "",
    "127.0.0.2:2525": "",
    "unix:other": "",
}

OWN = {  # (where the listener listens, an upstream's address): we would talk to ourselves
    ("127.0.0.1:25", "127.0.0.1:25"): True,
    ("127.0.0.1:25", "LocalHost:25"): True,
    ("0.0.0.0:25", "127.0.0.3:25"): True,
    ("'[::]:25'", "'[::1]:25'"): True,
    ("192.0.2.1:25", "192.0.2.1:25"): True,
    ("192.0.2.1:25", "127.0.0.1:25"): False,
    ("127.0.0.1:25", "127.0.0.1:26"): False,
    ("0.0.0.0:25", "mail.example.org:25"): False,
}
# fmt: on


@pytest.mark.parametrize(("text", "said"), FILES.values(), ids=FILES)
def test_file(folder: Path, text: str, said: list[str]) -> None:
    assert mistakes(folder, text) == said


@pytest.mark.parametrize(("address", "said"), SECOND.items())
def test_second_listener(folder: Path, address: str, said: str) -> None:
    second = f"  other: {{protocol: smtp, upstream: mta, listen: {address}}}\nupstreams:\n"
    found = mistakes(folder, SOUND.replace("upstreams:\n", second))
    assert found == ([f"6:50: listeners.other.listen: {said}"] if said else [])


@pytest.mark.parametrize(("addresses", "own"), OWN.items())
def test_upstream_that_is_ourselves(folder: Path, addresses: tuple[str, str], own: bool) -> None:
    listen, address = addresses
    text = SOUND.replace("127.0.0.1:2525", listen).replace("mail.example.org:25", address)
    said = [line.partition(" is ")[2].partition(":")[0] for line in mistakes(folder, text)]
    assert said == (["ourselves"] if own else [])


def test_port_0_is_any_free_port(folder: Path) -> None:
    second = "  other: {protocol: smtp, upstream: mta, listen: 127.0.0.1:0}\nupstreams:\n"
    text = SOUND.replace("127.0.0.1:2525", "127.0.0.1:0").replace("upstreams:\n", second)
    assert mistakes(folder, text) == []


def test_a_directory_that_can_not_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    assert mistakes(folder, SOUND + "spool: {directory: .}\n") == [
        "9:20: spool.directory: no permission to write in DIR"
    ]


def test_a_directory_that_can_not_be_reached(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = Path.stat

    def closed(path: Path, **options: bool) -> os.stat_result:  # to root no directory is closed
        if path.name == "private":
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", closed)
    text = SOUND.replace("127.0.0.1:2525", "unix:private/in") + "spool: {directory: private}\n"
    assert mistakes(folder, text) == [
        "4:13: listeners.mx.listen: DIR/private can't be reached: Permission denied",
        "9:20: spool.directory: DIR/private can't be reached: Permission denied",
    ]


def test_upstreams_are_used_by_who_routes(folder: Path) -> None:
    text = SOUND.replace("upstream: mta\n", "upstream: route\n    plugins: [router]\n")
    found = configuration(folder, text + "plugins:\n  router: {use: './policy.py:Router'}\n")
    assert list(found.upstreams) == ["mta"]
