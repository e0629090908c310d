"""TLSA records, asked for where nobody can have forged the answer (RFC 6698 4.1, RFC 7672 2.2).

Whether DNSSEC proves an answer is the resolver's word (its AD bit, RFC 4035 3.2.3), which is worth something
only if nobody stands between it and us: resolvers on this machine's loopback are believed, others not asked.
"""

from collections.abc import Sequence
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.resolver

from mailweir.net.dane import NoRecords, Tlsa

EDNS_SIZE = 1232
"""Octets of an answer by UDP that are never in fragments."""


class Records:
    """The records of servers. Nothing is kept: that is what the resolver does, as long as it may."""

    def __init__(self, file: str = "/etc/resolv.conf", port: int = 53) -> None:
        """`file` as resolv.conf(5) has it. Without a resolver that is believed every look-up fails."""
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        try:
            self._resolver.read_resolv_conf(file)
        except (dns.resolver.NoResolverConfiguration, OSError):
            self._resolver.nameservers = []
        local = [server for server in map(str, self._resolver.nameservers) if ip_address(server).is_loopback]
        self._resolver.nameservers = local
        self._resolver.port = port
        self._resolver.use_edns(0, dns.flags.DO, EDNS_SIZE)
        self._resolver.flags = dns.flags.RD | dns.flags.AD

    async def of(self, host: str, port: int) -> Sequence[Tlsa]:
        """The records of a server that can be used; `NoRecords` if there is none or none is proven."""
        if not self._resolver.nameservers:
            raise NoRecords("DANE needs a validating resolver on this machine (nameserver 127.0.0.1)")
        name = f"_{port}._tcp.{host}"
        try:
            answer = await self._resolver.resolve(name, "TLSA", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            raise NoRecords(f"there are no TLSA records of {name}") from None
        except dns.exception.DNSException as error:
            raise NoRecords(f"TLSA records of {name} can't be had: {error}") from error
        if not answer.response.flags & dns.flags.AD:
            raise NoRecords(f"TLSA records of {name} are not proven by DNSSEC")
        records = [Tlsa(row.usage, row.selector, row.mtype, row.cert) for row in answer]
        usable = [record for record in records if record.usable]
        if not usable:
            raise NoRecords(f"no TLSA record of {name} can be used (only usages 2 and 3 count)")
        return usable
