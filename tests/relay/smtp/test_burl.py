"""BURL: parts of a text that upstream fetches by itself."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog

from mailweir.hookspecs import hookimpl
from mailweir.session import Transaction
from mailweir.testing.play import Stage
from mailweir.verdict import Discard

Make = Callable[..., Stage]
BURL = "PIPELINING|250-BURL imap|250-CHUNKING|250 ENHANCEDSTATUSCODES"
URL = "imap://ann@imap.example/Drafts;UID=3;URLAUTH=submit+ann:internal:91354a473744909de610943775f92038"


class Hears:
    def __init__(self) -> None:
        self.done: list[Transaction] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)

    @hookimpl
    def rcpt_to(self, recipient: Any) -> Any:
        return Discard("trap") if "trap" in recipient.address else None


class Looks:
    @hookimpl
    def message_head(self) -> None:
        pass


def test_upstream_fetches_the_text(smtp: Make) -> None:
    hears = Hears()
    with structlog.testing.capture_logs() as logs:
        smtp(hears, offer=BURL, upto="mail").play(f"""
            C> BURL {URL} last
            U< BURL {URL} last
            U> 250 2.5.0 queued
            C< 250 2.5.0 queued
            C> MAIL FROM:<c@d>
            U< MAIL FROM:<c@d>
        """)
    assert [done.outcome for done in hears.done] == ["accepted"]
    assert "91354a47" not in repr(logs)


def test_among_chunks(smtp: Make) -> None:
    smtp(offer=BURL, upto="mail").play(rf"""
        C> BDAT 3|abc\
        U< BDAT 3|abc\
        C> BURL {URL}|BDAT 0 LAST
        U> 250 ok
        C< 250 ok
        U< BURL {URL}
        U> 250 2.5.0 fetched
        C< 250 2.5.0 fetched
        U< BDAT 0 LAST
        U> 250 queued
        C< 250 queued
    """)


def test_upstream_refuses(smtp: Make) -> None:
    hears = Hears()
    smtp(hears, offer=BURL, upto="mail").play(f"""
        C> BURL {URL}
        U< BURL {URL}
        U> 554 5.6.6 what
        C< 554 5.6.6 what
        C> RSET
        U< RSET
        U> 250 ok
        C< 250 ok
    """)
    assert [(done.outcome, done.reply) for done in hears.done] == [("rejected", "554 5.6.6 what")]


def test_each_recipient_has_its_reply(smtp: Make) -> None:
    smtp(offer=BURL, protocol="lmtp").play(f"""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<e@f>|BURL {URL} LAST
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<e@f>
        U> 250 ok|250 ok|250 ok
        C< 250 ok|250 ok|250 ok
        U< BURL {URL} LAST
        U> 250 c
        C< 250 c
        U! gone
        C< 451 4.4.2 lost the server, fate of the message unknown, try again later (s1)
    """)


@pytest.mark.parametrize("plugin", [Looks(), Hears()])
def test_where_it_was_not_offered(smtp: Make, plugin: Any) -> None:
    offered = "BURL imap|250-" if isinstance(plugin, Looks) else ""
    smtp(plugin, upto="greeted").play(f"""
        C> EHLO me
        U< EHLO me
        U> 250-x|250-{offered}PIPELINING|250 CHUNKING
        C< 250-x|250-PIPELINING|250 CHUNKING
        C> BURL {URL}
        C< 502 command not available (s1)
    """)


WRONG = {
    "no URL": ("BURL", "501 5.5.4 syntax error in arguments (s1)"),
    "a tab": (f"BURL {URL}\\tLAST", "501 5.5.4 syntax error in arguments (s1)"),
    "a word too many": (f"BURL {URL} LAST x", "501 5.5.4 syntax error in arguments (s1)"),
}


@pytest.mark.parametrize(("command", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_upstream_might_read_otherwise(smtp: Make, command: str, said: str) -> None:
    smtp(offer=BURL, upto="mail").play(f"""
        C> {command}
        C< {said}
    """)


def test_without_a_transaction(smtp: Make) -> None:
    smtp(offer=BURL).play(f"""
        C> BURL {URL}
        C< 503 5.5.1 need MAIL first (s1)
        C> MAIL FROM:<a@b>|BURL {URL}
        U< MAIL FROM:<a@b>
        U> 550 no
        C< 550 no|503 5.5.1 need MAIL first (s1)
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|BURL {URL}
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>
        U> 250 ok|550 no
        C< 250 ok|550 no|554 5.5.1 no valid recipients (s1)
    """)


def test_dropped(smtp: Make) -> None:
    hears = Hears()
    smtp(hears, offer=BURL).play(f"""
        C> MAIL FROM:<a@b>|RCPT TO:<trap@x>|BURL {URL}|BURL {URL} LAST|NOOP
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok|250 2.0.0 ok|250 2.0.0 ok|250 2.0.0 ok
        U< NOOP
    """)
    assert [done.outcome for done in hears.done] == ["discarded"]


def test_it_can_t_be_held_back(smtp: Make) -> None:
    class Removes:
        @hookimpl
        def rcpt_to(self, envelope: Any, recipient: Any) -> None:
            if recipient.local == "second":
                envelope.remove(envelope.recipients[0])

    smtp(Removes(), offer=BURL).play(f"""
        C> MAIL FROM:<a@b>|RCPT TO:<first@x>|RCPT TO:<second@x>|BURL {URL} LAST|MAIL FROM:<c@d>
        U< MAIL FROM:<a@b>|RCPT TO:<first@x>|RCPT TO:<second@x>
        U> 250 ok|250 a|250 b
        C< 250 ok|250 a|250 b|451 4.3.0 local error, try again later (s1)
        U< RSET
        U> 250 ok
        U< MAIL FROM:<c@d>
    """)
