"""What a client is offered for what upstream offers."""

from typing import Any

import pytest

from mailweir.chain.chain import Chain
from mailweir.relay.rules import Rules
from mailweir.relay.smtp.offer import KEYWORDS, Facts, How, Offer, advertise, facts, upstream_keywords
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
