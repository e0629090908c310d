"""The Received field: what stands in it, and that nothing else can get into it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.envelope import Recipient
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.relay.rules import SmtpRules
from mailweir.relay.smtp import trace
from mailweir.relay.smtp.hops import FIELDS
from mailweir.relay.smtp.mail import Mail
from mailweir.session import Address, Tls
from mailweir.testing.play import Stage
from mailweir.verdict import Discard, Reject

Make = Callable[..., Stage]
TRACED = SmtpRules(trace="received")
DATE = "Tue, 24 Nov 2026 17:00:00 +0000"
TO_BOB = rf"Received: from me ([192.0.2.1]) by weir.example (mailweir) with ESMTP id s1.1|\tfor <bob@example.net>; {DATE}"
SIZE = len(TO_BOB.replace("|", "\r\n").replace(r"\t", "\t")) + 2

STAMP = re.compile(  # RFC 5321 4.4, with the names and clauses that we use
    r"Received: from (?P<helo>\S+)( \((?P<address>\[[0-9A-Fa-f:.IPv]+\])\))?"
    r" by (?P<by>\S+) \(mailweir\) with (?P<with>(ESMTP|UTF8SMTP|LMTP|UTF8LMTP)S?A?|SMTP)"
    r" id [a-z0-9.]+( for <(?P<recipient>[^\s<>]+@[^\s<>]+)>)?( tls (?P<suite>[A-Z][A-Z0-9_]+))?; (?P<date>.+)\r\n"
)


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime(2026, 11, 24, 17, 0, 0, tzinfo=tz)

    monkeypatch.setattr(trace, "datetime", Then)


def unfolded(field: str) -> dict[str, str]:
    """The clauses of a field that is sound in every respect."""
    assert all(len(line) <= 77 or max(map(len, line.split())) > 55 for line in field.split("\r\n")), field
    assert field.count("\r") == field.count("\n") == field.count("\r\n")
    match = STAMP.fullmatch(re.sub(r"\r\n\t", " ", field))
    assert match is not None, field
    parsedate_to_datetime(match["date"])
    return {key: value for key, value in match.groupdict().items() if value is not None}


def stamped(stage: Stage) -> dict[str, str]:
    relay: Any = stage.relay
    return unfolded(trace.field(relay, relay.mail).decode())


def test_no_trace_unless_it_is_wanted(smtp: Make) -> None:
    relay: Any = smtp(upto="mail").relay
    assert trace.field(relay, relay.mail) == b"" and relay.mail.hops is None


WITH = [  # protocol, verb, in TLS, logged in, SMTPUTF8: what RFC 3848 and RFC 6531 call it
    ("smtp", "HELO", False, False, False, "SMTP"),
    ("smtp", "HELO", True, True, False, "SMTP"),
    ("smtp", "EHLO", False, False, False, "ESMTP"),
    ("smtp", "EHLO", False, True, False, "ESMTPA"),
    ("smtp", "EHLO", True, False, False, "ESMTPS"),
    ("smtp", "EHLO", True, True, False, "ESMTPSA"),
    ("smtp", "EHLO", False, False, True, "UTF8SMTP"),
    ("smtp", "EHLO", True, True, True, "UTF8SMTPSA"),
    ("lmtp", "LHLO", False, False, False, "LMTP"),
    ("lmtp", "LHLO", True, False, False, "LMTPS"),
    ("lmtp", "LHLO", False, True, False, "LMTPA"),
    ("lmtp", "LHLO", True, True, True, "UTF8LMTPSA"),
]


@pytest.mark.parametrize(("protocol", "verb", "tls", "login", "utf8", "name"), WITH)
def test_with(smtp: Make, protocol: str, verb: str, tls: bool, login: bool, utf8: bool, name: str) -> None:
    stage = smtp(upto="greeted", protocol=protocol, smtp=TRACED)
    stage.session.client_tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384") if tls else None
    stage.session.mechanism = "PLAIN" if login else ""
    more = "" if verb == "HELO" else "-x|250-SMTPUTF8|250-8BITMIME|250-CHUNKING|250 PIPELINING"
    stage.play(f"""
        C> {verb} me
        U< {verb} me
        U> 250{more}
        C< 250{more}
        C> MAIL FROM:<x@y>{" SMTPUTF8" if utf8 else ""}
        U< MAIL FROM:<x@y>{" SMTPUTF8" if utf8 else ""}
    """)
    assert stamped(stage)["with"] == name


@pytest.mark.parametrize(
    ("cipher", "suite"),
    [
        ("TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        ("DHE-RSA-CHACHA20-POLY1305", "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("AES128-SHA", ""),
        ("", ""),
    ],
)
def test_suite(smtp: Make, cipher: str, suite: str) -> None:
    stage = smtp(upto="mail", smtp=TRACED)
    stage.session.client_tls = Tls("TLSv1.2", cipher)
    assert stamped(stage).get("suite", "") == suite


@pytest.mark.parametrize(
    ("address", "literal"),
    [
        (Address("192.0.2.7", 1), "[192.0.2.7]"),
        (Address("2001:db8::1", 1), "[IPv6:2001:db8::1]"),
        (Address("fe80::1%eth0", 1), "[IPv6:fe80::1]"),
        (Address("/run/in"), None),
    ],
)
def test_address(smtp: Make, address: Address, literal: str | None) -> None:
    stage = smtp(upto="mail", smtp=TRACED)
    stage.session.client = address
    assert stamped(stage).get("address") == literal
    stage.session.helo = "two words"
    assert stamped(stage)["helo"] == (literal or "localhost")


HELLOS = {
    "client.example": True,
    "client_7": True,
    "[192.0.2.1]": True,
    "[IPv6:2001:db8::1]": True,
    "": False,
    "a b": False,
    "a(b)": False,
    "a;b": False,
    "-a": False,
    "a-": False,
    "b\u00f6b.example": False,
    "x" * 255: True,
    "x" * 256: False,
    "[1.2.3.4": False,
    "[]": False,
    "me\r\n\tevil": False,
}


@pytest.mark.parametrize(("name", "kept"), HELLOS.items())
def test_helo(smtp: Make, name: str, kept: bool) -> None:
    stage = smtp(upto="mail", smtp=TRACED)
    stage.session.helo = name
    assert stamped(stage)["helo"] == (name if kept else "[192.0.2.1]")


MAILBOXES = {
    "bob@example.net": True,
    "b+o=b/x!@xn--e1aybc.example": True,
    "bob": False,
    "": False,
    '"b o b"@example.net': False,
    "bob@[192.0.2.1]": False,
    "b(ob)@example.net": False,
    "b\u00f6b@example.net": False,
    "bob@x>\r\nX: y": False,
    "x" * 65 + "@y": False,
}


@pytest.mark.parametrize(("address", "named"), MAILBOXES.items())
def test_the_recipient(smtp: Make, address: str, named: bool) -> None:
    relay: Any = smtp(upto="mail", smtp=TRACED).relay
    envelope = relay.mail.transaction.envelope
    envelope.recipients[:] = [Recipient(address)]
    assert ("recipient" in unfolded(trace.field(relay, relay.mail).decode())) == named
    envelope.parameters = "SMTPUTF8"
    assert ("recipient" in unfolded(trace.field(relay, relay.mail).decode())) == (
        named or "\u00f6" in address
    )


@pytest.mark.parametrize("line", ["b\u2028b@example.net", "b\u0085b@example.net", "b\u00a0b@example.net"])
def test_a_blank_of_unicode_is_no_part_of_a_name(smtp: Make, line: str) -> None:
    relay: Any = smtp(upto="mail", smtp=TRACED).relay
    relay.mail.transaction.envelope.recipients[:] = [Recipient(line)]
    relay.mail.transaction.envelope.parameters = "SMTPUTF8"
    assert "recipient" not in unfolded(trace.field(relay, relay.mail).decode())


def test_several_recipients_learn_nothing_of_each_other(smtp: Make) -> None:
    stage = smtp(upto="mail", smtp=TRACED)
    stage.play("""
        C> RCPT TO:<eve@example.net>
        U< RCPT TO:<eve@example.net>
    """)
    assert "recipient" not in stamped(stage)  # not even while the second may yet be refused
    stage.play("""
        U> 550 no
        C< 550 no
    """)
    assert stamped(stage)["recipient"] == "bob@example.net"


@given(st.text(max_size=300), st.text(max_size=300), st.booleans(), st.booleans())
def test_nothing_can_be_put_into_it(helo: str, address: str, utf8: bool, port: bool) -> None:
    stage = Stage("smtp")
    relay: Any = stage.relay
    relay.rules = relay.rules.__class__(hostname=helo, smtp=TRACED)
    stage.session.helo = helo
    stage.session.client = Address("192.0.2.1", int(port))
    transaction = stage.session.begin("smtp", 0.0)
    transaction.envelope.parameters = "SMTPUTF8" if utf8 else ""
    transaction.envelope.recipients.append(Recipient(f"{address}@example.net"))
    unfolded(trace.field(relay, Mail(transaction)).decode())


# In each of the ways that a message may take.


class Head:
    @hookimpl
    def message_head(self, message: Message) -> None:
        self.seen = message.headers.get_all("received")
        message.headers.add("X-Seen", "yes")


class Whole:
    @hookimpl
    def message(self, message: Message) -> None:
        self.seen = message.headers.get_all("received")
        message.headers.add("X-Seen", "yes")


class Drop:
    @hookimpl
    def mail_from(self) -> Discard:
        return Discard("unseen")


def test_passing_by_data(smtp: Make) -> None:
    smtp(upto="data", smtp=TRACED).play(rf"""
        C> A: b||hi\
        U< {TO_BOB}|A: b||hi\
        C> |..|.|NOOP
        U< |..|.
        U> 250 ok
        C< 250 ok
        U< NOOP
    """)


def test_passing_by_data_an_empty_text(smtp: Make) -> None:
    smtp(upto="data", smtp=TRACED).play(rf"""
        C> .
        U< {TO_BOB}|.
    """)


def test_passing_by_bdat(smtp: Make) -> None:
    smtp(upto="mail", smtp=TRACED).play(rf"""
        C> BDAT 8|A: b||\
        U< BDAT {SIZE + 8}|{TO_BOB}|A: b||\
        U> 250 ok
        C< 250 ok
        C> BDAT 4 LAST|hi|NOOP
        U< BDAT 4 LAST|hi
        U> 250 ok
        C< 250 ok
        U< NOOP
    """)
    smtp(upto="mail", smtp=TRACED).play(rf"""
        C> bdat 4 last|hi
        U< BDAT {SIZE + 4} LAST|{TO_BOB}|hi
    """)


@pytest.mark.parametrize("plugin", [Head, Whole])
def test_judged(smtp: Make, plugin: Callable[[], Any]) -> None:
    """Plugins see it, and what they add stands above it."""
    made = plugin()
    smtp(made, upto="mail", smtp=TRACED).play(rf"""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> A: b||hi|.
        U< DATA
        U> 354 go
        U< X-Seen: yes|{TO_BOB}|A: b||hi|.
    """)
    assert len(made.seen) == 1


@pytest.mark.parametrize("plugin", [Head, Whole])
def test_judged_by_bdat(smtp: Make, plugin: Callable[[], Any]) -> None:
    smtp(plugin(), upto="mail", smtp=TRACED).play(rf"""
        C> BDAT 12 LAST|A: b||hi|\
        U< BDAT {SIZE + 25} LAST|X-Seen: yes|{TO_BOB}|A: b||hi|\
    """)


LOOP = "554 5.4.6 routing loop (s1)"
FOLDED = "550 5.6.0 message begins with a folded line that belongs to nothing (s1)"
BAD = {
    "loop": ("Received: by x|" * (FIELDS + 1) + "|hi", LOOP),
    "folded": (r"\tby evil; never|A: b||hi", FOLDED),
}


@pytest.mark.parametrize(("text", "refusal"), BAD.values(), ids=BAD.keys())
def test_refused_where_it_passes(smtp: Make, text: str, refusal: str) -> None:
    stage = smtp(upto="data", smtp=TRACED).play(rf"""
        C> {text}|.
        U. aborted
        C< {refusal}
    """)
    assert stage.upstream.heard == b""
    octets = len(text.replace(r"\t", "\t").replace("|", "\r\n")) + 2
    smtp(upto="mail", smtp=TRACED).play(rf"""
        C> BDAT {octets} LAST|{text}
        U< BDAT {SIZE + octets} LAST|{TO_BOB}
        U. aborted
        C< {refusal}
    """)


@pytest.mark.parametrize("plugin", [Head, Whole])
@pytest.mark.parametrize(("text", "refusal"), BAD.values(), ids=BAD.keys())
def test_refused_where_it_is_judged(smtp: Make, plugin: Callable[[], Any], text: str, refusal: str) -> None:
    made = plugin()
    smtp(made, upto="mail", smtp=TRACED).play(rf"""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> {text}|.|NOOP
        C< {refusal}
        U< NOOP
    """)
    assert not hasattr(made, "seen")


def test_loops_are_found_wherever_somebody_looks(smtp: Make) -> None:
    smtp(Whole(), upto="mail").play(rf"""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> {BAD["loop"][0]}|.
        C< {LOOP}
    """)
    smtp(upto="data").play(rf"""
        C> {BAD["loop"][0]}|.
        U< {BAD["loop"][0]}|.
    """)


def test_what_we_write_is_what_we_know_again(smtp: Make) -> None:
    """Ten times past us, and once more."""
    smtp(upto="data", smtp=TRACED).play(rf"""
        C> {"|".join([TO_BOB] * 10)}|A: b|||.
        U< {"|".join([TO_BOB] * 11)}|A: b|||.
    """)
    smtp(upto="data", smtp=TRACED).play(rf"""
        C> {"|".join([TO_BOB] * 11)}|A: b|||.
        U. aborted
        C< {LOOP}
    """)


def test_what_is_dropped_has_no_trace(smtp: Make) -> None:
    smtp(Drop(), upto="mail", smtp=TRACED).play(r"""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> A: b||hi|.
        C< 250 2.0.0 ok
    """)


def test_a_message_that_a_plugin_refuses(smtp: Make) -> None:
    class No:
        @hookimpl
        def message_head(self) -> Reject:
            return Reject("no")

    smtp(No(), upto="mail", smtp=TRACED).play("""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> A: b||hi|.
        C< 550 5.7.1 no (s1)
    """)


def test_what_is_sent_must_have_room_for_it(smtp: Make) -> None:
    for plugins, less in (([], 1024), ([Whole()], 2048)):
        smtp(*plugins, upto="greeted", smtp=TRACED).play(f"""
            C> EHLO me
            U< EHLO me
            U> 250-x|250-SIZE 100000|250-CHUNKING|250 PIPELINING
            C< 250-x|250-SIZE {100000 - less}|250-CHUNKING|250 PIPELINING
            C> MAIL FROM:<x@y> SIZE=99999
            C< 552 message too big (s1)
        """)


def test_the_date_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    stage = Stage("smtp", rules=None)
    relay: Any = stage.relay
    relay.rules = relay.rules.__class__(hostname="weir", smtp=TRACED)
    field = unfolded(trace.field(relay, Mail(stage.session.begin("smtp", 0.0))).decode())
    assert abs((datetime.now(UTC) - parsedate_to_datetime(field["date"])).total_seconds()) < 5
