"""A private Exim, mostly unpacked and not installed: everything it reads and writes is in a folder of its own."""

import pwd
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from end2end.dovecot import PASSWORD
from end2end.machine import Daemon, locate
from end2end.namespace import inside
from end2end.tls import Papers

CONFIGURATION = r"""
primary_hostname = {name}
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
exim_path = {program}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment =
timezone = UTC
message_size_limit = {limit}
smtp_accept_max = 0
smtp_accept_max_nonmail = 1000
smtp_max_synprot_errors = 1000
smtp_max_unknown_commands = 1000
chunking_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = {papers.certificate}
tls_privatekey = {papers.key}
acl_smtp_rcpt = recipient
acl_smtp_vrfy = accept
log_selector = +pipelining
# delivery is SMTP alone, so no process has to be root
deliver_drop_privilege = true

begin acl
recipient:
  deny  message = no such user here
        condition = ${{if match{{$local_part@$domain}}{{\N{unknown}\N}}}}
  accept

begin routers
{routers}
others:
  driver = manualroute
  transport = smtp
  route_list = * 127.0.0.1::{sink}
  self = send

begin transports
smtp:
  driver = smtp
  allow_localhost
  hosts_avoid_tls = *
  message_linelength_limit = 1M
lmtp:
  driver = smtp
  protocol = lmtp
  port = 24
  allow_localhost
  hosts_avoid_tls = *
  message_linelength_limit = 1M

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{{password}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if eq{{$auth2}}{{{password}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = {password}
  server_set_id = $auth1
"""

ROUTER = """
{name}:
  driver = manualroute
  transport = {protocol}
  domains = {domain}
  route_list = * 127.0.0.1::{port}
  self = send
"""


class Exim:
    """The running MTA: it listens on `port`, and sends all that it takes to the port `sink`.

    It takes messages of `limit` octets, and no mail for addresses that match the
    regular expression `unknown`. `ways` are domains that go elsewhere: protocol (smtp, lmtp) and port of 127.0.0.1.
    """

    def __init__(
        self,
        folder: Path,
        papers: Papers,
        port: int,
        limit: int,
        sink: int,
        unknown: str,
        ways: Mapping[str, tuple[str, int]],
    ) -> None:
        self.folder = folder
        user = pwd.getpwnam("mail")
        (folder / "spool").mkdir()
        shutil.chown(folder / "spool", "mail")
        key = folder / "server.key"
        shutil.copy(papers.key, key)
        shutil.chown(key, user.pw_uid)
        program = locate("exim4")
        routers = [
            ROUTER.format(name=f"way{number}", domain=domain, protocol=protocol, port=port)
            for number, (domain, (protocol, port)) in enumerate(ways.items())
        ]
        configuration = folder / "exim.conf"
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                name="exim.example.net",
                program=program,
                port=port,
                limit=limit,
                papers=replace(papers, key=key),
                sink=sink,
                unknown=unknown,
                routers="".join(routers),
                password=PASSWORD,
            )
        )
        command = inside(folder, {"Debian-exim": "mail"}, {}, program, "-C", configuration, "-bdf", "-q1s")
        self.daemon = Daemon(command, folder / "exim.out")
        self.daemon.wait_for_ports(port)

    def log(self) -> str:
        """What it logged so far."""
        return (self.folder / "spool" / "mainlog").read_text(errors="replace")

    def stop(self) -> None:
        self.daemon.stop()
