"""A private Dovecot: IMAP, POP3 and LMTP, in clear, by STARTTLS and in TLS; also Postfix's SASL.

Everybody may log in with the same password; a user is whatever stands before the `@`.
"""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from end2end.machine import UNPACKED, Daemon, free_port, locate
from end2end.tls import Papers

PASSWORD = "sesame-4Kq7vZ"
WRONG_PASSWORD = "barley-9Xw2pQ"
"""Like no other words, so that they are found wherever they were said (`leaks`)."""

CONFIGURATION = """
protocols = imap pop3 lmtp
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
libexec_dir = {libexec}
mail_plugin_dir = {libexec}/modules
listen = 127.0.0.1
ssl = yes
ssl_cert = <{papers.certificate}
ssl_key = <{papers.key}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_username_format = %Ln
login_trusted_networks =
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
first_valid_uid = 1
import_environment = TZ LD_LIBRARY_PATH
mail_location = maildir:~/Maildir
mail_max_userip_connections = 5000
mailbox_list_index = no
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/homes/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {ports[imap]}
  }}
  inet_listener imaps {{
    port = {ports[imaps]}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    port = {ports[pop3]}
  }}
  inet_listener pop3s {{
    port = {ports[pop3s]}
    ssl = yes
  }}
}}
service imap {{
  client_limit = 20
  service_count = 0
}}
service lmtp {{
  user = {user}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {ports[lmtp]}
  }}
  inet_listener lmtps {{
    address = 127.0.0.1
    port = {ports[lmtps]}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  # no waiting after a wrong password
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service auth {{
  inet_listener sasl {{
    address = 127.0.0.1
    port = {ports[sasl]}
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@example.org
}}
"""


class Dovecot:
    """The running server; `ports` by the names of its listeners (imap, imaps, pop3, pop3s, lmtp, lmtps, sasl).

    `more` is configuration behind ours, `others` the ports that it opens.
    """

    def __init__(
        self, folder: Path, papers: Papers, more: str = "", others: Mapping[str, int] | None = None
    ) -> None:
        program = locate("dovecot")
        libexec = locate("/usr/lib/dovecot/imap").parent
        self.folder = folder
        self.ports = {
            name: free_port() for name in ("imap", "imaps", "pop3", "pop3s", "lmtp", "lmtps", "sasl")
        } | dict(others or {})
        homes = folder / "homes"
        homes.mkdir()
        user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        os.chown(homes, user.pw_uid, user.pw_gid)
        configuration = folder / "dovecot.conf"
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                libexec=libexec,
                papers=papers,
                password=PASSWORD,
                uid=user.pw_uid,
                gid=user.pw_gid,
                user=user.pw_name,
                ports=self.ports,
            )
            + more
        )
        self.daemon = Daemon(
            [program, "-F", "-c", configuration],
            folder / "dovecot.out",
            {"LD_LIBRARY_PATH": str(UNPACKED / "usr/lib/dovecot")},
        )
        self.daemon.wait_for_ports(*self.ports.values())

    def messages(self, user: str) -> list[bytes]:
        """All that lies in a user's INBOX, oldest first, as it was stored (lines end in LF)."""
        inbox = self.folder / "homes" / user / "Maildir"
        files = [file for part in ("new", "cur") for file in inbox.glob(f"{part}/*")]
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.name)]

    def stop(self) -> None:
        self.daemon.stop()
