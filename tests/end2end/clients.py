"""Mail programs: each submits a message or fetches all there is, by the road it is given.

`SUBMIT[name](road, user, message, folder)` logs in as `user` and sends `message` to `user` by that road;
`READ[name](road, user, folder)` gives the messages of the user's INBOX. A message has CRLF line ends; what is
read may have either.
"""

import imaplib
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from end2end.dovecot import PASSWORD
from end2end.house import Road
from end2end.machine import locate, run

SENDER = "writer@example.net"
TRACE = (b"return-path", b"delivered-to", b"received", b"content-length")
"""Fields that servers put on top."""

Submit = Callable[[Road, str, bytes, Path], None]
Read = Callable[[Road, str, Path], list[bytes]]


def delivered(message: bytes) -> bytes:
    """A message as it was written: without what servers put on top, lines ending in CRLF."""
    lines = message.replace(b"\r\n", b"\n").split(b"\n")
    while lines and (lines[0][:1] in b"\t " or lines[0].partition(b":")[0].lower() in TRACE):
        del lines[0]
    return b"\r\n".join(lines)


def trust(road: Road) -> ssl.SSLContext:
    """Believes the tests' authority and nobody else."""
    return ssl.create_default_context(cafile=str(road.papers.authority))


def smtp(road: Road, hop: str = "submission") -> smtplib.SMTP:
    """A connection on which EHLO was said, in TLS where the road has it."""
    port = road.ports[hop]
    if road.tls == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", port, timeout=20, context=trust(road))
    else:
        client = smtplib.SMTP("localhost", port, timeout=20)
        if road.tls == "starttls":
            client.starttls(context=trust(road))
    client.ehlo("mua.example.net")
    return client


class _LmtpInTls(smtplib.LMTP):
    """smtplib's LMTP, in TLS from the first octet."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__("localhost", port)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), 20)
        return self._context.wrap_socket(plain, server_hostname=host)


def lmtp(road: Road) -> smtplib.LMTP:
    """A connection on which LHLO was said, in TLS where the road has it."""
    if road.tls == "implicit":
        return _greeted(_LmtpInTls(road.ports["lmtp"], trust(road)))
    client = smtplib.LMTP("localhost", road.ports["lmtp"])
    if road.tls == "starttls":
        client.starttls(context=trust(road))
    return _greeted(client)


def _greeted(client: smtplib.LMTP) -> smtplib.LMTP:
    client.ehlo("mx.example.org")
    return client


def imap(road: Road, user: str, password: str = PASSWORD) -> imaplib.IMAP4:
    """A connection that is logged in."""
    port = road.ports["imap"]
    if road.tls == "implicit":
        client: imaplib.IMAP4 = imaplib.IMAP4_SSL("localhost", port, ssl_context=trust(road), timeout=20)
    else:
        client = imaplib.IMAP4("localhost", port, timeout=20)
        if road.tls == "starttls":
            client.starttls(trust(road))
    client.login(user, password)
    return client


def pop3(road: Road, user: str, password: str = PASSWORD) -> poplib.POP3:
    """A connection that is logged in."""
    port = road.ports["pop3"]
    if road.tls == "implicit":
        client: poplib.POP3 = poplib.POP3_SSL("localhost", port, context=trust(road), timeout=20)
    else:
        client = poplib.POP3("localhost", port, timeout=20)
        if road.tls == "starttls":
            client.stls(trust(road))
    client.user(user)
    client.pass_(password)
    return client


def _smtplib(mechanism: str) -> Submit:
    def submit(road: Road, user: str, message: bytes, folder: Path) -> None:
        with smtp(road) as client:
            client.user, client.password = user, PASSWORD
            method = client.auth_plain if mechanism == "PLAIN" else client.auth_login
            client.auth(mechanism, method, initial_response_ok=mechanism == "PLAIN")
            client.sendmail(SENDER, [f"{user}@{road.domain}"], message)

    return submit


def _curl_tls(road: Road, scheme: str, hop: str) -> list[str]:
    """Where curl goes, and with how much TLS."""
    s = "s" if road.tls == "implicit" else ""
    words = [f"{scheme}{s}://localhost:{road.ports[hop]}", "--cacert", str(road.papers.authority)]
    return words if road.tls != "starttls" else [*words, "--ssl-reqd"]


def _curl_smtp(road: Road, user: str, message: bytes, folder: Path) -> None:
    file = folder / "message"
    file.write_bytes(message)
    url, *options = _curl_tls(road, "smtp", "submission")
    run(
        *[str(locate("curl")), "-sS", f"{url}/mua.example.net", *options, "--user", f"{user}:{PASSWORD}"],
        *["--mail-from", SENDER, "--mail-rcpt", f"{user}@{road.domain}", "--upload-file", str(file)],
    )


def _swaks(mechanism: str) -> Submit:
    def submit(road: Road, user: str, message: bytes, folder: Path) -> None:
        file = folder / "message"
        # swaks ends the last line itself
        file.write_bytes(message.replace(b"\r\n", b"\n").removesuffix(b"\n"))
        tls = {"none": [], "starttls": ["--tls"], "implicit": ["--tls-on-connect"]}[road.tls]
        verify = ["--tls-verify", "--tls-ca-path", str(road.papers.authority)] if tls else []
        run(
            *[str(locate("swaks")), "--server", "localhost", "--port", str(road.ports["submission"])],
            *[*tls, *verify, "--helo", "mua.example.net", "--from", SENDER, "--to", f"{user}@{road.domain}"],
            *["--auth", mechanism, "--auth-user", user, "--auth-password", PASSWORD, "--data", f"@{file}"],
        )

    return submit


def _msmtp(road: Road, user: str, message: bytes, folder: Path) -> None:
    settings = folder / "msmtprc"
    tls = "off" if road.tls == "none" else f"on\ntls_trust_file {road.papers.authority}"
    settings.write_text(
        f"account default\nhost localhost\nport {road.ports['submission']}\ndomain mua.example.net\n"
        f"auth plain\nuser {user}\npassword {PASSWORD}\nfrom {SENDER}\ntls {tls}\n"
        f"tls_starttls {'on' if road.tls == 'starttls' else 'off'}\n"
    )
    settings.chmod(0o600)
    run(locate("msmtp"), "-C", settings, f"{user}@{road.domain}", input=message.replace(b"\r\n", b"\n"))


SUBMIT: dict[str, Submit] = {
    "smtplib PLAIN": _smtplib("PLAIN"),
    "smtplib LOGIN": _smtplib("LOGIN"),
    "curl": _curl_smtp,
    "swaks PLAIN": _swaks("PLAIN"),
    "swaks LOGIN": _swaks("LOGIN"),
    "msmtp": _msmtp,
}


def _imaplib(road: Road, user: str, folder: Path) -> list[bytes]:
    with imap(road, user) as client:
        client.select(readonly=True)
        numbers = client.search(None, "ALL")[1][0].split()
        return [client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in numbers]  # type: ignore[index,misc]


def _poplib(road: Road, user: str, folder: Path) -> list[bytes]:
    client = pop3(road, user)
    count = client.stat()[0]
    found = [b"".join(line + b"\r\n" for line in client.retr(number + 1)[1]) for number in range(count)]
    client.quit()
    return found


def _curl_imap(road: Road, user: str, folder: Path) -> list[bytes]:
    url, *options = _curl_tls(road, "imap", "imap")
    login = ["--user", f"{user}:{PASSWORD}"]
    found = run(locate("curl"), "-sS", f"{url}/INBOX", *options, *login, "-X", "SEARCH ALL")
    numbers = found.replace("* SEARCH", "").split()
    out = folder / "fetched"
    messages = []
    for number in numbers:
        run(locate("curl"), "-sS", f"{url}/INBOX;MAILINDEX={number}", *options, *login, "-o", out)
        messages.append(out.read_bytes())
    return messages


def _curl_pop3(road: Road, user: str, folder: Path) -> list[bytes]:
    url, *options = _curl_tls(road, "pop3", "pop3")
    login = ["--user", f"{user}:{PASSWORD}"]
    rows = run(locate("curl"), "-sS", f"{url}/", *options, *login).splitlines()
    out = folder / "fetched"
    messages = []
    for row in rows:
        run(locate("curl"), "-sS", f"{url}/{row.split()[0]}", *options, *login, "-o", out)
        messages.append(out.read_bytes())
    return messages


def _mbsync(road: Road, user: str, folder: Path) -> list[bytes]:
    local = folder / "local"
    local.mkdir()
    settings = folder / "mbsyncrc"
    tls = {"none": "None", "starttls": "STARTTLS", "implicit": "IMAPS"}[road.tls]
    settings.write_text(
        f"IMAPStore far\nHost localhost\nPort {road.ports['imap']}\nUser {user}\nPass {PASSWORD}\n"
        f"AuthMechs LOGIN\nSSLType {tls}\nCertificateFile {road.papers.authority}\n\n"
        f"MaildirStore near\nInbox {local}/\n\n"
        "Channel all\nFar :far:\nNear :near:\nSync Pull\nCreate Near\nSyncState *\n"
    )
    run(locate("mbsync"), "-c", settings, "all")
    files = sorted(path for part in ("new", "cur") for path in local.glob(f"{part}/*"))
    return [_without(b"X-TUID:", file.read_bytes()) for file in files]


def _without(name: bytes, message: bytes) -> bytes:
    """`message` without the header fields `name`, each one line."""
    lines = message.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(name))


def _fetchmail(protocol: str) -> Read:
    def read(road: Road, user: str, folder: Path) -> list[bytes]:
        settings, sink = folder / "fetchmailrc", folder / "fetched"
        tls = {
            "none": "sslproto ''",
            "starttls": "sslproto 'TLS1.2+'",
            "implicit": "ssl",
        }[road.tls]
        settings.write_text(
            f"poll localhost service {road.ports[protocol]} protocol {protocol} auth password\n"
            f"  user {user} password {PASSWORD} {tls} sslcertck sslcertfile {road.papers.authority}\n"
            f"  fetchall keep no rewrite mda \"cat >> '{sink}'; printf '\\\\000' >> '{sink}'\"\n"
        )
        settings.chmod(0o600)
        run(
            *[str(locate("fetchmail")), "--nodetach", "-f", str(settings), "--nosyslog", "--invisible"],
            env={"FETCHMAILHOME": str(folder), "HOME": str(folder)},
        )
        return sink.read_bytes().split(b"\0")[:-1]

    return read


READ: dict[str, Read] = {
    "imaplib": _imaplib,
    "poplib": _poplib,
    "curl IMAP": _curl_imap,
    "curl POP3": _curl_pop3,
    "mbsync": _mbsync,
    "fetchmail IMAP": _fetchmail("imap"),
    "fetchmail POP3": _fetchmail("pop3"),
}
