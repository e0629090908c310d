"""What a client is offered: the keywords of the reply to EHLO or LHLO, a row each.

A function of what upstream offers, how the client came, and what the chain listens to; computed again
whenever upstream announces. What we can't frame, or would let mail by unseen, is not offered. A line that
stays keeps its octets and its place.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from mailweir.chain.chain import Chain
from mailweir.relay import sasl
from mailweir.relay.carry import Way, way
from mailweir.relay.rules import Rules
from mailweir.session import Session

HEADROOM = 1024
"""Octets that plugins may add to a header, and that our own trace may; offered as so much less SIZE (RFC 1870)."""


class How(Enum):
    """What becomes of a keyword."""

    PASS = "as upstream says"
    UNSEEN = "as upstream says, as long as nobody looks at messages"
    STRIP = "never offered"
    OWN = "ours to say, whatever upstream says"
    REWRITE = "as upstream says, with another value"
    VERIFIED = "as upstream says, where nobody can listen in, and upstream has shown who it is"


@dataclass(frozen=True, slots=True)
class Row:
    how: How
    why: str


KEYWORDS: dict[str, Row] = {
    "PIPELINING": Row(How.OWN, "we keep answers in order, and send one command at a time where we must"),
    "STARTTLS": Row(How.OWN, "the legs are independent"),
    "SIZE": Row(How.REWRITE, "headers may be added, and we may have a limit of our own"),
    "AUTH": Row(How.REWRITE, "not every mechanism survives two connections"),
    "8BITMIME": Row(How.PASS, "to offer it ourselves we would have to re-encode"),
    "SMTPUTF8": Row(How.PASS, "RFC 6531"),
    "CHUNKING": Row(How.OWN, "RFC 3030; where upstream has none, chunks become the text of a DATA"),
    "BINARYMIME": Row(How.UNSEEN, "DATA can't carry it, and plugins expect lines"),
    "ENHANCEDSTATUSCODES": Row(How.PASS, "codes can't be invented for upstream's replies"),
    "DSN": Row(How.PASS, "RFC 3461"),
    "DELIVERBY": Row(How.PASS, "RFC 2852; we delay by less than a second's worth"),
    "MT-PRIORITY": Row(How.PASS, "RFC 6710"),
    "FUTURERELEASE": Row(How.PASS, "RFC 4865"),
    "NO-SOLICITING": Row(How.PASS, "RFC 3865"),
    "MTRK": Row(How.PASS, "RFC 3885"),
    "SUBMITTER": Row(How.PASS, "RFC 4405"),
    "LIMITS": Row(How.REWRITE, "RFC 9422; upstream's limits and ours, the smaller of two"),
    "RRVS": Row(How.PASS, "RFC 7293"),
    "ETRN": Row(How.PASS, "RFC 1985; a command and a reply"),
    "HELP": Row(How.PASS, "RFC 5321"),
    "VRFY": Row(How.PASS, "RFC 5321"),
    "EXPN": Row(How.PASS, "RFC 5321"),
    "CONNEG": Row(How.UNSEEN, "RFC 4141; content is converted on its way"),
    "CONPERM": Row(How.UNSEEN, "RFC 4141; content is converted on its way"),
    "BURL": Row(How.UNSEEN, "RFC 4468; the server fetches text that nobody here sees"),
    "REQUIRETLS": Row(How.VERIFIED, "RFC 8689; a promise about every hop"),
    "CHECKPOINT": Row(How.STRIP, "a text could begin in its middle (RFC 1845)"),
    "ATRN": Row(How.STRIP, "client and server change places (RFC 2645)"),
    "TURN": Row(How.STRIP, "client and server change places"),
    "SEND": Row(How.STRIP, "begins a transaction past MAIL"),
    "SOML": Row(How.STRIP, "begins a transaction past MAIL"),
    "SAML": Row(How.STRIP, "begins a transaction past MAIL"),
    "VERB": Row(How.STRIP, "puts lines between replies"),
    "ONEX": Row(How.STRIP, "sendmail's own"),
    "UTF8SMTP": Row(How.STRIP, "obsolete (RFC 5336)"),
    "XCLIENT": Row(How.STRIP, "whoever may say it says who he is"),
    "XFORWARD": Row(How.STRIP, "whoever may say it says who he is"),
    "XRCPTFORWARD": Row(How.STRIP, "for trusted peers only"),
    "IGNOREQUOTA": Row(How.STRIP, "for trusted peers only"),
    "PIPECONNECT": Row(How.STRIP, "Exim's: clients remember it, and speak before we have asked anybody"),
    "XEXCH50": Row(How.STRIP, "raw octets behind a command"),
    "XSHADOW": Row(How.STRIP, "between Exchange servers"),
    "XOORG": Row(How.STRIP, "between Exchange servers"),
    "XPROXY": Row(How.STRIP, "between Exchange servers; so is all that begins with it"),
    "X-EXPS": Row(How.STRIP, "AUTH by another name"),
    "X-ANONYMOUSTLS": Row(How.STRIP, "STARTTLS by another name"),
    "X-LINK2STATE": Row(How.STRIP, "raw octets behind a command"),
}


def row(keyword: str) -> Row | None:
    """What becomes of a keyword in capitals; None if we don't know it."""
    return KEYWORDS.get("XPROXY" if keyword.startswith("XPROXY") else keyword)


def stripped(verb: str) -> bool:
    """A command that is refused although upstream may know it."""
    known = row(verb)
    return known is not None and known.how is How.STRIP


PARAMETERS = {
    "ALT-ADDRESS": "UTF8SMTP",
    "CONNEG": "CONNEG",
    "CONPERM": "CONPERM",
    "IGNOREQUOTA": "IGNOREQUOTA",
    "REQUIRETLS": "REQUIRETLS",
    "TRANSID": "CHECKPOINT",
    "XOORG": "XOORG",
    "XRCPTFORWARD": "XRCPTFORWARD",
    "XSHADOW": "XSHADOW",
}
"""Parameters of MAIL and RCPT that may be used only if this keyword was offered; there are no others of
which upstream might offer the keyword while we don't, but BODY=BINARYMIME."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the offer depends on, besides upstream.

    `looked_at` by plugins or `traced` by us, a message may grow. `messages` of a session and `recipients` of a message are
    limits of ours; 0 is none.
    """

    starttls: bool = False
    plaintext: bool = True
    verified: bool = False
    looked_at: bool = False
    traced: bool = False
    asked: bool = False
    message_size: int = 0
    messages: int = 0
    recipients: int = 0
    refuse_unknown: bool = False


def facts(session: Session, chain: Chain, rules: Rules) -> Facts:
    """Those of one session as it stands."""
    clear = session.client_tls is None
    alone = rules.smtp.verdicts == "single" or rules.smtp.upstream_protocol == "lmtp"
    return Facts(
        starttls=clear and rules.starttls,
        plaintext=rules.plaintext(session),
        verified=not clear and session.upstream_tls is not None and rules.upstream_verified,
        looked_at=way(chain) is not Way.PASS,
        traced=rules.smtp.trace == "received",
        asked=chain.listens("login"),
        message_size=rules.message_size,
        messages=rules.smtp.messages,
        recipients=1 if alone and session.protocol == "smtp" else rules.smtp.recipients,
        refuse_unknown=rules.refuse_unknown,
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """What the client was offered by the last hello; `size` is the limit that we put in, 0 if none."""

    keywords: frozenset[str] = frozenset()
    mechanisms: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    size: int = 0
    upstream: dict[str, str] = field(default_factory=dict)

    @property
    def enhanced(self) -> bool:
        return "ENHANCEDSTATUSCODES" in self.keywords

    def plaintext_withheld(self, mechanism: str) -> bool:
        """Upstream has it, and we would have offered it on an encrypted connection."""
        return mechanism in sasl.READABLE and mechanism in self.hidden


NOTHING = Offer()


def upstream_keywords(raw: bytes) -> dict[str, str]:
    """Keyword -> its value, both in capitals, of a reply to EHLO or LHLO."""
    words: dict[str, str] = {}
    for line in raw.split(b"\r\n")[1:-1]:
        keyword, value = _split(line)
        words[keyword] = f"{words[keyword]} {value}" if keyword in words else value
    return words


@lru_cache(32)
def advertise(raw: bytes, facts: Facts) -> tuple[bytes, Offer]:
    """The reply that the client gets for upstream's `raw`, and what it offers.

    Most upstreams announce the same to everybody, so this is remembered.
    """
    lines = raw.split(b"\r\n")[:-1]
    first, rest = lines[0][4:], lines[1:]
    theirs = upstream_keywords(raw)
    kept = [first]
    for line in rest:
        text = _line(*_split(line), line[4:], theirs, facts)
        if text is not None:
            kept.append(text)
    kept += [keyword for keyword in (b"PIPELINING", b"CHUNKING") if keyword.decode() not in theirs]
    if facts.starttls and "STARTTLS" not in theirs:
        kept.append(b"STARTTLS")
    code = lines[-1][:3]
    reply = b"".join(code + b"-" + text + b"\r\n" for text in kept[:-1]) + code + b" " + kept[-1] + b"\r\n"
    return reply, _offer(reply, theirs)


def _offer(reply: bytes, theirs: dict[str, str]) -> Offer:
    ours = upstream_keywords(reply)
    mechanisms = frozenset(ours.get("AUTH", "").split())
    size = ours.get("SIZE", "")
    return Offer(
        keywords=frozenset(ours),
        mechanisms=mechanisms,
        hidden=frozenset(theirs.get("AUTH", "").split()) - mechanisms,
        size=int(size) if size.isdecimal() and size != theirs.get("SIZE") else 0,
        upstream=theirs,
    )


def _line(keyword: str, value: str, text: bytes, theirs: dict[str, str], facts: Facts) -> bytes | None:
    """What of upstream's line is offered; None if nothing is."""
    known = row(keyword)
    if known is None:
        return None if facts.refuse_unknown else text
    if known.how is How.VERIFIED and not facts.verified:
        return None
    if known.how is How.UNSEEN and (facts.looked_at or _impossible(keyword, theirs, facts)):
        return None
    if known.how is How.STRIP or (keyword == "STARTTLS" and not facts.starttls):
        return None
    rewrite = _REWRITES.get(keyword)
    return text if rewrite is None else rewrite(text, value, facts)


def _impossible(keyword: str, theirs: dict[str, str], facts: Facts) -> bool:
    """BINARYMIME needs BDAT (RFC 3030 3); what BURL fetches nobody here can measure or put a field before."""
    if keyword == "BURL":
        return facts.traced or facts.message_size > 0
    return keyword == "BINARYMIME" and "CHUNKING" not in theirs


def _size(text: bytes, value: str, facts: Facts) -> bytes:
    """The smaller limit; 0 or none is "no fixed one" (RFC 1870 3)."""
    limits = [facts.message_size] if facts.message_size else []
    if value.isdecimal() and int(value):
        limits.append(max(int(value) - HEADROOM * (facts.looked_at + facts.traced), 1))
    if not limits or str(min(limits)) == value:
        return text
    return b"SIZE %d" % min(limits)


def _limits(text: bytes, value: str, facts: Facts) -> bytes:
    """Per name the smaller one (RFC 9422 3); a name that we don't know stays as it is."""
    ours = {"MAILMAX": facts.messages, "RCPTMAX": facts.recipients}
    given = text.decode("latin-1").split()[1:]
    kept = []
    for said in given:
        name, _, number = said.partition("=")
        limit = ours.pop(name.upper(), 0)
        lower = limit and not (number.isdecimal() and 0 < int(number) <= limit)
        kept.append(f"{name}={limit}" if lower else said)
    kept += [f"{name}={limit}" for name, limit in ours.items() if limit]
    return text if kept == given else b"LIMITS " + " ".join(kept).encode("latin-1")


def _auth(text: bytes, value: str, facts: Facts) -> bytes | None:
    """Only the mechanisms that work through us; separators stay as they were."""
    offered = value.split()
    kept = [mechanism for mechanism in offered if _usable(mechanism, facts)]
    if kept == offered:
        return text
    return text[:5] + " ".join(kept).encode() if kept else None


def _usable(mechanism: str, facts: Facts) -> bool:
    return sasl.usable(
        mechanism, plaintext=facts.plaintext, refuse_unknown=facts.refuse_unknown, asked=facts.asked
    )


_REWRITES: dict[str, Callable[[bytes, str, Facts], bytes | None]] = {
    "SIZE": _size,
    "AUTH": _auth,
    "LIMITS": _limits,
}

_KEYWORD = re.compile(rb"...[ -]?(AUTH(?==)|[^ ]*+)[ =]?(.*)", re.IGNORECASE | re.DOTALL)


def _split(line: bytes) -> tuple[str, str]:
    """Keyword and value, both in capitals. `AUTH=LOGIN` is how Outlook of old wanted it."""
    match = _KEYWORD.fullmatch(line)
    if match is None:
        return "", ""
    return match[1].decode("latin-1").upper(), match[2].decode("latin-1").strip().upper()
