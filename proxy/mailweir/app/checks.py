"""What only the whole configuration, or the machine, can tell: names, addresses, files.

Every check is a generator of mistakes over a document and the configuration made from it. Where a part was
wrong in itself it is missing from the configuration, but the document still has its name.
"""

import os
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from stat import S_ISDIR

from mailweir.app.certificates import authorities_mistake, pair_mistakes
from mailweir.app.config import Configuration, Listener
from mailweir.app.document import Document, Keys
from mailweir.app.mistakes import Mistake
from mailweir.chain.mistakes import hint
from mailweir.net.addresses import WILDCARDS, Place, Tcp, Unix, is_number, parse
from mailweir.net.certificates import pair_refused

ROUTES = ("route", "original")
"""Words with a meaning of their own where an upstream is named."""
ONLY_SMTP = ("bare_newline", "nul", "i_know", "trace", "verdicts", "early_talker")
"""Keys of a listener that say nothing where clients only read mail."""
SMTP_PORT = 25
TLS_PORTS = (465, 993, 995)
"""Submissions, IMAPS and POP3S (RFC 8314): who connects in clear waits for a greeting that never comes."""
SOCKET_PATH = 107
"""Octets that the path of a unix socket may have (sun_path of unix(7), less the final NUL)."""


def cross_checks(document: Document, configuration: Configuration) -> Iterator[Mistake]:
    """Everything below, in no order."""
    for check in (listeners, upstreams, addresses, loops, certificates, spool):
        yield from check(document, configuration)


def listeners(document: Document, configuration: Configuration) -> Iterator[Mistake]:
    """Each listener by itself."""
    if not document.has(("listeners", *list(configuration.listeners)[:1])):
        yield document.mistake(("listeners",), "there must be at least one", at_key=True)
    known = document.names("upstreams")
    for name, listener in configuration.listeners.items():
        at = ("listeners", name)
        if listener.upstream not in (*known, "route"):
            reason = f"no upstream is named {listener.upstream}{hint(listener.upstream, known)}"
            yield document.mistake((*at, "upstream"), reason)
        elif listener.upstream in configuration.upstreams:
            yield from _tongues(document, configuration, name)
        for index, address in enumerate(listener.listen):
            place = parse(address)
            if listener.protocol == "lmtp" and isinstance(place, Tcp) and place.port == SMTP_PORT:
                reason = f"LMTP must not be spoken on port {SMTP_PORT} (RFC 2033 5)"
                yield document.mistake(_item(document, (*at, "listen"), index), reason)
        if listener.tls == "none" and listener.require_tls:
            yield document.mistake((*at, "require_tls"), "can't be had with tls: none; set tls: starttls")
        yield from _terms(document, name, listener)
        if listener.tls != "none" and not document.has(("certificates", 0)):
            yield document.mistake((*at, "tls"), "needs at least one entry under certificates")
        if listener.tls == "starttls" and listener.require_tls and listener.allow_plaintext:
            reason = "contradicts require_tls: no login is taken on a clear connection"
            yield document.mistake((*at, "allow_plaintext"), reason)
        if listener.protocol not in ("smtp", "lmtp"):
            for key in ONLY_SMTP:
                if document.has((*at, key)):
                    reason = f"is for smtp and lmtp, not for {listener.protocol}"
                    yield document.mistake((*at, key), reason, at_key=True)
        elif document.has((*at, "splice")):
            reason = f"is for pop3 and imap, not for {listener.protocol}"
            yield document.mistake((*at, "splice"), reason, at_key=True)
        if listener.bare_newline == "pass" and "smuggling" not in listener.i_know:
            reason = (
                "lets clients smuggle mail where the server ends lines at LF; if yours does not, say so: "
            )
            reason += "i_know: [smuggling]"
            yield document.mistake((*at, "bare_newline"), reason)
        for plugin, times in Counter(listener.plugins).items():
            if times > 1:
                second = [i for i, other in enumerate(listener.plugins) if other == plugin][1]
                yield document.mistake((*at, "plugins", second), f"{plugin} is listed twice")


def _terms(document: Document, name: str, listener: Listener) -> Iterator[Mistake]:
    """What clients are asked for in TLS."""
    at = ("listeners", name)
    if listener.tls == "none" and listener.require_client_certificate:
        reason = "can't be had with tls: none; set tls: starttls or implicit"
        yield document.mistake((*at, "require_client_certificate"), reason)
    elif listener.client_ca is not None:
        reason = authorities_mistake(listener.client_ca)
        if reason:
            yield document.mistake((*at, "client_ca"), reason)
    elif listener.require_client_certificate:
        reason = "needs client_ca: the authorities that sign such certificates"
        yield document.mistake((*at, "require_client_certificate"), reason)


def _tongues(document: Document, configuration: Configuration, name: str) -> Iterator[Mistake]:
    """Whether the clients of a listener and the server behind it can understand each other."""
    listener = configuration.listeners[name]
    spoken = configuration.upstreams[listener.upstream].protocol
    at = ("listeners", name, "upstream")
    if spoken == "auto":
        return
    if listener.protocol not in ("smtp", "lmtp"):
        reason = f"{listener.upstream} speaks {spoken}, and the clients here speak {listener.protocol}"
        yield document.mistake(at, reason)
    elif (listener.protocol, spoken) == ("smtp", "lmtp"):
        reason = f"{listener.upstream} speaks lmtp, so each message will have one recipient; "
        reason += "clients are told to send the others again"
        yield document.mistake(at, reason, warning=True)


def upstreams(document: Document, configuration: Configuration) -> Iterator[Mistake]:
    """Each upstream by itself, and whether anybody names it."""
    used = {listener.upstream for listener in configuration.listeners.values()}
    whole = len(configuration.listeners) == len(document.names("listeners"))
    for name, upstream in configuration.upstreams.items():
        at = ("upstreams", name)
        if name in ROUTES:
            yield document.mistake(at, "this word has a meaning of its own; choose another name", at_key=True)
        elif whole and name not in used and "route" not in used:
            yield document.mistake(at, "no listener names it", at_key=True, warning=True)
        for index, address in enumerate(upstream.address):
            place = parse(address)
            if isinstance(place, Tcp) and place.port in TLS_PORTS and upstream.tls != "implicit":
                reason = f"servers on port {place.port} expect tls: implicit, and this says {upstream.tls}"
                yield document.mistake(_item(document, (*at, "address"), index), reason, warning=True)
        yield from _proof(document, configuration, name)
        if isinstance(upstream.verify, Path):
            reason = authorities_mistake(upstream.verify)
            if reason:
                yield document.mistake((*at, "verify"), reason)


def _proof(document: Document, configuration: Configuration, name: str) -> Iterator[Mistake]:
    """What an upstream has to show, and we to it, can be had."""
    upstream, at = configuration.upstreams[name], ("upstreams", name)
    if (upstream.certificate is None) != (upstream.key is None):
        given, missing = ("key", "certificate") if upstream.certificate is None else ("certificate", "key")
        yield document.mistake((*at, given), f"needs a {missing} beside it", at_key=True)
    elif upstream.certificate is not None and upstream.key is not None:
        for key, reason, warning in pair_mistakes(upstream.certificate, upstream.key):
            yield document.mistake((*at, key), reason, warning=warning)
    if upstream.verify == "dane":
        for index, address in enumerate(upstream.address):
            place = parse(address)
            if not isinstance(place, Tcp) or is_number(place.host):
                reason = "verify: dane needs a host name: there are no TLSA records of numbers and sockets"
                yield document.mistake(_item(document, (*at, "address"), index), reason)


def addresses(document: Document, configuration: Configuration) -> Iterator[Mistake]:
    """No two sockets of ours on one address; unix sockets where one can be made."""
    taken: list[tuple[Place, str]] = []
    for at, place, owner in _own(document, configuration):
        if isinstance(place, Unix):
            if len(os.fsencode(place.path)) > SOCKET_PATH:
                yield document.mistake(at, f"a socket's path has at most {SOCKET_PATH} octets")
            else:
                reason = _no_directory(Path(place.path).parent)
                if reason:
                    yield document.mistake(at, reason)
        for other, first in taken:
            if _same(place, other):
                yield document.mistake(at, f"{place} is taken: {first} listens on {other}")
                break
        taken.append((place, owner))


def loops(document: Document, configuration: Configuration) -> Iterator[Mistake]:
    """No upstream is ourselves."""
    for name, upstream in configuration.upstreams.items():
        for index, address in enumerate(upstream.address):
            for _, place, owner in _own(document, configuration):
                if _reaches(parse(address), place):
                    reason = f"{address} is ourselves: {owner} listens on {place}"
                    yield document.mistake(_item(document, ("upstreams", name, "address"), index), reason)
                    break


def certificates(document: Document, configuration: Configuration) -> Iterator[Mistake]:
    """Files that are there, can be read, and belong together."""
    for index, entry in enumerate(configuration.certificates):
        fatal = False
        for key, reason, warning in pair_mistakes(entry.certificate, entry.key):
            fatal = fatal or not warning
            yield document.mistake(("certificates", index, key), reason, warning=warning)
        refused = "" if fatal else pair_refused((entry.certificate, entry.key))
        if refused:
            yield document.mistake(("certificates", index, "certificate"), refused)


def spool(document: Document, configuration: Configuration) -> Iterator[Mistake]:
    """A directory in which files can be made."""
    directory = configuration.spool.directory
    if directory is None:
        return
    reason = _no_directory(directory)
    if not reason and not os.access(directory, os.W_OK | os.X_OK):
        reason = f"no permission to write in {directory}"
    if reason:
        yield document.mistake(("spool", "directory"), reason)


def _no_directory(path: Path) -> str:
    """Why this is no directory; empty if it is one."""
    try:
        return "" if S_ISDIR(path.stat().st_mode) else f"{path} is no directory"
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no directory {path}"
    except OSError as error:
        return f"{path} can't be reached: {error.strerror}"


def _own(document: Document, configuration: Configuration) -> Iterator[tuple[Keys, Place, str]]:
    """Every address of ours: where it is written, what it is, and whose."""
    for name, listener in configuration.listeners.items():
        for index, address in enumerate(listener.listen):
            yield _item(document, ("listeners", name, "listen"), index), parse(address), f"listener {name}"
    if configuration.admin is not None:
        yield ("admin", "listen"), parse(configuration.admin.listen), "admin"


def _item(document: Document, at: Keys, index: int) -> Keys:
    """The item of a list, or the one value that stands in its place."""
    return (*at, index) if document.has((*at, index)) else at


def _same(one: Place, other: Place) -> bool:
    """The second `listen` would fail. An IPv6 wildcard takes no IPv4 here: `net` asks for IPV6_V6ONLY."""
    if not isinstance(one, Tcp) or not isinstance(other, Tcp):
        return one == other
    if one.port != other.port or one.port == 0 or (":" in one.host) != (":" in other.host):
        return False
    hosts = {one.host, other.host}
    return len(hosts) == 1 or not hosts.isdisjoint(WILDCARDS)


def _reaches(target: Place, own: Place) -> bool:
    """A connection to `target` would arrive at `own`, as far as can be told without asking DNS."""
    if not isinstance(target, Tcp) or not isinstance(own, Tcp):
        return target == own
    if target.port != own.port:
        return False
    return target.host == own.host or (
        _loopback(target.host) and (own.host in WILDCARDS or _loopback(own.host))
    )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
