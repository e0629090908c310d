"""Mistakes that people make: what they read says what to do."""

import re
import socket
import ssl
import sys
from pathlib import Path

import pytest

from end2end.fakes import Fake, Peer, SmtpFake, connect
from end2end.machine import free_port, run, wait_until
from end2end.tls import Papers, issue
from end2end.weir import Start, once, program, write

RIGHT = """\
listeners:
  in:
    protocol: smtp
    listen: 127.0.0.1:{port}
    tls: {tls}
    upstream: out
    plugins: [{plugins}]
upstreams:
  out:
    address: 127.0.0.1:1
certificates:
  - certificate: {papers.certificate}
    key: {papers.key}
"""


def configuration(papers: Papers, tls: str = "none", plugins: str = "") -> str:
    return RIGHT.format(port=free_port(), tls=tls, plugins=plugins, papers=papers)


MISTAKES = {  # name: (what is right, what is written instead, what is said from the line on)
    "misspelt key": (
        "    upstream: out",
        "    upstrem: out",
        "2:3: listeners.in.upstream: is required|6:5: listeners.in.upstrem: no such key; did you mean upstream?",
    ),
    "wrong type": (
        "    upstream: out",
        "    upstream: out\n    require_tls: maybe",
        "7:18: listeners.in.require_tls: must be true or false, not maybe",
    ),
    "wrong word": (
        "protocol: smtp",
        "protocol: imapp",
        "3:15: listeners.in.protocol: must be smtp, lmtp, pop3 or imap, not imapp; did you mean imap?",
    ),
    "no such upstream": (
        "    upstream: out",
        "    upstream: ouch",
        "6:15: listeners.in.upstream: no upstream is named ouch",
    ),
    "plugin not installed": (
        "plugins: []",
        "plugins: [dkimm]",
        "7:15: listeners.in.plugins.0: dkimm is neither an entry under plugins nor installed; did you mean dkim?",
    ),
    "key twice": (
        "    upstream: out",
        "    upstream: out\n    upstream: out",
        "7:5: listeners.in.upstream: stands here twice, first on line 6",
    ),
}


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("right", "wrong", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake_in_the_file(
    papers: Papers, tmp_path: Path, command: str, right: str, wrong: str, said: str
) -> None:
    text = configuration(papers)
    assert right in text
    file = write(tmp_path, text.replace(right, wrong, 1))
    code, output = once(command, file)
    assert code == 78
    for sentence in said.split("|"):
        assert f"{file}:{sentence}" in output


def test_everything_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, "listeners:\n  in: {protocol: smpt, lisen: here}\nlog: {format: xml}\n")
    code, output = once("check", file)
    assert code == 78
    assert len([line for line in output.splitlines() if line.startswith(f"{file}:")]) >= 4


def test_key_file_missing(papers: Papers, tmp_path: Path) -> None:
    text = configuration(papers, "starttls").replace(str(papers.key), "nobody.key")
    code, output = once("check", write(tmp_path, text))
    assert code == 78
    assert f"13:10: certificates.0.key: there is no file {tmp_path}/nobody.key\n" in output


def test_certificate_of_another_key(papers: Papers, tmp_path: Path) -> None:
    other = issue(tmp_path / "other")
    text = configuration(papers, "starttls").replace(str(papers.key), str(other.key))
    code, output = once("check", write(tmp_path, text))
    assert code == 78
    said = f"{other.key} is not the key of {papers.certificate}; the server's certificate comes first"
    assert f"13:10: certificates.0.key: {said}\n" in output


def test_port_taken(papers: Papers, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = re.sub(r"listen: 127.0.0.1:\d+", f"listen: 127.0.0.1:{port}", configuration(papers))
        file = write(tmp_path, text)
        code, output = once("run", file)
    assert code == 1
    assert (
        f"127.0.0.1:{port}: port taken: another program listens there (`ss -ltnp 'sport = :{port}'` shows which)"
        in output
    )
    assert "Traceback" not in output


def test_no_permission_for_a_port(papers: Papers, tmp_path: Path) -> None:
    text = re.sub(r"listen: 127.0.0.1:\d+", "listen: 0.0.0.0:25", configuration(papers))
    file = write(tmp_path, text)
    # a network of its own, where ports below 1024 are privileged whatever this machine's sysctl says
    shell = '"$@"; test $? = 1'
    output = run(
        *[
            "unshare",
            "--net",
            "setpriv",
            "--bounding-set",
            "-net_bind_service",
            "--inh-caps",
            "-net_bind_service",
        ],
        *["sh", "-c", shell, "sh", *program("run", file)],
    )
    assert "permission denied: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE" in output
    assert "Traceback" not in output


def test_upstream_down(start: Start) -> None:
    """The client is told to come back, the keeper which server can't be reached and why."""
    port = free_port()
    listeners = {name: {"protocol": name, "upstream": "out"} for name in ("smtp", "lmtp", "pop3", "imap")}
    weir = start(listeners, {"out": {"address": f"127.0.0.1:{port}"}})
    words = {"smtp": rb"421 ", "lmtp": rb"421 ", "pop3": rb"-ERR \[SYS/TEMP\] ", "imap": rb"\* BYE "}
    for name, said in words.items():
        greeting = connect(weir.ports[name]).rest()
        assert re.match(said, greeting), greeting
        assert b"127.0.0.1" not in greeting, "our network is nobody's business"
    event = weir.wait_for_event("upstream unreachable")
    assert event["upstream"] == "out"
    assert f"127.0.0.1:{port}" in str(event) and "refused" in str(event).lower()
    assert weir.metric("mailweir_upstream_connects_total", upstream="out") >= 4


def upstream_in_tls(papers: Papers) -> Fake:
    """A server that only finishes handshakes with whoever believes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.certificate, papers.key)

    def server(peer: Peer) -> None:
        try:
            secure = context.wrap_socket(peer.connection, server_side=True)
        except OSError:
            return
        secure.sendall(b"220 fake ESMTP\r\n")
        Peer(secure).rest()

    return Fake(server)


def test_upstream_s_certificate_is_not_trusted(start: Start, papers: Papers, tmp_path: Path) -> None:
    fake = upstream_in_tls(papers)
    stranger = issue(tmp_path / "stranger")
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out"}},
        {"out": {**fake.upstream, "tls": "implicit", "verify": str(stranger.authority)}},
    )
    greeting = connect(weir.port).rest()
    assert greeting.startswith(b"421 ") and b"fake" not in greeting
    event = weir.wait_for_event("upstream unreachable")
    assert "certificate" in str(event).lower(), event
    fake.stop()


def test_upstream_s_certificate_is_for_another_name(start: Start, papers: Papers) -> None:
    fake = upstream_in_tls(papers)
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out"}},
        {
            "out": {
                "address": f"[::ffff:127.0.0.1]:{fake.port}",
                "tls": "implicit",
                "verify": str(papers.authority),
            }
        },
    )
    greeting = connect(weir.port).rest()
    assert greeting.startswith(b"421 ") and b"fake" not in greeting
    event = weir.wait_for_event("upstream unreachable")
    assert "certificate" in str(event).lower(), event
    fake.stop()


def test_invalid_reload_changes_nothing(start: Start) -> None:
    fake = SmtpFake()
    weir = start({"in": {"protocol": "smtp", "upstream": "out"}}, {"out": fake.upstream})
    assert weir.metric("mailweir_config_last_reload_successful") == 1
    right = weir.file.read_text()
    weir.file.write_text(right.replace('"protocol"', '"protokol"'))
    weir.reload()
    wait_until("the reload failed", lambda: weir.metric("mailweir_config_last_reload_successful") == 0)
    assert "did you mean protocol?" in weir.daemon.output()
    assert connect(weir.port).reply().startswith(b"220 fake")
    weir.file.write_text(right)
    weir.reload()
    wait_until("the reload worked", lambda: weir.metric("mailweir_config_last_reload_successful") == 1)
    assert connect(weir.port).reply().startswith(b"220 fake")
    fake.stop()


def test_no_file(tmp_path: Path) -> None:
    code, output = once("run", tmp_path / "nothing.yaml")
    assert code == 78
    assert f"{tmp_path}/nothing.yaml" in output and "Traceback" not in output


def test_misused_command_line() -> None:
    code, output = once("rum")
    assert code == 64
    assert "rum" in output and "Traceback" not in output
    assert sys.executable not in output
