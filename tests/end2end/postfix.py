"""A private Postfix from folders of its own: nothing of /etc/postfix is read, no port below 1024 is used."""

import os
import shutil
import signal
from pathlib import Path

from end2end.machine import UNPACKED, Daemon, Missing, locate, wait_until
from end2end.tls import Papers

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {libexec}/sbin
shlib_directory = {libexec}
meta_directory = {meta}
command_directory = {command}
sendmail_path = {command}/sendmail
mailq_path = {command}/sendmail
newaliases_path = {command}/sendmail
# existing accounts, so that none has to be made
mail_owner = daemon
setgid_group = mail
default_privs = nobody
import_environment = MAIL_CONFIG LD_LIBRARY_PATH POSTLOG_SERVICE POSTLOG_HOSTNAME LANG=C
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_dns_support_level = disabled
myhostname = {name}
mydestination =
local_recipient_maps =
alias_maps =
mynetworks =
message_size_limit = 0
mailbox_size_limit = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 2000
smtpd_client_connection_count_limit = 0
smtp_connection_cache_on_demand = no
smtpd_tls_cert_file = {papers.certificate}
smtpd_tls_key_file = {papers.key}
smtpd_tls_security_level = may
smtp_tls_CAfile = {papers.authority}
lmtp_tls_CAfile = {papers.authority}
"""

SERVICES = """
postlog   unix-dgram n  -       n       -       1       postlogd
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
smtps     unix  -       -       n       -       -       smtp -o smtp_tls_wrappermode=yes -o smtp_tls_security_level=verify
lmtp      unix  -       -       n       -       -       lmtp
lmtps     unix  -       -       n       -       -       lmtp -o lmtp_tls_wrappermode=yes -o lmtp_tls_security_level=verify
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
anvil     unix  -       -       n       -       1       anvil
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
scache    unix  -       -       n       -       1       scache
"""


class Postfix:
    """The running MTA. It listens on the `ports` "smtp" (STARTTLS offered) and "smtps" (implicit TLS).

    `main` are lines for main.cf behind ours.
    """

    def __init__(self, folder: Path, papers: Papers, name: str, ports: dict[str, int], main: str) -> None:
        if os.getuid() != 0:
            raise Missing("Postfix can only be started by root; run the tests as root")
        libexec = locate("/usr/lib/postfix/sbin/master").parents[1]
        command = locate("postfix")
        self._command = command
        self.folder = folder
        self.ports = ports
        for part in ("queue", "data"):
            (folder / part).mkdir()
        shutil.chown(folder / "data", "daemon")
        (folder / "main.cf").write_text(
            MAIN.format(
                folder=folder,
                libexec=libexec,
                meta=locate("/etc/postfix/postfix-files").parent,
                command=command.parent,
                papers=papers,
                name=name,
            )
            + main
        )
        (folder / "master.cf").write_text(
            SERVICES
            + f"127.0.0.1:{self.ports['smtp']} inet n - n - - smtpd\n"
            + f"127.0.0.1:{self.ports['smtps']} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n"
        )
        self.start()

    def start(self) -> None:
        """Start it, after `stop`."""
        self.daemon = Daemon(
            [self._command, "-c", self.folder, "start-fg"],
            self.folder / "postfix.out",
            {"LD_LIBRARY_PATH": str(UNPACKED / "usr/lib/postfix")},
        )
        self.daemon.wait_for_ports(*self.ports.values())

    def log(self) -> str:
        """What it logged so far."""
        maillog = self.folder / "maillog"
        return maillog.read_text(errors="replace") if maillog.exists() else ""

    def queued(self) -> int:
        """How many messages are in the queue."""
        parts = ("maildrop", "incoming", "active", "deferred", "hold")
        return sum(
            len([path for path in (self.folder / "queue" / part).rglob("*") if path.is_file()])
            for part in parts
        )

    def stop(self) -> None:
        # the master is in a session of its own, so its pid file tells who it is
        master = int((self.folder / "queue" / "pid" / "master.pid").read_text())
        os.kill(master, signal.SIGTERM)
        wait_until("Postfix ended", lambda: not Path(f"/proc/{master}").exists())
        self.daemon.stop()
