"""Certificates for the tests: an authority that exists for one run only."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Papers:
    """Files in PEM: the authority's certificate, and a server's with its key, for localhost and 127.0.0.1."""

    authority: Path
    certificate: Path
    key: Path


def issue(folder: Path) -> Papers:
    """A new authority and a server certificate from it."""
    folder.mkdir(mode=0o755)
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1", "mail.example.org", common_name="localhost")
    papers = Papers(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(papers.authority)
    for number, pem in enumerate(server.cert_chain_pems):
        pem.write_to_path(papers.certificate, append=number > 0)
    server.private_key_pem.write_to_path(papers.key)
    return papers
