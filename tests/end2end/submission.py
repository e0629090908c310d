"""A private Dovecot as submission server in front of an MTA, with every mechanism of SASL that it has a use for."""

from pathlib import Path

from end2end.dovecot import Dovecot
from end2end.tls import Papers

MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")

CONFIGURATION = """
protocols = $protocols submission
auth_mechanisms = {mechanisms}
mail_fsync = never
hostname = submission.example.net
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_max_mail_size = {limit}
service submission-login {{
  chroot =
  service_count = 0
  inet_listener submission {{
    port = {port}
  }}
}}
service submission {{
  client_limit = 20
  service_count = 0
}}
"""


def submission(folder: Path, papers: Papers, limit: int, relay: int, port: int) -> Dovecot:
    """A Dovecot that also takes mail at `port`, for the MTA at the port `relay`; one must log in."""
    mechanisms = " ".join(MECHANISMS).lower()
    more = CONFIGURATION.format(mechanisms=mechanisms, relay=relay, limit=limit, port=port)
    return Dovecot(folder, papers, more, {"submission": port})
