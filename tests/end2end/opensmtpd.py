"""A private OpenSMTPD, mostly unpacked and not installed, in a namespace with folders of its own.

It refuses pipelined commands, has no CHUNKING, and offers AUTH in TLS alone.
"""

from pathlib import Path

from end2end.dovecot import PASSWORD
from end2end.machine import Daemon, free_port, locate, run
from end2end.namespace import inside
from end2end.tls import Papers

CONFIGURATION = """
pki here cert "{papers.certificate}"
pki here key "{key}"
table users {{ {users} }}
smtp max-message-size {limit}
listen on 127.0.0.1 port {port} hostname opensmtpd.example.net tls pki here auth-optional <users>
action "out" relay host "smtp://127.0.0.1:{sink}"
match from any for rcpt-to {{ "nobody@example.org" }} reject
match from any for any action "out"
"""


class OpenSmtpd:
    """The running MTA: it listens on `port`, and sends all that it takes to the port `sink`.

    `users` may log in.
    """

    def __init__(self, folder: Path, papers: Papers, limit: int, sink: int, users: list[str]) -> None:
        self.port = free_port()
        spool, state, runtime = (folder / name for name in ("spool", "lib", "run"))
        for place in (spool, state / "opensmtpd" / "empty", runtime):
            place.mkdir(parents=True)
        spool.chmod(0o711)
        key = folder / "server.key"
        key.write_bytes(papers.key.read_bytes())
        key.chmod(0o600)
        hashed = run(locate("openssl"), "passwd", "-6", PASSWORD).strip()
        configuration = folder / "smtpd.conf"
        configuration.write_text(
            CONFIGURATION.format(
                papers=papers,
                key=key,
                users=", ".join(f'{user} = "{hashed}"' for user in users),
                limit=limit,
                port=self.port,
                sink=sink,
            )
        )
        configuration.chmod(0o600)
        self.daemon = Daemon(
            inside(
                folder,
                {"opensmtpd": "daemon", "opensmtpq": "bin"},
                {"/var/spool": spool, "/var/lib": state, "/run": runtime},
                *[locate("smtpctl").with_name("smtpd"), "-d", "-f", configuration],
            ),
            folder / "opensmtpd.out",
        )
        self.daemon.wait_for_ports(self.port)

    def log(self) -> str:
        """What it logged so far."""
        return self.daemon.output()

    def stop(self) -> None:
        self.daemon.stop()
