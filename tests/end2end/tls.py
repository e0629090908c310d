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
    issuer: trustme.CA

    def renew(self) -> None:
        """Another certificate and key from the same authority in the same files."""
        made = self.issuer.issue_cert("localhost", "127.0.0.1", "mail.example.org", common_name="localhost")
        self.certificate.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        self.key.write_bytes(made.private_key_pem.bytes())


def issue(folder: Path) -> Papers:
    """A new authority and a server certificate from it."""
    folder.mkdir(mode=0o755)
    authority = trustme.CA()
    papers = Papers(folder / "authority.pem", folder / "server.pem", folder / "server.key", authority)
    authority.cert_pem.write_to_path(papers.authority)
    papers.renew()
    return papers
