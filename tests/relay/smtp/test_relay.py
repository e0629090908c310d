"""Faults at every stage, time, shutting down - and whole conversations that pass untouched however cut."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.chain.chain import Plug
from mailweir.hookspecs import hookimpl
from mailweir.relay.conversation import COMPLAINTS
from mailweir.relay.rules import SmtpRules
from mailweir.session import Address, Session, Transaction
from mailweir.testing.play import Stage, octets
from mailweir.verdict import Close, Defer, Discard, Reject

Make = Callable[..., Stage]
LOST = "421 4.3.0 lost the server, try again later (s1)"

AGAIN = "451 4.3.0 lost the server, try again later (s1)"
OK = "250 2.0.0 ok"

STAGES: dict[str, tuple[str, str]] = {  # where the session stands, and what is said when upstream is lost
    "idle": ("", ""),
    "a command": ("C> NOOP\nU< NOOP", OK),
    "an answer": ("C> VRFY x\nU< VRFY x", LOST),
    "a hello": ("C> EHLO me\nU< EHLO me", LOST),
    "MAIL": ("C> MAIL FROM:<a@b>\nU< MAIL FROM:<a@b>", AGAIN),
    "a group": (
        "C> MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA\nU< MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA\nU> 250 ok\nC< 250 ok",
        f"{AGAIN}|{AGAIN}",
    ),
    "between commands": ("C> MAIL FROM:<a@b>\nU< MAIL FROM:<a@b>\nU> 250 ok\nC< 250 ok", ""),
    "half a reply": ("C> NOOP\nU< NOOP\nU> 250-half\\", OK),
    "QUIT": ("C> QUIT\nU< QUIT", "221 2.0.0 bye"),
}


@pytest.mark.parametrize(("rows", "said"), STAGES.values(), ids=STAGES.keys())
@pytest.mark.parametrize("how", ["gone", "reset"])
def test_upstream_is_lost(smtp: Make, rows: str, said: str, how: str) -> None:
    going_on = said not in (LOST, "221 2.0.0 bye")
    stage = smtp().play(f"""
        {rows}
        U! {how}
        {"C< " + said if said else ""}
        C. {"open" if going_on else "closed"}
        C! gone
    """)
    assert stage.session.closed == ("client closed" if going_on else how.replace("gone", "upstream closed"))


@pytest.mark.parametrize("how", ["gone", "reset"])
def test_upstream_is_lost_in_the_text(smtp: Make, how: str) -> None:
    smtp(upto="data").play(rf"""
        C> half\
        U< half\
        U! {how}
        C< {LOST}
        C. closed
    """)


@pytest.mark.parametrize("rows", [rows for rows, _ in STAGES.values()], ids=STAGES.keys())
def test_client_is_lost(smtp: Make, rows: str) -> None:
    stage = smtp().play(rows)
    stage.relay.client_gone("reset")
    assert stage.upstream.heard in (b"", b"QUIT\r\n")
    assert stage.upstream.state == "closed"
    stage.relay.upstream_octets(b"250 late\r\n")
    stage.relay.upstream_gone("")
    assert stage.client.heard == b""
    assert stage.session.closed == "reset" and stage.session.transaction is None


@pytest.mark.parametrize("rows", [rows for rows, _ in STAGES.values()], ids=STAGES.keys())
def test_upstream_hangs(smtp: Make, rows: str) -> None:
    stage = smtp(upstream_reply=400.0, client_idle=300.0).play(rows)
    stage.clock.pump([1.0] * 299)
    assert stage.client.heard == b"" and stage.client.state == "open"
    stage.clock.pump([1.0] * 102)
    assert stage.client.state in ("closed", "aborted")
    (code,) = {line[:3] for line in stage.client.heard.splitlines()}
    assert code in (b"421", b"221")


def test_upstream_hangs_while_the_client_may_not_go_on(smtp: Make) -> None:
    """In the middle of its text, of which no more is read before upstream has answered DATA."""

    class Head:
        @hookimpl
        def message_head(self) -> None: ...

    smtp(Head(), upto="mail", client_idle=60.0).play(rf"""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> Subject: x||half\
        U< DATA
        T+ 119
        T+ 1
        U. aborted
        C< {LOST}
        C. closed
    """)


def test_client_is_idle(smtp: Make) -> None:
    smtp().play("""
        T+ 299
        C> NOOP
        U< NOOP
        U> 250 ok
        C< 250 ok
        T+ 299
        T+ 1
        C< 421 4.4.2 idle for too long (s1)
        C. closed
        U. closed
    """)


def test_client_is_idle_in_the_text(smtp: Make) -> None:
    smtp(upto="data", client_idle=10.0).play(r"""
        C> half\
        U< half\
        T+ 30
        C< 421 4.4.2 idle for too long (s1)
        C. closed
        U. aborted
    """)


def test_last_words_that_nobody_takes(smtp: Make) -> None:
    smtp().play("""
        C> QUIT
        U< QUIT
        U> 221 bye
        C< 221 bye
        C. closed
        T+ 90
        C. aborted
    """)


def test_a_plugin_may_think_longer_than_that(smtp: Make) -> None:
    class Slow:
        @hookimpl
        def mail_from(self) -> Any:
            return answer

    answer: Deferred[Any] = Deferred()
    stage = smtp(Slow(), client_idle=5.0).play("""
        C> MAIL FROM:<a@b>
    """)
    answer.callback(None)
    stage.play("""
        U< MAIL FROM:<a@b>
    """)


def test_421_that_nobody_asked_for(smtp: Make) -> None:
    for upto in ("hello", "mail", "data"):
        stage = smtp(upto=upto).play("""
            U> 421 4.4.2 idle
            C< 421 4.4.2 idle
            C. closed
        """)
        assert stage.upstream.state == ("aborted" if upto == "data" else "closed")


def test_421_is_said_once(smtp: Make) -> None:
    smtp().play("""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<e@f>
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<e@f>
        U> 250 ok|421-going|421 down
        C< 250 ok|421-going|421 down
        C. closed
        U. closed
    """)


@pytest.mark.parametrize("said", ["250 what", "what", r"250\x20" + "x" * 5000])
def test_upstream_breaks_the_rules(smtp: Make, said: str) -> None:
    before = metrics.PROTOCOL_ERRORS.cell("test", "smtp", "upstream").value
    smtp(upto="mail").play(f"""
        U> {said}
        U. aborted
        C< {LOST}
        C. closed
        U! gone
    """)
    if said != "250 what":
        assert metrics.PROTOCOL_ERRORS.cell("test", "smtp", "upstream").value == before + 1


@pytest.mark.parametrize("cut", range(1, 12))
def test_replies_come_in_any_pieces(smtp: Make, cut: int) -> None:
    reply = b"250-a\r\n250\r\n"
    stage = smtp().play("""
        C> NOOP
        U< NOOP
    """)
    stage.say("upstream", reply[:cut])
    stage.say("upstream", reply[cut:])
    stage.play("""
        C< 250-a|250
    """)


class Told:
    def __init__(self) -> None:
        self.done: list[Transaction] = []
        self.closed: list[Session] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)

    @hookimpl
    def session_closed(self, session: Session) -> None:
        self.closed.append(session)


def test_every_transaction_is_told_once(smtp: Make) -> None:
    told = Told()
    smtp(told, upto="data").play("""
        C> hi|.
        U< hi|.
        U> 250 one
        C< 250 one
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        C> QUIT
        U< QUIT
        U> 221 bye
        C< 221 bye
        U! gone
        C! gone
    """)
    assert [(done.id, done.outcome) for done in told.done] == [("s1.1", "accepted"), ("s1.2", "aborted")]
    assert [session.closed for session in told.closed] == ["client quit"]


# Whole conversations. Each turn is what the client says at once, and what upstream answers to each line.

TURNS: dict[str, list[tuple[str, str]]] = {
    "a message": [
        ("", "220-mail.example.org|220 ESMTP ready"),
        (
            "EHLO [192.0.2.1]",
            "250-mail.example.org hi|250-SIZE 1000|250-PIPELINING|250-chunking|250-8bitmime|250 DSN",
        ),
        (
            "MAIL FROM:<a@b> SIZE=100|rcpt to: <c@d>  NOTIFY=NEVER|RCPT TO:<e@f>|data",
            "250 2.1.0 ok|250-2.1.5|250 ok|550 no|354 go ahead",
        ),
        (r"Subject: x||..dot|\xff\0|.", "250-2.0.0|250 queued as 1"),
        ("QUIT", "221 2.0.0 bye"),
    ],
    "two messages and a change of mind": [
        ("", "220 x"),
        ("EHLO me", "250-x|250-CHUNKING|250 PIPELINING"),
        ("MAIL FROM:<>|RSET|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA", "250 ok|250 ok|250 ok|250 ok|354"),
        (".", "250 empty"),
        ("MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 4|ab|BDAT 3 LAST|.|\\", "250|250|250 four|250 queued"),
        ("VRFY x|EXPN y|HELP|NOOP", "252 maybe|250-a|250 b|214-a|214 b|250"),
        ("QUIT", "221 bye"),
    ],
    "refused": [
        ("", "220 x"),
        ("HELO me", "250 x"),
        ("MAIL FROM:<a@b>", "550 no"),
        ("RCPT TO:<c@d>", "503 no MAIL"),
        ("DATA", "503 no MAIL"),
        ("RSET", "250 ok"),
        ("XFOO", "500 what"),
        ("QUIT", "221 bye"),
    ],
    "a login": [
        ("", "220 x"),
        ("EHLO me", "250-x|250-AUTH LOGIN PLAIN|250-CHUNKING|250 PIPELINING"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
        ("Ym9i", "334 UGFzc3dvcmQ6"),
        ("c2VjcmV0", "535 no"),
        ("auth plain AGJvYgBzZWNyZXQ=", "235 welcome"),
        ("QUIT", "221 bye"),
    ],
}


def cut_up(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.parametrize("turns", TURNS.values(), ids=TURNS.keys())
@given(st.lists(st.integers(0, 500), max_size=6), st.booleans())
def test_nothing_is_changed_however_it_is_cut(
    turns: list[tuple[str, str]], cuts: list[int], octet_by_octet: bool
) -> None:
    stage = Stage("smtp", client=Address("127.0.0.1", 40000))
    stage.begin()
    for said, answered in turns:
        for leg, other, text in (
            ("client", stage.upstream, said),
            ("upstream", stage.client, answered),
        ):
            wire = octets(text) if text else b""
            pieces = [bytes([octet]) for octet in wire] if octet_by_octet else cut_up(wire, cuts)
            for piece in pieces:
                stage.say("client" if leg == "client" else "upstream", piece)
            heard, other.heard = other.heard, b""
            assert heard == wire
    assert (stage.client.state, stage.upstream.state) == ("closed", "closed")


LINES = st.sampled_from(
    [
        *("EHLO me", "HELO me", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "RSET", "NOOP", "QUIT", "."),
        *("BDAT 3", "BDAT 0 LAST", "abc\\", "AUTH PLAIN", "STARTTLS", "XFOO", r"\0", r"a\nb", "hi", "*"),
    ]
)
ANSWERS = st.sampled_from(
    [
        "250 ok",
        "250-a|250-CHUNKING|250-AUTH PLAIN|250 PIPELINING",
        "354 go",
        "550 no",
        "421 bye",
        "334 x",
        "220 x",
    ]
)


class Anything:
    """A plugin that is asked everywhere, and says a word now and then."""

    def __init__(self, verdicts: list[Any]) -> None:
        self._verdicts = verdicts

    def _answer(self) -> Any:
        return self._verdicts.pop() if self._verdicts else None

    @hookimpl
    def mail_from(self) -> Any:
        return self._answer()

    @hookimpl
    def rcpt_to(self) -> Any:
        return self._answer()

    @hookimpl
    def message(self) -> Any:
        return self._answer()


@given(
    st.lists(st.tuples(st.booleans(), LINES, ANSWERS), max_size=40),
    st.sampled_from(["none", "plugin"]),
    st.sampled_from(["smtp", "lmtp"]),
)
def test_any_conversation_ends_in_good_order(
    steps: list[tuple[bool, str, str]], plugin: str, protocol: Any
) -> None:
    told = Told()
    plugs = [Plug("told", told)]
    if plugin == "plugin":
        plugs.append(Plug("any", Anything([None, Reject(), None, Discard(), None, Defer(), Close()])))
    with capture_logs() as logs:
        stage = Stage(protocol, plugs)
        stage.begin()
        stage.say("upstream", b"220 x\r\n")
        for client, line, answer in steps:
            if client and stage.client.state == "open":
                stage.say("client", octets(line))
            elif not client and stage.upstream.state == "open":
                stage.say("upstream", octets(answer))
        stage.relay.client_gone("")
        stage.relay.upstream_gone("")
    assert not [entry for entry in logs if entry["log_level"] == "error"]
    assert stage.session.closed
    assert len(told.closed) == 1 and len(told.done) == stage.session.transactions
    assert stage.relay.rules.spool.used == 0


OUT_OF_STEP = ["EHLO me", "MAIL FROM:<a@b>", "NOOP", "RSET", "RSET x", "VRFY ann", "QUIT"]


@pytest.mark.parametrize("command", OUT_OF_STEP)
def test_354_to_what_asks_for_nothing_more(smtp: Make, command: str) -> None:
    """Upstream takes what comes next for a text, so nothing may come."""
    smtp().play(f"""
        C> {command}
        U< {command}
        U> 354 go
        U. aborted
        C< {"221 2.0.0 bye" if command == "QUIT" else LOST}
        C. closed
    """)


def test_a_flood_of_errors_does_not_flood_the_log(smtp: Make) -> None:
    stage = smtp(smtp=SmtpRules(bad_commands=0))
    before = metrics.PROTOCOL_ERRORS.cell("test", "smtp", "client").value
    with capture_logs() as logs:
        stage.say("client", b"\r\n" * 1000)
    assert len(logs) == COMPLAINTS
    assert metrics.PROTOCOL_ERRORS.cell("test", "smtp", "client").value == before + 1000
    assert stage.client.heard.count(b"\r\n") == 1000
