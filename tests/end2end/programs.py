"""Mail programs that send to a server and end: with what code, and what they said.

`PROGRAMS[name](door, errand, recipients)` does an errand once. A message is read from `dialogues`.
"""

import json
import os
import re
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from end2end.dialogues import MESSAGE
from end2end.dovecot import PASSWORD
from end2end.machine import ROOT, Missing, Word, locate
from end2end.peers import SENDER, USER, Conversation, Door, Told

NODE = ROOT / ".build" / "node" / "node_modules"
"""Where `make test` puts what nodemailer/package-lock.json pins."""


@dataclass(frozen=True)
class Errand:
    """What is to be sent, and how."""

    mechanism: str | None = None
    """Of SASL; None: no login."""
    password: str = PASSWORD
    tls: bool = False
    """STARTTLS, with a certificate that is checked."""
    recipients: tuple[str, ...] = ("",)
    """The ends of their names; `!` is one that the server refuses."""
    messages: int = 1
    """How many, one after the other over one connection."""
    options: tuple[str, ...] = ()
    """Further words of the command line."""


@dataclass(frozen=True)
class End:
    code: int
    said: str


Program = Callable[[Door, Errand, list[str]], End]


def conversation(program: Program, errand: Errand) -> Conversation:
    """The errand as a conversation. Who ends with 0 has sent all messages to all that weren't refused."""

    def converse(door: Door, token: str) -> Told:
        named = [f"{token}{name}@example.org" for name in errand.recipients if name != "!"]
        names = iter(named)
        everybody = [door.server.unknown if name == "!" else next(names) for name in errand.recipients]
        end = program(door, errand, everybody)
        count = len(named) * errand.messages if end.code == 0 else 0
        return Told(f"{end.said}\nended with {end.code}\n", count)

    return converse


def _run(*command: Word, input: bytes = b"", env: Mapping[str, str] | None = None) -> End:
    done = subprocess.run(
        [str(word) for word in command],
        input=input,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        timeout=60,
    )
    return End(done.returncode, done.stdout.decode(errors="backslashreplace"))


_SWAKS_VARIES = [
    (r"( -> [EL]HLO .*\n| ~> [EL]HLO .*\n)(<[-~]+ +\d{3}[- ].*\n)+", r"\1"),
    (r"(?m)^( [~-]> )[\w+/=]{16,}$", r"\1RESPONSE"),
    (r"( -> STARTTLS\n<-  220) .*", r"\1 go on"),
    (r"=== TLS (started|peer|no local|server|certificate).*\n", ""),
]


def _swaks(door: Door, errand: Errand, recipients: list[str]) -> End:
    words: list[Word] = ["--server", "localhost", "--port", str(door.port), "--helo", "client.example.net"]
    words += ["--from", SENDER, "--to", ",".join(recipients), "--timeout", "20", "--suppress-data"]
    if door.server.protocol == "lmtp":
        words += ["--protocol", "LMTP"]
    if errand.tls:
        words += ["--tls", "--tls-verify", "--tls-ca-path", door.papers.authority]
    if errand.mechanism:
        words += ["--auth", errand.mechanism, "--auth-user", USER, "--auth-password", errand.password]
    # swaks ends the last line itself
    text = MESSAGE.replace(b"\r\n", b"\n").removesuffix(b"\n")
    end = _run(locate("swaks"), *words, *errand.options, "--data", "-", input=text)
    said = end.said
    for pattern, to in _SWAKS_VARIES:
        said = re.sub(pattern, to, said)
    return End(end.code, said)


def _msmtp(door: Door, errand: Errand, recipients: list[str]) -> End:
    words = ["--host=localhost", f"--port={door.port}", "--domain=client.example.net", f"--from={SENDER}"]
    words += [f"--tls={'on' if errand.tls else 'off'}", f"--tls-trust-file={door.papers.authority}"]
    if errand.mechanism:
        words += [f"--auth={errand.mechanism.lower()}", f"--user={USER}"]
        words += [f"--passwordeval=printf %s {errand.password}"]
    text = MESSAGE.replace(b"\r\n", b"\n")
    return _run(locate("msmtp"), *words, *errand.options, "--", *recipients, input=text)


def _curl(door: Door, errand: Errand, recipients: list[str]) -> End:
    words: list[Word] = ["-sS", f"smtp://localhost:{door.port}/client.example.net", "--mail-from", SENDER]
    for recipient in recipients:
        words += ["--mail-rcpt", recipient]
    if errand.tls:
        words += ["--ssl-reqd", "--cacert", door.papers.authority]
    if errand.mechanism:
        words += ["--user", f"{USER}:{errand.password}", "--login-options", f"AUTH={errand.mechanism}"]
    return _run(locate("curl"), *words, *errand.options, "--upload-file", "-", input=MESSAGE)


def _nodemailer(door: Door, errand: Errand, recipients: list[str]) -> End:
    if not NODE.exists():
        raise Missing("nodemailer is not here; `make test` fetches it")
    transport = {
        "host": "localhost",
        "port": door.port,
        "name": "client.example.net",
        "secure": False,
        "pool": True,
        "maxConnections": 1,
        "ignoreTLS": not errand.tls,
        "requireTLS": errand.tls,
        "tls": {"ca": door.papers.authority.read_text()},
    }
    if errand.mechanism:
        transport["auth"] = {"user": USER, "pass": errand.password}
        transport["authMethod"] = errand.mechanism
    message = {"envelope": {"from": SENDER, "to": recipients}, "raw": MESSAGE.decode()}
    job = json.dumps({"transport": transport, "messages": [message] * errand.messages})
    script = ROOT / "tests" / "end2end" / "nodemailer" / "send.js"
    return _run(locate("node"), script, job, env={"NODE_PATH": str(NODE)})


def _smtplib(door: Door, errand: Errand, recipients: list[str]) -> End:
    kind = smtplib.LMTP if door.server.protocol == "lmtp" else smtplib.SMTP
    said: list[object] = []
    try:
        with kind("localhost", door.port, "client.example.net") as client:
            if errand.tls:
                client.starttls(context=ssl.create_default_context(cafile=str(door.papers.authority)))
            client.ehlo()
            if errand.mechanism:
                client.user, client.password = USER, errand.password
                method = getattr(client, f"auth_{errand.mechanism.lower().replace('-', '_')}")
                said.append(client.auth(errand.mechanism, method))
            for _ in range(errand.messages):
                said.append(client.sendmail(SENDER, recipients, MESSAGE))
    except smtplib.SMTPException as error:
        return End(1, f"{said} {error!r}")
    return End(0, str(said))


PROGRAMS: dict[str, Program] = {
    "swaks": _swaks,
    "msmtp": _msmtp,
    "curl": _curl,
    "nodemailer": _nodemailer,
    "smtplib": _smtplib,
}

MECHANISMS: dict[str, tuple[str, ...]] = {
    "swaks": ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"),
    "msmtp": ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
    "curl": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "nodemailer": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "smtplib": ("PLAIN", "LOGIN", "CRAM-MD5"),
}
"""The mechanisms by which each program gets in, of those that a server of ours offers.

curl knows DIGEST-MD5, too, but gives up on Dovecot's challenge.
"""
