"""`check --probe`: each server behind us is reached as a session would reach it, asked what it offers, and left.

Nobody logs in, and no mail is sent. What would end a session is a failure; what keepers find out too late
otherwise is a warning.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography.x509 import Certificate
from twisted.internet.interfaces import IReactorTime

from mailweir.app import config
from mailweir.app.config import Configuration
from mailweir.app.generation import ROUTE, upstream
from mailweir.app.inquiry import INQUIRIES, Inquirer, Refused
from mailweir.net.addresses import is_number
from mailweir.net.tls import CertificateUnusable
from mailweir.net.upstream import UpstreamSide
from mailweir.session import Protocol, Tls

TALK = 15.0
"""Seconds for all that is said, beside `connect_timeout` for the connection."""

SOON = 21
"""Days before a certificate's end at which a keeper is warned: who renews at all has renewed by then."""


@dataclass
class Finding:
    """One address of an upstream, in one protocol. `failure` is empty if a session could begin there."""

    upstream: str
    protocol: Protocol
    address: str
    reached: str = ""
    tls: Tls | None = None
    certificate: Certificate | None = None
    offers: Sequence[str] = ()
    failure: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def days(self) -> int | None:
        """Days until the certificate ends."""
        if self.certificate is None:
            return None
        return (self.certificate.not_valid_after_utc - datetime.now(UTC)).days


def probe(configuration: Configuration, clock: IReactorTime) -> list[Finding]:
    """All upstreams at once, in the order of the configuration; takes as long as the slowest.

    On the loop that is the current one, and whose time `clock` tells.
    """

    async def all_of_them() -> list[Finding]:
        return list(await asyncio.gather(*(_find(made, clock) for made in _wanted(configuration))))

    return asyncio.get_event_loop().run_until_complete(all_of_them())


def _wanted(configuration: Configuration) -> Iterator[tuple[Finding, config.Upstream]]:
    for name, made in configuration.upstreams.items():
        spoken: dict[Protocol, None] = {}
        for listener in configuration.listeners.values():
            if listener.upstream in (name, ROUTE):
                mail = listener.protocol in ("smtp", "lmtp")
                if mail or made.protocol == "auto":
                    spoken[listener.protocol if made.protocol == "auto" else made.protocol] = None
        for protocol in spoken:
            for address in made.address:
                yield Finding(name, protocol, address), made.model_copy(update={"address": [address]})


async def _find(wanted: tuple[Finding, config.Upstream], clock: IReactorTime) -> Finding:
    finding, made = wanted
    inquirer = Inquirer(finding.protocol)
    sides: list[UpstreamSide] = []
    try:
        target = upstream(finding.upstream, made, clock, lambda address: False)
        async with asyncio.timeout(made.connect_timeout + TALK):
            await target.dial(inquirer, None, sides.append)
            finding.reached = inquirer.session.upstream_address
            finding.offers = await INQUIRIES[finding.protocol](inquirer, made.tls)
    except TimeoutError:
        finding.failure = f"no answer within {made.connect_timeout + TALK:g} seconds"
    except (CertificateUnusable, Refused) as error:
        finding.failure = str(error)
    finding.tls = inquirer.tls
    if sides:
        finding.certificate = sides[-1].certificate
    inquirer.leave()
    if not finding.failure:
        finding.warnings += inquirer.warnings
        finding.warnings += [text for warn in WARNINGS if (text := warn(finding, made))]
    return finding


def _ends_soon(finding: Finding, made: config.Upstream) -> str:
    if finding.days is None or finding.days >= SOON:
        return ""
    return f"its certificate ends in {finding.days} days: see whether it is renewed"


def _anybody(finding: Finding, made: config.Upstream) -> str:
    if finding.tls is None or made.verify is not False:
        return ""
    return "verify: false believes anybody who sits between; name the CA's file, or use dane"


def _in_clear(finding: Finding, made: config.Upstream) -> str:
    """On the way to another machine."""
    host = finding.reached.rpartition(":")[0].strip("[]")
    if (
        finding.tls is not None
        or (is_number(host) and ip_address(host).is_loopback)
        or "/" in finding.reached
    ):
        return ""
    if made.tls == "none" and any(name in ("STARTTLS", "STLS") for name in finding.offers):
        return "it offers STARTTLS, and tls: none sends passwords and mail in clear; set tls: starttls"
    return "passwords and mail go there in clear"


def _channel_binding(finding: Finding, made: config.Upstream) -> str:
    bound = sorted({word for name in finding.offers for word in name.split() if word.endswith("-PLUS")})
    if not bound:
        return ""
    return f"{', '.join(bound)}: channel binding can't pass through a proxy, so clients are not offered it"


def _eight_bits(finding: Finding, made: config.Upstream) -> str:
    if finding.protocol not in ("smtp", "lmtp"):
        return ""
    names = {name.partition(" ")[0] for name in finding.offers}
    missing = [name for name in ("8BITMIME", "SMTPUTF8") if name not in names]
    return (
        f"no {' and no '.join(missing)}: mail that needs it is refused by whoever sends here"
        if missing
        else ""
    )


WARNINGS: list[Callable[[Finding, config.Upstream], str]] = [
    _ends_soon,
    _anybody,
    _in_clear,
    _channel_binding,
    _eight_bits,
]
