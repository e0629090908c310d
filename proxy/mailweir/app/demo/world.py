"""The demo's world: a folder with keys, certificate and configuration, and the processes that run in it.

Everything listens on loopback, on ports that were free a moment ago; the folder and the processes end
with the world.
"""

import contextlib
import datetime
import importlib.util
import ipaddress
import json
import os
import random
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import IO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

HOST = "127.0.0.1"
ANN, BOB, PASSWORD = "ann", "bob", "weir-demo"
DOMAIN, SELECTOR = "example.org", "demo"
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `kill`, a closed terminal: each a KeyboardInterrupt here, so that no process stays behind."""
PATIENCE = 30.0
"""Seconds that a process may take to come up."""

CONFIGURATION = """\
listeners:
  submission:                       # where mail programs hand in mail
    protocol: smtp
    listen: 127.0.0.1:{submission}
    tls: starttls
    upstream: mta
    plugins: [accesslog, attachments, dkim]
  delivery:                         # between the last MTA and the mailbox
    protocol: lmtp
    listen: 127.0.0.1:{delivery}
    upstream: mda
    plugins: [accesslog]
  pop3:
    protocol: pop3
    listen: 127.0.0.1:{pop3}
    upstream: mailbox-pop3
    plugins: [accesslog]
  imap:
    protocol: imap
    listen: 127.0.0.1:{imap}
    upstream: mailbox-imap
    plugins: [accesslog]

upstreams:
  mta: {{address: "127.0.0.1:{mta}"}}
  mda: {{address: "127.0.0.1:{mda}"}}
  mailbox-pop3: {{address: "127.0.0.1:{mailbox_pop3}"}}
  mailbox-imap: {{address: "127.0.0.1:{mailbox_imap}"}}

plugins:
  dkim:
    domain: {domain}
    selector: {selector}
    key: {{file: dkim.pem}}

certificates:
  - {{certificate: cert.pem, key: key.pem}}

admin:
  listen: 127.0.0.1:{admin}

log: {{format: logfmt, level: info}}

limits: {{drain: 2s}}                 # Ctrl-C is not to wait for who forgot to close a connection
"""


class WorldError(Exception):
    """A process did not come up; the text says which, and what it said last."""


class World:
    """Use as a context manager, in the main thread; `ports` maps the names in CONFIGURATION to ports."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self.dns_key = b""
        self._folder = tempfile.TemporaryDirectory(prefix="mailweir-demo-")
        self.folder = Path(self._folder.name)
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "World":
        for end in ENDS:
            signal.signal(end, interrupted)
        try:
            self._build()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def configuration(self) -> Path:
        return self.folder / "mailweir.yaml"

    def end(self) -> None:
        """End the processes, the proxy first, and take the folder away; an impatient second Ctrl-C waits."""
        heed_no_more()
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        self._folder.cleanup()

    def log(self, name: str = "mailweir") -> str:
        """What a process has said so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def tls(self) -> ssl.SSLContext:
        """A client's context that believes the demo's certificate."""
        return ssl.create_default_context(cafile=str(self.folder / "cert.pem"))

    def admin(self, path: str) -> str:
        """What the admin window answers."""
        with urllib.request.urlopen(f"http://{HOST}:{self.ports['admin']}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def _build(self) -> None:
        if importlib.util.find_spec("pymap") is None:
            raise WorldError(
                f"its mailbox server is not installed; {sys.executable} -m pip install pymap, "
                "or in a checkout: make demo"
            )
        ours = ("submission", "delivery", "pop3", "imap", "admin", "mailbox_imap")
        self.ports = dict(zip(ours, free_ports(len(ours)), strict=True))
        self._make_certificate()
        self._make_dkim_key()
        imap_port = str(self.ports["mailbox_imap"])
        self._start(
            "imap",
            [
                sys.executable,
                "-c",
                "from pymap.main import main; main()",
                "--no-tls",
                "--host",
                HOST,
                "--port",
                imap_port,
            ]
            + ["dict", "--demo-user", BOB, "--demo-password", PASSWORD],
        )
        self._await_port(self.ports["mailbox_imap"], "imap")
        servers = self._start(
            "servers",
            [sys.executable, "-m", "mailweir.app.demo.servers"]
            + [str(self.ports["delivery"]), imap_port, ANN, BOB, PASSWORD],
            subprocess.PIPE,
        )
        assert servers.stdout is not None
        ready, _, _ = select.select([servers.stdout], [], [], PATIENCE)
        line = servers.stdout.readline() if ready else b""
        if not line:
            raise WorldError(f"the embedded mail servers did not start: {self.log('servers')[-800:]}")
        ports = json.loads(line)
        self.ports |= {"mta": ports["submission"], "mda": ports["lmtp"], "mailbox_pop3": ports["pop3"]}
        self.configuration.write_text(CONFIGURATION.format(domain=DOMAIN, selector=SELECTOR, **self.ports))
        self._start("mailweir", [sys.executable, "-m", "mailweir", "run", str(self.configuration)])
        self._await_port(self.ports["admin"], "mailweir")
        self._await_port(self.ports["imap"], "mailweir")

    def _start(self, name: str, command: list[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
        log: IO[bytes] = (self.folder / f"{name}.log").open("wb")
        with log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                # a Ctrl-C in the terminal is for the story alone, which then ends the others in order
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _await_port(self, port: int, name: str) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._processes[-1].poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection((HOST, port), 1).close()
                return
            time.sleep(0.05)
        raise WorldError(f"{name} did not start: {self.log(name)[-800:]}")

    def _make_dkim_key(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        write_key(self.folder / "dkim.pem", key)
        self.dns_key = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _make_certificate(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mailweir demo")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .sign(key, hashes.SHA256())
        )
        (self.folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_key(self.folder / "key.pem", key)


def interrupted(signum: int, frame: object) -> None:
    """The first signal ends the story; from then on nothing may come between us and the end of the others."""
    heed_no_more()
    raise KeyboardInterrupt


def heed_no_more() -> None:
    for end in ENDS:
        signal.signal(end, signal.SIG_IGN)


def write_key(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    """A private key in PEM, readable by its owner alone."""
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on now.

    They are below those that Linux gives to whoever asks for any (32768 and up, ip(7)): of those, one might
    be taken by a client or by another server of ours before its own server has come up.
    """
    found: list[int] = []
    for port in random.sample(range(20000, 32768), 2000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            return found
    raise WorldError(f"there are no {count} free ports between 20000 and 32767")
