"""A private OpenSMTPD, mostly unpacked and not installed, in a namespace with folders of its own.

It refuses pipelined commands and has no CHUNKING. Debian 12's can't do TLS (it was made for OpenSSL 1), and
without TLS it offers no AUTH, so it has neither here.
"""

from pathlib import Path

from end2end.machine import Daemon, locate
from end2end.namespace import inside

CONFIGURATION = """
smtp max-message-size {limit}
listen on 127.0.0.1 port {port} hostname opensmtpd.example.net
action "out" relay host "smtp://127.0.0.1:{sink}"
match from any for rcpt-to regex {{ "{unknown}" }} reject
match from any for any action "out"
"""


class OpenSmtpd:
    """The running MTA: it listens on `port`, and sends all that it takes to the port `sink`.

    It takes messages of `limit` octets, and no mail for addresses that match the
    regular expression `unknown`.
    """

    def __init__(self, folder: Path, port: int, limit: int, sink: int, unknown: str) -> None:
        spool, state, runtime = (folder / name for name in ("spool", "lib", "run"))
        for place in (spool, state / "opensmtpd" / "empty", runtime):
            place.mkdir(parents=True)
        spool.chmod(0o711)
        configuration = folder / "smtpd.conf"
        configuration.write_text(CONFIGURATION.format(limit=limit, port=port, sink=sink, unknown=unknown))
        configuration.chmod(0o600)
        self.daemon = Daemon(
            inside(
                folder,
                {"opensmtpd": "daemon", "opensmtpq": "bin"},
                {"/var/spool": spool, "/var/lib": state, "/run": runtime},
                locate("smtpctl").with_name("smtpd"),
                "-d",
                *("-f", configuration),
            ),
            folder / "opensmtpd.out",
        )
        self.daemon.wait_for_ports(port)

    def log(self) -> str:
        """What it logged so far."""
        return self.daemon.output()

    def stop(self) -> None:
        self.daemon.stop()
