"""The whole journey: submission, relay from MTA to MTA, delivery by LMTP, reading by IMAP and POP3.

One pair of Postfix and one Dovecot serve all roads at once; the recipient's domain says by which road a
message goes: `ann@starttls.example.org` passes the mailweir of the road `starttls` at each hop,
`ann@direct.example.org` none at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from end2end.dovecot import Dovecot
from end2end.machine import free_port, wait_until
from end2end.postfix import Postfix
from end2end.tls import Papers
from end2end.weir import Mailweir

DIRECT = {"direct": "none", "direct-starttls": "starttls", "direct-implicit": "implicit"}
"""Roads without mailweir: what the client does about TLS."""

PROXIED = {
    "clear": ("none", "none"),
    "to-clients": ("starttls", "none"),
    "to-servers": ("none", "starttls"),
    "starttls": ("starttls", "starttls"),
    "implicit": ("implicit", "implicit"),
}
"""Roads through mailweir: TLS towards clients, TLS towards servers."""

ROADS = [*DIRECT, *PROXIED]
HOPS = {"submission": "smtp", "mx": "smtp", "lmtp": "lmtp", "imap": "imap", "pop3": "pop3"}
"""Every listener of a proxy, and its protocol."""


@dataclass(frozen=True)
class Road:
    """One way through the house: what a mail program connects to (`ports` by hop), and how."""

    name: str
    tls: str
    ports: dict[str, int]
    papers: Papers

    @property
    def domain(self) -> str:
        return f"{self.name}.example.org"


class House:
    """The servers of all roads. `road(name)` is a context in which that road is open."""

    def __init__(self, folder: Path, papers: Papers) -> None:
        self.folder = folder
        self.papers = papers
        self.delivery = folder / "delivery"
        """Where Postfix hands over mail for delivery.example.org: the socket of whoever stands there."""
        self.dovecot = Dovecot(_folder(folder, "dovecot"), papers)
        self._hops = {name: {hop: free_port() for hop in HOPS} for name in PROXIED}
        mta, mx = ({"smtp": free_port(), "smtps": free_port()} for _ in range(2))
        self.mta = Postfix(
            _folder(folder, "mta"),
            papers,
            "mta.example.net",
            mta,
            "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n"
            f"smtpd_sasl_path = inet:127.0.0.1:{self.dovecot.ports['sasl']}\n"
            "smtpd_relay_restrictions = permit_sasl_authenticated, reject\n"
            + self._transports("smtp", "mx", mx["smtp"], mx["smtps"]),
        )
        self.mx = Postfix(
            _folder(folder, "mx"),
            papers,
            "mx.example.org",
            mx,
            "relay_domains = example.org\nparent_domain_matches_subdomains = relay_domains\n"
            "smtpd_relay_restrictions = permit_auth_destination, reject\n"
            + self._transports("lmtp", "lmtp", self.dovecot.ports["lmtp"], self.dovecot.ports["lmtps"]),
        )

    @contextmanager
    def road(self, name: str, folder: Path, **rest: Any) -> Iterator[Road]:
        """Open a road; `rest` is more of the proxy's configuration, `plugins` go on all listeners."""
        if name in DIRECT:
            s = "s" if DIRECT[name] == "implicit" else ""
            ports = {hop: self.dovecot.ports[hop + s] for hop in ("lmtp", "imap", "pop3")}
            ports |= {"submission": self.mta.ports["smtp" + s], "mx": self.mx.ports["smtp" + s]}
            yield Road(name, DIRECT[name], ports, self.papers)
            return
        client, upstream = PROXIED[name]
        s = "s" if upstream == "implicit" else ""
        servers = {hop: self.dovecot.ports[hop + s] for hop in ("lmtp", "imap", "pop3")}
        servers |= {"submission": self.mta.ports["smtp" + s], "mx": self.mx.ports["smtp" + s]}
        plugins = rest.setdefault("plugins", {})
        weir = Mailweir(
            folder,
            {
                hop: {
                    "protocol": protocol,
                    "listen": f"127.0.0.1:{self._hops[name][hop]}",
                    "tls": client,
                    "upstream": hop,
                    "plugins": list(plugins),
                }
                for hop, protocol in HOPS.items()
            },
            {
                hop: {
                    "address": f"127.0.0.1:{servers[hop]}",
                    "tls": upstream,
                    "verify": str(self.papers.authority),
                }
                for hop in HOPS
            },
            certificates=[{"certificate": str(self.papers.certificate), "key": str(self.papers.key)}],
            **rest,
        )
        try:
            yield Road(name, client, self._hops[name], self.papers)
        finally:
            weir.stop()

    def wait_for_mail(self, user: str, count: int = 1) -> list[bytes]:
        """The messages of a user's INBOX, once there are as many."""

        def there() -> bool:
            return len(self.dovecot.messages(user)) >= count

        try:
            wait_until(f"{count} messages for {user}", there)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.mta.log()[-3000:]}\n{self.mx.log()[-3000:]}") from None
        return self.dovecot.messages(user)

    def stop(self) -> None:
        for server in (self.mta, self.mx, self.dovecot):
            server.stop()

    def _transports(self, service: str, hop: str, direct: int, direct_tls: int) -> str:
        """main.cf: where each domain's mail goes next, and with how much TLS."""
        wrapped = service + "s"
        where = {
            "direct": (service, direct),
            "direct-starttls": (service, direct),
            "direct-implicit": (wrapped, direct_tls),
        }
        for name, (client, _) in PROXIED.items():
            where[name] = (wrapped if client == "implicit" else service, self._hops[name][hop])
        rows, policies = [f"{{ delivery.example.org = lmtp:unix:{self.delivery} }}"], []
        for name, (transport, port) in where.items():
            target = f"[127.0.0.1]:{port}" if service == "smtp" else f"inet:127.0.0.1:{port}"
            rows.append(f"{{ {name}.example.org = {transport}:{target} }}")
            tls = PROXIED[name][0] if name in PROXIED else DIRECT[name]
            if name not in ("direct", "direct-starttls"):
                level = "none" if tls == "none" else "secure match=localhost"
                policies += [f"{{ {target} = {level} }}"]
        return (
            f"transport_maps = inline:{{ {', '.join(rows)} }}\n"
            f"{service}_tls_policy_maps = inline:{{ {', '.join(policies)} }}\n"
        )


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir(mode=0o755)
    return folder
