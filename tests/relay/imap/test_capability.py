"""Capabilities in all the places where they are listed, and commands that belong to some."""

from collections.abc import Callable

import pytest

from mailweir import Message, hookimpl
from mailweir.chain.chain import Chain, Plug
from mailweir.relay.imap.capability import PASSED, TABLE, Offers
from mailweir.relay.rules import Rules
from mailweir.session import Address, Session, Tls
from mailweir.testing.play import Stage

Make = Callable[..., Stage]


class Filter:
    @hookimpl
    def message(self, message: Message) -> None:
        """Wants to see all of it."""


LISTS = {  # name: (what upstream has, what is offered, what else there is)
    "nothing to do": ("IMAP4rev1 LITERAL+ SASL-IR IDLE", "IMAP4rev1 LITERAL+ SASL-IR IDLE", {}),
    "spelling and order stay": ("imap4REV1 literal+ Idle", "imap4REV1 literal+ Idle", {}),
    "blanks stay": ("IMAP4rev1  LITERAL+  IDLE ", "IMAP4rev1  LITERAL+  IDLE ", {}),
    "LITERAL+ is ours": ("IMAP4rev1 IDLE", "IMAP4rev1 IDLE LITERAL+", {}),
    "and says more than LITERAL-": ("IMAP4rev1 LITERAL- IDLE", "IMAP4rev1 LITERAL+ IDLE", {}),
    "once": ("IMAP4rev1 LITERAL- LITERAL+", "IMAP4rev1 LITERAL+", {}),
    "stripped": (
        "IMAP4rev1 compress=deflate UNAUTHENTICATE LITERAL+ LOGIN-REFERRALS",
        "IMAP4rev1 LITERAL+",
        {},
    ),
    "all stripped but one": ("COMPRESS=DEFLATE", "LITERAL+", {}),
    "mechanisms": (
        "LITERAL+ AUTH=PLAIN AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=EXTERNAL",
        "LITERAL+ AUTH=PLAIN AUTH=SCRAM-SHA-256",
        {},
    ),
    "in clear": (
        "LITERAL+ AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256 STARTTLS",
        "LITERAL+ AUTH=SCRAM-SHA-256 LOGINDISABLED",
        {"client": "192.0.2.1"},
    ),
    "in clear, STARTTLS is ours": (
        "LITERAL+ AUTH=PLAIN",
        "LITERAL+ STARTTLS LOGINDISABLED",
        {"client": "192.0.2.1", "starttls": True},
    ),
    "in clear, allowed": (
        "LITERAL+ AUTH=PLAIN",
        "LITERAL+ AUTH=PLAIN",
        {"client": "192.0.2.1", "allow_plaintext": True},
    ),
    "TLS required": (
        "LITERAL+ AUTH=PLAIN AUTH=SCRAM-SHA-256",
        "LITERAL+ STARTTLS LOGINDISABLED",
        {"require_tls": True, "starttls": True},
    ),
    "by TLS": (
        "LITERAL+ LOGINDISABLED AUTH=PLAIN",
        "LITERAL+ AUTH=PLAIN",
        {"client": "192.0.2.1", "starttls": True, "require_tls": True, "tls": True},
    ),
    "limit is ours": ("LITERAL+ APPENDLIMIT=1000", "LITERAL+ APPENDLIMIT=500", {"message_size": 500}),
    "limit is upstream's": ("LITERAL+ APPENDLIMIT=1000", "LITERAL+ APPENDLIMIT=1000", {"message_size": 5000}),
    "limit differs": ("LITERAL+ APPENDLIMIT", "LITERAL+ APPENDLIMIT=500", {"message_size": 500}),
    "unknown": ("LITERAL+ XFOO BAR", "LITERAL+ XFOO BAR", {}),
    "unknown, refused": (
        "LITERAL+ XFOO BAR THREAD=REFS PREVIEW=FUZZY",
        "LITERAL+ THREAD=REFS PREVIEW=FUZZY",
        {"refuse_unknown": True},
    ),
    "content": ("LITERAL+ CATENATE URLAUTH MULTIAPPEND", "LITERAL+ CATENATE URLAUTH MULTIAPPEND", {}),
    "content, filtered": ("LITERAL+ CATENATE URLAUTH MULTIAPPEND", "LITERAL+", {"filtered": True}),
}
PLACES = [
    "* OK [CAPABILITY%s] hi {3}\r\n",
    "* PREAUTH [capability%s] hi [COMPRESS=DEFLATE]\r\n",
    "* CAPABILITY%s\r\n",
    "a1 OK [CAPABILITY%s] done\r\n",
]


def offers(client: str = "127.0.0.1", tls: bool = False, filtered: bool = False, **rules: object) -> Offers:
    session = Session("s1", "test", "imap", Address(client, 4), Address("192.0.2.2", 143), 0.0)
    session.client_tls = Tls("TLSv1.3", "x") if tls else None
    chain = Chain("test", [Plug("filter", Filter())] if filtered else [])
    return Offers(session, chain, Rules(**rules))  # type: ignore[arg-type]


@pytest.mark.parametrize(("upstreams", "offered", "setting"), LISTS.values(), ids=LISTS.keys())
def test_list(upstreams: str, offered: str, setting: dict[str, object]) -> None:
    for place in PLACES:
        line = place.replace("%s", " " + upstreams).encode()
        wanted = place.replace("%s", " " + offered).encode()
        assert offers(**setting).rewrite(line) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        b"a1 OK done [CAPABILITY COMPRESS=DEFLATE]\r\n",
        b"* OK [ALERT] [CAPABILITY x]\r\n",
        b"* OK [CAPABILITY x\r\n",
        b"a1 NO [TRYCREATE] x\r\n",
    ],
)
def test_everything_else_stays(line: bytes) -> None:
    assert offers().rewrite(line) == line


def test_referrals_are_dropped() -> None:
    assert offers().rewrite(b"a NO [REFERRAL imap://b@other/] go there\r\n") == b"a NO go there\r\n"


def test_no_capability_stands_in_both_tables() -> None:
    assert not PASSED & TABLE.keys()
    assert all(why for _, why in TABLE.values())


def test_after_login_no_mechanism_is_offered(imap: Make) -> None:
    imap(starttls=True, allow_plaintext=True, client="192.0.2.1").play("""
        C> a CAPABILITY
        U< a CAPABILITY
        U> * CAPABILITY IMAP4rev1 AUTH=PLAIN|a OK x
        C< * CAPABILITY IMAP4rev1 AUTH=PLAIN LITERAL+ STARTTLS|a OK x
        C> a LOGIN ann secret
        U< a LOGIN ann secret
        U> * CAPABILITY IMAP4rev1 IDLE|a OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x|* OK [CAPABILITY COMPRESS=DEFLATE] x
        C< * CAPABILITY IMAP4rev1 IDLE LITERAL+|a OK [CAPABILITY IMAP4rev1 LITERAL+] x|* OK [CAPABILITY LITERAL+] x
    """)


REFUSED = ["COMPRESS DEFLATE", "UNAUTHENTICATE", "RLIST", "compress DEFLATE"]
FILTERED = ["GENURLAUTH x", "URLFETCH x", "UID CONVERT x", "GETJMAPACCESS"]


@pytest.mark.parametrize("command", REFUSED)
def test_what_is_stripped_is_refused(imap: Make, command: str) -> None:
    name = command.split()[0].upper()
    imap(logged_in=True).play(f"C> a {command}\nC< a BAD {name} is not available")


@pytest.mark.parametrize("command", FILTERED)
def test_what_goes_round_a_filter_is_refused(imap: Make, command: str) -> None:
    name = command.removesuffix(" x")
    imap(Filter(), logged_in=True).play(f"C> a {command}\nC< a BAD {name} is not available")
    imap(logged_in=True).play(f"C> a {command}\nU< a {command}")


def test_enable_only_what_is_offered(imap: Make) -> None:
    imap(logged_in=True, refuse_unknown=True).play("""
        C> a enable CONDSTORE utf8=accept
        U< a enable CONDSTORE utf8=accept
        C> b ENABLE CONDSTORE XFOO QRESYNC
        U< b ENABLE CONDSTORE QRESYNC
        U> * ENABLED CONDSTORE|a OK x|* ENABLED QRESYNC|b OK x
        C< * ENABLED CONDSTORE|a OK x|* ENABLED QRESYNC|b OK x
        C> c ENABLE XFOO
        C< * ENABLED|c OK ENABLE completed
    """)
