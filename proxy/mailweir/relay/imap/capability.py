"""What is offered to a client: one table, and one function for all places where it stands.

A server lists its capabilities in its greeting, in `* CAPABILITY`, in the completion of any command and in
an untagged OK (RFC 9051 7.1, 7.2.2). Each time the list is edited in place: order, spelling, and every
octet around it stay.
"""

import re
from collections.abc import Callable
from enum import Enum

from mailweir.chain.chain import Chain
from mailweir.relay import sasl
from mailweir.relay.rules import Rules
from mailweir.session import Session


class Offer(Enum):
    """What becomes of a capability that upstream has."""

    STRIP = "not offered"
    OWN = "whatever upstream says, we decide"
    FILTERED = "not offered where a plugin wants to see messages"
    LIMITED = "our own limit if it is lower"


TABLE: dict[str, tuple[Offer, str]] = {
    "LITERAL+": (Offer.OWN, "we take them from anybody, and wait for upstream's `+` ourselves"),
    "LITERAL-": (Offer.OWN, "LITERAL+ says more"),
    "STARTTLS": (Offer.OWN, "the client's connection is ours"),
    "LOGINDISABLED": (Offer.OWN, "the client's connection is ours"),
    "APPENDLIMIT": (Offer.LIMITED, "RFC 7889"),
    "COMPRESS=DEFLATE": (Offer.STRIP, "nothing can be framed behind it (RFC 4978)"),
    "UNAUTHENTICATE": (Offer.STRIP, "the session would belong to somebody else (RFC 8437)"),
    "LOGIN-REFERRALS": (Offer.STRIP, "clients would go round us (RFC 2221)"),
    "MAILBOX-REFERRALS": (Offer.STRIP, "clients would go round us (RFC 2193)"),
    "XAPPLELITERAL": (Offer.STRIP, "undocumented, and may change how literals are framed"),
    "JMAPACCESS": (Offer.FILTERED, "tells a way round us (RFC 9698)"),
    "MULTIAPPEND": (Offer.FILTERED, "one message is judged at a time (RFC 3502)"),
    "CATENATE": (Offer.FILTERED, "parts of the message come from elsewhere (RFC 4469)"),
    "URLAUTH": (Offer.FILTERED, "a second way to a message (RFC 4467)"),
    "URLAUTH=BINARY": (Offer.FILTERED, "a second way to a message (RFC 5524)"),
    "URL-PARTIAL": (Offer.FILTERED, "a second way to a message (RFC 5550)"),
    "CONVERT": (Offer.FILTERED, "messages in other forms (RFC 5259)"),
}
"""What is not simply passed, and why."""

_PASSED = """
    IMAP4 IMAP4REV1 IMAP4REV2 IMAP2BIS IMAP4SUNVERSION SASL-IR ID IDLE ENABLE NAMESPACE CHILDREN UNSELECT
    UIDPLUS MOVE WITHIN SEARCHRES ESEARCH ESORT SORT SORT=DISPLAY SEARCH=FUZZY MULTISEARCH LIST-EXTENDED
    LIST-STATUS LIST-MYRIGHTS LIST-METADATA SPECIAL-USE CREATE-SPECIAL-USE XLIST STATUS=SIZE SAVEDATE
    OBJECTID OBJECTID+ QUOTA QUOTASET ACL METADATA METADATA-SERVER ANNOTATE-EXPERIMENT-1 LANGUAGE FILTERS
    PARTIAL INPROGRESS UIDBATCHES CONDSTORE QRESYNC UIDONLY REPLACE BINARY PREVIEW SNIPPET=FUZZY NOTIFY
    CONTEXT=SEARCH CONTEXT=SORT UTF8=ACCEPT UTF8=ONLY UTF8=ALL UTF8=APPEND UTF8=USER X-GM-EXT-1
    XAPPLEPUSHSERVICE
"""
PASSED = frozenset(_PASSED.split())
PASSED_KINDS = (
    "QUOTA=",
    "THREAD=",
    "RIGHTS=",
    "I18NLEVEL=",
    "MESSAGELIMIT=",
    "SAVELIMIT=",
    "IMAPSIEVE=",
    "PREVIEW=",
)
"""Commands and data of these fit the grammar that the framer knows."""

_CODE = re.compile(rb"[^ ]+ [A-Za-z]+ \[CAPABILITY([^\]\r\n]*)\]", re.IGNORECASE)
_LIST = re.compile(rb"\* CAPABILITY([^\r\n]*)", re.IGNORECASE)
_REFERRAL = re.compile(rb"([^ ]+ [A-Za-z]+ )\[REFERRAL [^\]\r\n]*\] ?", re.IGNORECASE)


class Offers:
    """What this session's client is offered; depends on its connection, the rules and the chain."""

    def __init__(self, session: Session, chain: Chain, rules: Rules) -> None:
        self._session = session
        self._rules = rules
        self._asked = chain.listens("login")
        self.filtered = any(chain.listens(hook) for hook in ("message", "message_head", "sign"))
        self.authenticated = False

    @property
    def secure(self) -> bool:
        """Credentials may pass at all."""
        return self._rules.secure(self._session)

    @property
    def plaintext(self) -> bool:
        """Credentials may pass that whoever taps the client's connection can read."""
        return self._rules.plaintext(self._session)

    @property
    def starttls(self) -> bool:
        return self._rules.starttls and self._session.client_tls is None and not self.authenticated

    def mechanism(self, name: str) -> bool:
        """Whether the client may use this SASL mechanism."""
        return self.secure and sasl.usable(
            name, plaintext=self.plaintext, refuse_unknown=self._rules.refuse_unknown, asked=self._asked
        )

    def passes(self, name: str) -> bool:
        """Whether a capability that upstream has is offered."""
        name = name.upper()
        if name.startswith("AUTH="):
            return not self.authenticated and self.mechanism(name[5:])
        offer, _ = TABLE.get(name, (None, ""))
        if offer is None:
            known = name in PASSED or name.startswith(PASSED_KINDS)
            return known or not self._rules.refuse_unknown
        return offer is Offer.FILTERED and not self.filtered

    def rewrite(self, line: bytes) -> bytes:
        """A status response or `* CAPABILITY` as the client may see it."""
        found = _LIST.match(line) or _CODE.match(line)
        if found is not None:
            return line[: found.start(1)] + self._edited(found[1]) + line[found.end(1) :]
        return _REFERRAL.sub(rb"\1", line, count=1) if b"[" in line else line

    def _edited(self, listing: bytes) -> bytes:
        own = self._own()
        tokens = []
        for token in listing.split(b" "):
            name = token.decode("ascii", "replace").upper()
            if name in ("LITERAL+", "LITERAL-", "STARTTLS", "LOGINDISABLED"):
                name = "LITERAL+" if name == "LITERAL-" else name
                if name in own:
                    own.remove(name)
                    tokens.append(token if token.upper() != b"LITERAL-" else b"LITERAL+")
            elif name.partition("=")[0] == "APPENDLIMIT":
                tokens.append(self._limited(token))
            elif not name or self.passes(name):
                tokens.append(token)
        end = len(tokens)
        while end > 1 and not tokens[end - 1]:
            end -= 1
        tokens[end:end] = [name.encode() for name in own]
        return b" ".join(tokens)

    def _own(self) -> list[str]:
        names = ["LITERAL+"]
        if self.starttls:
            names.append("STARTTLS")
        if not self.authenticated and not self.plaintext:
            names.append("LOGINDISABLED")
        return names

    def _limited(self, token: bytes) -> bytes:
        """RFC 7889: without a value the limit differs from mailbox to mailbox."""
        name, _, value = token.partition(b"=")
        limit = self._rules.message_size
        if not limit or (value.isdigit() and int(value) <= limit):
            return token
        return b"%s=%d" % (name, limit)


def listed(line: bytes) -> Callable[[str], bool] | None:
    """What upstream itself offers, if `line` lists it."""
    found = _LIST.match(line) or _CODE.match(line)
    if found is None:
        return None
    names = frozenset(found[1].decode("ascii", "replace").upper().split())
    return names.__contains__


def code(line: bytes) -> tuple[int, int] | None:
    """Where the response code `[CAPABILITY ...]` stands in a line."""
    found = _CODE.match(line)
    return (found.start(1) - len(b"[CAPABILITY"), found.end()) if found else None
