"""What a client is offered for what upstream offers."""

import re
from typing import Any

import pytest

from mailweir.chain.chain import Chain
from mailweir.relay.rules import Rules, SmtpRules
from mailweir.relay.smtp.offer import (
    KEYWORDS,
    PARAMETERS,
    Facts,
    How,
    Offer,
    advertise,
    facts,
    row,
    upstream_keywords,
)
from mailweir.session import Address, Session, Tls

ROWS: dict[str, tuple[dict[str, Any], str, str]] = {  # what we know, upstream's lines, the client's lines
    "nothing to change": (
        {},
        "x|PIPELINING|CHUNKING|SIZE 10|8BITMIME",
        "x|PIPELINING|CHUNKING|SIZE 10|8BITMIME",
    ),
    "spelling stays": ({}, "x hi|pipelining|chunking|Size  10", "x hi|pipelining|chunking|Size  10"),
    "nothing is offered": ({}, "x", "x|PIPELINING|CHUNKING"),
    "PIPELINING and CHUNKING are ours": ({}, "x|HELP", "x|HELP|PIPELINING|CHUNKING"),
    "STARTTLS is ours": ({"starttls": True}, "x|PIPELINING|CHUNKING", "x|PIPELINING|CHUNKING|STARTTLS"),
    "STARTTLS keeps its place": (
        {"starttls": True},
        "x|STARTTLS|PIPELINING|CHUNKING",
        "x|STARTTLS|PIPELINING|CHUNKING",
    ),
    "STARTTLS is not ours": ({}, "x|PIPELINING|CHUNKING|STARTTLS", "x|PIPELINING|CHUNKING"),
    "room for headers": (
        {"looked_at": True},
        "x|PIPELINING|CHUNKING|SIZE 10240000",
        "x|PIPELINING|CHUNKING|SIZE 10238976",
    ),
    "room for a trace": (
        {"traced": True},
        "x|PIPELINING|CHUNKING|SIZE 10240000",
        "x|PIPELINING|CHUNKING|SIZE 10238976",
    ),
    "room for both": (
        {"looked_at": True, "traced": True},
        "x|PIPELINING|CHUNKING|SIZE 10240000",
        "x|PIPELINING|CHUNKING|SIZE 10237952",
    ),
    "our limit": ({"message_size": 5}, "x|PIPELINING|CHUNKING|SIZE 10", "x|PIPELINING|CHUNKING|SIZE 5"),
    "upstream's limit": (
        {"message_size": 50},
        "x|PIPELINING|CHUNKING|SIZE 10",
        "x|PIPELINING|CHUNKING|SIZE 10",
    ),
    "no limit upstream": (
        {"message_size": 50},
        "x|PIPELINING|CHUNKING|SIZE 0",
        "x|PIPELINING|CHUNKING|SIZE 50",
    ),
    "no limit at all": ({"looked_at": True}, "x|PIPELINING|CHUNKING|SIZE", "x|PIPELINING|CHUNKING|SIZE"),
    "no SIZE": ({"message_size": 50}, "x|PIPELINING|CHUNKING", "x|PIPELINING|CHUNKING"),
    "no plaintext": (
        {"plaintext": False},
        "x|PIPELINING|CHUNKING|AUTH PLAIN LOGIN CRAM-MD5|AUTH=PLAIN LOGIN CRAM-MD5",
        "x|PIPELINING|CHUNKING|AUTH CRAM-MD5|AUTH=CRAM-MD5",
    ),
    "no mechanism is left": (
        {"plaintext": False},
        "x|AUTH=PLAIN|AUTH PLAIN|PIPELINING|CHUNKING",
        "x|PIPELINING|CHUNKING",
    ),
    "nothing bound to a connection": (
        {"refuse_unknown": True},
        "x|PIPELINING|CHUNKING|AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS EXTERNAL GSSAPI NTLM",
        "x|PIPELINING|CHUNKING|AUTH PLAIN SCRAM-SHA-256",
    ),
    "only what a filter can read": (
        {"refuse_unknown": True, "asked": True},
        "x|PIPELINING|CHUNKING|AUTH PLAIN CRAM-MD5",
        "x|PIPELINING|CHUNKING|AUTH PLAIN",
    ),
    "AUTH after the login": ({}, "x|PIPELINING|CHUNKING|AUTH", "x|PIPELINING|CHUNKING|AUTH"),
    "unknown words pass": (
        {},
        "x|PIPELINING|CHUNKING|XFOO a b|Ok SESSIONID=<1>",
        "x|PIPELINING|CHUNKING|XFOO a b|Ok SESSIONID=<1>",
    ),
    "unknown words are refused": (
        {"refuse_unknown": True},
        "x|PIPELINING|CHUNKING|XFOO|Ok SESSIONID=<1>",
        "x|PIPELINING|CHUNKING",
    ),
    "binary": ({}, "x|PIPELINING|CHUNKING|BINARYMIME", "x|PIPELINING|CHUNKING|BINARYMIME"),
    "binary without chunks": ({}, "x|PIPELINING|BINARYMIME", "x|PIPELINING|CHUNKING"),
    "binary that is looked at": (
        {"looked_at": True},
        "x|PIPELINING|CHUNKING|BINARYMIME",
        "x|PIPELINING|CHUNKING",
    ),
    "our limits": (
        {"messages": 5, "recipients": 100},
        "x|PIPELINING|CHUNKING|limits rcptmax=1000 MAILMAX=3 X=y",
        "x|PIPELINING|CHUNKING|LIMITS rcptmax=100 MAILMAX=3 X=y",
    ),
    "limits that upstream doesn't have": (
        {"messages": 5, "recipients": 100},
        "x|PIPELINING|CHUNKING|LIMITS RCPTDOMAINMAX=1",
        "x|PIPELINING|CHUNKING|LIMITS RCPTDOMAINMAX=1 MAILMAX=5 RCPTMAX=100",
    ),
    "limits that are none": (
        {"messages": 5},
        "x|PIPELINING|CHUNKING|LIMITS MAILMAX=0 RCPTMAX=x",
        "x|PIPELINING|CHUNKING|LIMITS MAILMAX=5 RCPTMAX=x",
    ),
    "upstream's limits": (
        {"messages": 5, "recipients": 100},
        "x|PIPELINING|CHUNKING|limits  MAILMAX=5 RCPTMAX=7",
        "x|PIPELINING|CHUNKING|limits  MAILMAX=5 RCPTMAX=7",
    ),
    "limits of ours alone": (
        {"messages": 5, "recipients": 9},
        "x|PIPELINING|CHUNKING",
        "x|PIPELINING|CHUNKING",
    ),
    "the last line is stripped": ({}, "x|PIPELINING|CHUNKING|XCLIENT NAME ADDR", "x|PIPELINING|CHUNKING"),
}


def wire(lines: str) -> bytes:
    *all_but, last = lines.split("|")
    return "".join(f"250-{line}\r\n" for line in all_but).encode() + f"250 {last}\r\n".encode()


@pytest.mark.parametrize(("known", "theirs", "ours"), ROWS.values(), ids=ROWS.keys())
def test_advertise(known: dict[str, Any], theirs: str, ours: str) -> None:
    octets, offer = advertise(wire(theirs), Facts(**known))
    assert octets == wire(ours)
    assert offer.keywords == frozenset(upstream_keywords(wire(ours)))


@pytest.mark.parametrize("keyword", [word for word, row in KEYWORDS.items() if row.how is How.STRIP])
def test_stripped(keyword: str) -> None:
    octets, _ = advertise(wire(f"x|{keyword} some|PIPELINING|CHUNKING"), Facts())
    assert octets == wire("x|PIPELINING|CHUNKING")


def test_the_offer_remembers_what_was_withheld() -> None:
    _, offer = advertise(wire("x|AUTH PLAIN CRAM-MD5|SIZE 5"), Facts(plaintext=False, message_size=3))
    assert (set(offer.mechanisms), offer.size) == ({"CRAM-MD5"}, 3)
    assert offer.plaintext_withheld("PLAIN") and not offer.plaintext_withheld("LOGIN")
    assert not Offer().enhanced


SITUATIONS: list[dict[str, Any]] = [
    {},
    {"looked_at": True},
    {"refuse_unknown": True},
    {"verified": True},
    {"traced": True},
    {"starttls": True},
]
"""Nobody minds; a plugin looks at messages; what we don't know is refused; both connections are safe; fields
are added; STARTTLS is ours to offer."""

TABLE = {  # upstream's line: in which of these situations the client gets it
    "PIPELINING": "++++++",
    "SIZE 1000000": "+-++-+",  # where fields are added it is another line
    "8BITMIME": "++++++",
    "CHUNKING": "++++++",
    "BINARYMIME": "+-++++",
    "SMTPUTF8": "++++++",
    "ENHANCEDSTATUSCODES": "++++++",
    "DSN": "++++++",
    "DELIVERBY 120": "++++++",
    "MT-PRIORITY MIXER": "++++++",
    "FUTURERELEASE 3600 2030-01-01T00:00:00Z": "++++++",
    "AUTH PLAIN CRAM-MD5": "++++++",
    "AUTH=PLAIN": "++++++",
    "STARTTLS": "-----+",
    "REQUIRETLS": "---+--",
    "ETRN": "++++++",
    "ATRN": "------",
    "TURN": "------",
    "NO-SOLICITING net.example:ADV": "++++++",
    "MTRK": "++++++",
    "SUBMITTER": "++++++",
    "BURL imap": "+-++-+",
    "CONNEG": "+-++++",
    "CONPERM": "+-++++",
    "CHECKPOINT": "------",
    "LIMITS MAILMAX=5": "++++++",
    "RRVS": "++++++",
    "XCLIENT NAME ADDR": "------",
    "XFORWARD NAME ADDR": "------",
    "XRCPTFORWARD": "------",
    "IGNOREQUOTA": "------",
    "HELP": "++++++",
    "VRFY": "++++++",
    "EXPN": "++++++",
    "SEND": "------",
    "SOML": "------",
    "SAML": "------",
    "VERB": "------",
    "ONEX": "------",
    "UTF8SMTP": "------",
    "X-EXPS NTLM": "------",
    "X-ANONYMOUSTLS": "------",
    "PIPECONNECT": "------",
    "XEXCH50": "------",
    "X-LINK2STATE": "------",
    "XSHADOW": "------",
    "XOORG": "------",
    "XPROXY": "------",
    "XPROXYFROM": "------",
    "XPROXYTO": "------",
    "XFOO some": "++-+++",
}


@pytest.mark.parametrize(("line", "offered"), TABLE.items(), ids=TABLE.keys())
def test_every_keyword(line: str, offered: str) -> None:
    others = [other for other in ("PIPELINING", "CHUNKING", "STARTTLS") if other != line]
    for known, sign in zip(SITUATIONS, offered, strict=True):
        octets, _ = advertise(wire("|".join(["x", line, *others])), Facts(**known))
        kept = [said[4:].decode() for said in octets.split(b"\r\n")[1:-1]]
        assert (line in kept) == (sign == "+"), known


def test_the_table_has_every_keyword() -> None:
    assert {re.split("[ =]", line)[0] for line in TABLE} - {"XFOO", "XPROXYFROM", "XPROXYTO"} == set(KEYWORDS)


@pytest.mark.parametrize(("parameter", "keyword"), PARAMETERS.items())
def test_parameters_go_with_a_keyword_that_may_be_withheld(parameter: str, keyword: str) -> None:
    known = row(keyword)
    assert known is not None and known.how in (How.STRIP, How.UNSEEN, How.VERIFIED), parameter


@pytest.mark.parametrize("facts", [{"message_size": 5}, {"looked_at": True}])
def test_what_upstream_would_fetch_can_be_measured_by_nobody(facts: dict[str, Any]) -> None:
    octets, _ = advertise(wire("x|BURL imap|PIPELINING|CHUNKING"), Facts(**facts))
    assert octets == wire("x|PIPELINING|CHUNKING")


SESSIONS: dict[str, tuple[str, Tls | None, dict[str, Any], bool, bool]] = {
    "clear": ("192.0.2.1", None, {"starttls": True}, True, False),
    "TLS": ("192.0.2.1", Tls("TLSv1.3", "x"), {"starttls": True}, False, True),
    "loopback": ("127.0.0.1", None, {}, False, True),
    "a keeper who doesn't mind": ("192.0.2.1", None, {"allow_plaintext": True}, False, True),
}


@pytest.mark.parametrize(
    ("host", "tls", "rules", "starttls", "plaintext"), SESSIONS.values(), ids=SESSIONS.keys()
)
def test_facts(host: str, tls: Tls | None, rules: dict[str, Any], starttls: bool, plaintext: bool) -> None:
    session = Session("s1", "test", "smtp", Address(host, 4), Address("192.0.2.2", 25), 0.0, client_tls=tls)
    known = facts(session, Chain("test", ()), Rules(**rules))
    assert (known.starttls, known.plaintext, known.looked_at) == (starttls, plaintext, False)


def test_sizes_are_digits_of_ours() -> None:
    octets, offer = advertise(
        b"250-x\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE \xb2\r\n", Facts(message_size=5)
    )
    assert octets == wire("x|PIPELINING|CHUNKING|SIZE 5") and offer.size == 5


TRUSTED: dict[str, tuple[bool, bool, bool, bool]] = {  # client's TLS, upstream's, its certificate; safe
    "all": (True, True, True, True),
    "a clear client": (False, True, True, False),
    "a clear upstream": (True, False, True, False),
    "anybody upstream": (True, True, False, False),
}


@pytest.mark.parametrize(("client", "upstream", "verified", "safe"), TRUSTED.values(), ids=TRUSTED.keys())
def test_both_connections_are_safe(client: bool, upstream: bool, verified: bool, safe: bool) -> None:
    tls = Tls("TLSv1.3", "x")
    session = Session("s1", "test", "smtp", Address("192.0.2.1", 4), Address("192.0.2.2", 25), 0.0)
    session.client_tls = tls if client else None
    session.upstream_tls = tls if upstream else None
    assert facts(session, Chain("test", ()), Rules(upstream_verified=verified)).verified is safe


@pytest.mark.parametrize(
    ("protocol", "rules", "recipients"),
    [
        ("smtp", SmtpRules(recipients=7), 7),
        ("smtp", SmtpRules(recipients=7, verdicts="single"), 1),
        ("lmtp", SmtpRules(recipients=7, verdicts="single"), 7),
        ("smtp", SmtpRules(recipients=7, upstream_protocol="lmtp"), 1),
    ],
)
def test_limits_of_ours(protocol: Any, rules: SmtpRules, recipients: int) -> None:
    session = Session("s1", "test", protocol, Address("192.0.2.1", 4), Address("192.0.2.2", 25), 0.0)
    known = facts(session, Chain("test", ()), Rules(smtp=rules))
    assert (known.recipients, known.messages, known.traced) == (recipients, 0, False)
    assert (
        facts(session, Chain("test", ()), Rules(smtp=SmtpRules(trace="received", messages=3))).messages == 3
    )
