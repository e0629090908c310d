"""Another upstream for the same session: when, what it is told, and what the client hears of it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.chain.plug import Plug
from mailweir.hookspecs import hookimpl
from mailweir.relay.smtp.offer import Offer, upstream_keywords
from mailweir.relay.smtp.redial import covers
from mailweir.relay.smtp.relay import SmtpRelay
from mailweir.session import Transaction
from mailweir.testing.play import TLS, Stage, octets
from mailweir.verdict import Reject

Make = Callable[..., Stage]
LOST = "451 4.3.0 lost the server, try again later (s1)"
LOST_AT_END = "451 4.4.2 lost the server, fate of the message unknown, try again later (s1)"
ENDED = "421 4.3.0 lost the server, try again later (s1)"
NO_OTHER = "421 4.3.0 session can't go on, start a new one (s1)"
UNAVAILABLE = "421 4.3.2 service not available, try again later (s1)"
STRAY = "550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)"
AGAIN = """
    U> 220 second.example.org
    U< EHLO me
    U> 250-second.example.org|250-PIPELINING|250-CHUNKING|250 ENHANCEDSTATUSCODES
"""
MAIL = """
    C> MAIL FROM:<new@example.org>|RCPT TO:<bob@example.net>|DATA
    U< MAIL FROM:<new@example.org>|RCPT TO:<bob@example.net>|DATA
    U> 250 ok|250 ok|354 go
    C< 250 ok|250 ok|354 go
    C> hi|.
    U< hi|.
    U> 250 queued
    C< 250 queued
"""


def over(stage: Stage) -> bool:
    """Nothing is left of the session that would wait for anything."""
    return stage.clock.getDelayedCalls() == []


class Told:
    def __init__(self) -> None:
        self.done: list[Transaction] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(done.outcome, done.reply) for done in self.done]


def test_lost_between_two_messages(smtp: Make) -> None:
    before = metrics.UPSTREAM_LOST.cell("server").value
    stage = smtp().play(f"""
        U! gone
        C. open
        C> MAIL FROM:<ann@example.org>|NOOP
        {AGAIN}
        U< MAIL FROM:<ann@example.org>|NOOP
        U> 250 ok|250 ok
        C< 250 ok|250 ok
        C> QUIT
        U< QUIT
        U> 221 bye
        C< 221 bye
        U. closed
        U! gone
        C! gone
    """)
    assert stage.dialled == ["server", "server"]
    assert metrics.UPSTREAM_LOST.cell("server").value == before + 1
    assert stage.session.closed == "client quit" and over(stage)


def test_lost_again_and_again(smtp: Make) -> None:
    stage = smtp()
    for _ in range(5):
        stage.play(f"""
            U! reset
            C> VRFY x
            {AGAIN}
            U< VRFY x
            U> 252 maybe
            C< 252 maybe
        """)
    stage.relay.client_gone("")
    stage.relay.upstream_gone("")
    assert stage.clock.getDelayedCalls() == []


def test_what_asks_for_nothing_dials_nobody(smtp: Make) -> None:
    stage = smtp().play("""
        U! gone
        C> NOOP|RSET|noop x|QUIT
        C< 250 2.0.0 ok|250 2.0.0 ok|250 2.0.0 ok|221 2.0.0 bye
        C. closed
    """)
    assert stage.dialled == ["server"]


@pytest.mark.parametrize("command", ["VRFY x", "MAIL FROM:<a@b>", "RSET x", "XFOO", "ETRN x", "AUTH PLAIN"])
def test_what_needs_an_upstream_gets_one(smtp: Make, command: str) -> None:
    smtp(offer="AUTH PLAIN|250 PIPELINING", client="127.0.0.1").play(f"""
        U! gone
        C> {command}
        U> 220 hi
        U< EHLO me
        U> 250-hi|250-AUTH PLAIN LOGIN|250 PIPELINING
        U< {command}
        U> 550 no
        C< 550 no
    """)


def test_a_new_hello_is_told_instead_of_the_old_one(smtp: Make) -> None:
    smtp().play("""
        U! gone
        C> EHLO other
        U> 220 hi
        U< EHLO other
        U> 250-hi|250 SIZE 5
        C< 250-hi|250-SIZE 5|250-PIPELINING|250 CHUNKING
    """)


def test_who_said_no_hello_has_none_said(smtp: Make) -> None:
    smtp(upto="greeted").play("""
        U! gone
        C> MAIL FROM:<a@b>
        U> 220 hi
        U< MAIL FROM:<a@b>
    """)


def test_helo_and_lhlo_are_said_as_they_were(smtp: Make) -> None:
    smtp(upto="greeted").play("""
        C> helo me
        U< helo me
        U> 250 hi
        C< 250 hi
        U! gone
        C> MAIL FROM:<a@b>
        U> 220 hi
        U< helo me
        U> 250 hi
        U< MAIL FROM:<a@b>
    """)
    smtp(protocol="lmtp").play(f"""
        U! gone
        C> MAIL FROM:<a@b>
        {AGAIN.replace("EHLO", "LHLO")}
        U< MAIL FROM:<a@b>
    """)


def test_tls_with_the_new_upstream(smtp: Make) -> None:
    opening = """
        U> 220 hi
        U< EHLO weir.example
        U> 250-hi|250 STARTTLS
        U< STARTTLS
        U> 220 go
        U. tls
    """
    stage = smtp(upto="connected", upstream_tls="starttls").play(f"""
        {opening}
        C< 220 hi
        C> EHLO me
        U< EHLO me
        U> 250-hi|250 PIPELINING
        C< 250-hi|250-PIPELINING|250 CHUNKING
        U! reset
        C> MAIL FROM:<a@b>
        {opening}
        U< EHLO me
        U> 250-hi|250 PIPELINING
        U< MAIL FROM:<a@b>
    """)
    assert stage.session.upstream_tls == TLS
    stage = smtp(upto="connected", upstream_tls="starttls").play(f"""
        {opening}
        C< 220 hi
        U! reset
        C> MAIL FROM:<a@b>
        U> 220 hi
        U< EHLO weir.example
        U> 250-hi|250 HELP
        C< 421 no secure way to the server, try again later (s1)
        C. closed
        U. closed
    """)
    assert stage.session.upstream_tls is None


def test_what_was_said_before_tls_with_the_client_is_not_said_again(smtp: Make) -> None:
    smtp(starttls=True, offer="STARTTLS|250 PIPELINING").play("""
        U! gone
        C> STARTTLS
        C< 220 ready to start TLS
        C. tls
        C> EHLO inside
        U> 220 hi
        U< EHLO inside
        U> 250-hi|250 PIPELINING
        C< 250-hi|250-PIPELINING|250 CHUNKING
        U! gone
        C> MAIL FROM:<a@b>
        U> 220 hi
        U< EHLO inside
    """)


FAILURES = {
    "unreachable": ("U! unreachable", UNAVAILABLE),
    "lost before the greeting": ("U! reset", UNAVAILABLE),
    "silent": ("T+ 300", UNAVAILABLE),
    "another protocol": ("U> +OK hi", UNAVAILABLE),
    "refuses the session": ("U> 554 no", UNAVAILABLE),
    "has no time": ("U> 421 busy", "421 busy"),
    "refuses the hello": ("U> 220 hi\nU< EHLO me\nU> 550 not you", UNAVAILABLE),
    "offers less": ("U> 220 hi\nU< EHLO me\nU> 250-hi|250 PIPELINING", UNAVAILABLE),
    "lost behind the hello": ("U> 220 hi\nU< EHLO me\nU! gone", UNAVAILABLE),
}


@pytest.mark.parametrize(("rows", "said"), FAILURES.values(), ids=FAILURES.keys())
def test_no_other_upstream(smtp: Make, rows: str, said: str) -> None:
    first, then = ("", rows) if "unreachable" not in rows else (rows, "")
    stage = smtp().play(f"""
        U! gone
        {first}
        C> MAIL FROM:<a@b>|NOOP
        {then}
        C< {said}
        C. closed
        C! gone
    """)
    assert stage.session.transaction is None
    stage.relay.upstream_gone("")
    assert over(stage)


def test_a_client_that_leaves_meanwhile(smtp: Make) -> None:
    waiting: list[Any] = []
    stage = smtp().play("U! gone")
    stage.relay._dial = lambda relay, upstream: waiting.append(relay)
    stage.play("C> MAIL FROM:<a@b>\nC! gone")
    assert waiting == [stage.relay] and over(stage)
    stage = smtp().play("U! gone\nC> MAIL FROM:<a@b>\nU> 220 hi\nU< EHLO me\nC! gone\nU. closed\nU! gone")
    assert over(stage)


def test_a_session_that_retires_meanwhile(smtp: Make) -> None:
    stage = smtp().play("U! gone")
    stage.relay.retire()
    stage.play("C< 421 4.3.2 going down, try again later (s1)\nC. closed")
    stage = smtp().play(f"U! gone\nC> MAIL FROM:<a@b>\n{AGAIN}\nU< MAIL FROM:<a@b>")
    stage.relay.retire()
    stage.play(f"U! gone\nC< {ENDED}\nC. closed")


def test_lost_at_the_end_of_a_message(smtp: Make) -> None:
    """What became of it is unknown, so it is the client who must decide; what follows it is answered."""
    told = Told()
    smtp(told, upto="data").play(f"""
        C> hi|.|MAIL FROM:<new@example.org>|RCPT TO:<bob@example.net>
        U< hi|.
        U! reset
        C< {LOST_AT_END}
        {AGAIN}
        U< MAIL FROM:<new@example.org>|RCPT TO:<bob@example.net>
        U> 250 ok|250 ok
        C< 250 ok|250 ok
    """)
    assert told.outcomes == [("deferred", LOST_AT_END)]


@pytest.mark.parametrize("plugs", [(), (Told(),)], ids=["nobody looks", "a plugin"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_lost_in_a_transaction(smtp: Make, plugs: Any, after: int) -> None:
    """No 5yz: a client that hears one for a recipient gives up on him."""
    told = Told()
    group = ["MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<e@f>", "DATA"]
    said = ["250 ok"] * after + [LOST] * (4 - after)
    smtp(told, *plugs).play(f"""
        C> {"|".join(group)}
        U< {"|".join(group)}
        U> {"|".join(said[:after])}
        C< {"|".join(said[:after])}
        U! gone
        C< {"|".join(said[after:])}
        {MAIL.replace("U<", AGAIN + "U<", 1)}
    """)
    assert told.outcomes == [("deferred", LOST), ("accepted", "250 queued")]


def test_a_transaction_that_was_lost_while_nobody_spoke(smtp: Make) -> None:
    stage = smtp(upto="mail").play(
        f"""
        U! gone
        C> RCPT TO:<c@d>|DATA|BDAT 4|quit|\\
        C< {LOST}|{LOST}|{LOST}
        C> RSET|RCPT TO:<c@d>
        C< 250 2.0.0 ok
        {AGAIN}
        U< RCPT TO:<c@d>
        U> 503 need MAIL
        C< 503 need MAIL
    """.replace("quit|\\", "quit\\")
    )
    assert stage.session.state == "command"


def test_a_transaction_stays_lost_when_another_upstream_is_there(smtp: Make) -> None:
    smtp(upto="mail").play(f"""
        U! gone
        C> VRFY x
        {AGAIN}
        U< VRFY x
        U> 252 maybe
        C< 252 maybe
        C> RCPT TO:<c@d>
        C< {LOST}
        {MAIL}
    """)


def test_lost_while_a_second_mail_is_judged(smtp: Make) -> None:
    told = Told()
    smtp(told, upto="mail").play(f"""
        C> MAIL FROM:<second@b>
        U< MAIL FROM:<second@b>
        U! gone
        C< {LOST}
    """)
    assert told.outcomes == [("deferred", LOST), ("deferred", LOST)]


class Slow:
    """A plugin that thinks about whatever it is asked."""

    def __init__(self) -> None:
        self.answer: Deferred[Any] = Deferred()

    @hookimpl
    def rcpt_to(self) -> Any:
        return self.answer

    @hookimpl
    def command(self) -> Any:
        return self.answer


class SlowSender:
    def __init__(self) -> None:
        self.answer: Deferred[Any] = Deferred()

    @hookimpl
    def mail_from(self) -> Any:
        return self.answer


@pytest.mark.parametrize("verdict", [None, Reject("no")])
def test_lost_while_a_plugin_thinks(smtp: Make, verdict: Any) -> None:
    told, slow = Told(), Slow()
    stage = smtp(told, slow).play("""
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<c@d>|DATA
        U! gone
    """)
    slow.answer.callback(verdict)
    stage.play(f"C< {LOST}|{LOST}")
    assert told.outcomes == [("deferred", LOST)]
    sender = SlowSender()
    stage = smtp(told, sender).play("C> MAIL FROM:<a@b>|RSET\nU! gone")
    sender.answer.callback(verdict)
    if verdict is None:
        stage.play(f"{AGAIN}\nU< MAIL FROM:<a@b>|RSET")
    else:
        stage.play("C< 550 5.7.1 no (s1)|250 2.0.0 ok")


def test_noop_is_judged_all_the_same(smtp: Make) -> None:
    slow = Slow()
    stage = smtp(slow).play("U! gone\nC> NOOP")
    slow.answer.callback(Reject("no"))
    stage.play("C< 550 5.7.1 no (s1)")


def test_what_waits_for_its_turn_gets_it(smtp: Make) -> None:
    class Whole:
        @hookimpl
        def message(self) -> None: ...

    smtp(Whole(), upto="mail").play(f"""
        C> RCPT TO:<e@f>|DATA|NOOP
        U< RCPT TO:<e@f>
        U! gone
        C< {LOST}|{LOST}|250 2.0.0 ok
    """)
    smtp(Whole(), upto="mail").play(f"""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> a\\nb|.|MAIL FROM:<c@d>
        C< {STRAY}
        U< RSET
        U! gone
        {AGAIN}
        U< MAIL FROM:<c@d>
    """)


def test_cut_off_for_the_sake_of_a_message(smtp: Make) -> None:
    told = Told()
    smtp(told, upto="data").play(f"""
        C> a\\nb|.
        U. aborted
        C< {STRAY}
        U! gone
        {MAIL.replace("U<", AGAIN + "U<", 1)}
    """)
    assert [outcome for outcome, _ in told.outcomes] == ["rejected", "accepted"]


def test_never_two_at_once(smtp: Make) -> None:
    stage = smtp(upto="data").play(f"""
        C> a\\nb|.|MAIL FROM:<c@d>
        U. aborted
        C< {STRAY}
    """)
    stage.relay.upstream_octets(b"250 late\r\n")
    assert stage.dialled == ["server"]
    stage.play(f"U! gone\n{AGAIN}\nU< MAIL FROM:<c@d>")


UNLAWFUL: dict[str, tuple[str, str]] = {
    "in a text": (
        "C> MAIL FROM:<a@b>|DATA\nU< MAIL FROM:<a@b>|DATA\nU> 250|354\nC< 250|354\nC> hi\\",
        "U< hi\\",
    ),
    "in a hello": ("C> EHLO me", "U< EHLO me"),
}


@pytest.mark.parametrize(("said", "heard"), UNLAWFUL.values(), ids=UNLAWFUL.keys())
def test_where_it_is_not_lawful(smtp: Make, said: str, heard: str) -> None:
    smtp().play(f"{said}\n{heard}\nU! gone\nC< {ENDED}\nC. closed")


LOGIN = """
    C> AUTH PLAIN AGJvYgBzZWNyZXQ=
    U< AUTH PLAIN AGJvYgBzZWNyZXQ=
    U> 235 welcome
    C< 235 welcome
"""


def test_not_after_a_login(smtp: Make) -> None:
    offer = "AUTH PLAIN|250-PIPELINING|250 ENHANCEDSTATUSCODES"
    smtp(offer=offer, client="127.0.0.1").play(f"{LOGIN}\nU! gone\nC< {ENDED}\nC. closed")
    cut = """
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA
        U> 250 ok|250 ok|354 go
        C< 250 ok|250 ok|354 go
        C> a\\nb|.
        U. aborted
    """
    smtp(offer=offer, client="127.0.0.1").play(
        f"{LOGIN}\n{cut}\nC< {STRAY}\nU! gone\nC> NOOP\nC< {NO_OTHER}\nC. closed"
    )
    smtp(offer=offer, client="127.0.0.1").play(
        f"{LOGIN}\n{cut}\nC< {STRAY}\nC> \\0\nC< {NO_OTHER}\nC. closed"
    )


def test_not_behind_a_greeting_that_refused(smtp: Make) -> None:
    smtp(upto="connected").play("""
        U> 554 no
        C< 554 no
        U! gone
        C< 421 lost the server, try again later (s1)
        C. closed
    """)


COVERS = {
    "the same": ("PIPELINING|SIZE 10|AUTH PLAIN", "PIPELINING|SIZE 10|AUTH PLAIN", True),
    "more": ("SIZE 10|AUTH PLAIN", "DSN|SIZE 11|AUTH LOGIN PLAIN|8BITMIME", True),
    "PIPELINING is ours": ("PIPELINING|DSN", "DSN", True),
    "CHUNKING is ours": ("CHUNKING|DSN", "DSN", True),
    "but only chunks carry binary": ("CHUNKING|BINARYMIME", "BINARYMIME", False),
    "a keyword less": ("DSN|8BITMIME", "DSN", False),
    "a mechanism less": ("AUTH PLAIN LOGIN", "AUTH PLAIN", False),
    "a smaller size": ("SIZE 10", "SIZE 9", False),
    "no limit any more": ("SIZE 10", "SIZE", True),
    "a limit now": ("SIZE 0", "SIZE 1000", False),
    "another value": ("LIMITS RCPTMAX=10", "LIMITS RCPTMAX=5", False),
}


@pytest.mark.parametrize(("before", "now", "enough"), COVERS.values(), ids=COVERS.keys())
def test_what_is_enough(before: str, now: str, enough: bool) -> None:
    def keywords(text: str) -> dict[str, str]:
        return upstream_keywords(
            b"250-hi\r\n" + b"".join(b"250-%b\r\n" % word for word in octets(text)[:-2].split(b"\r\n"))
        )

    old = keywords(before)
    assert covers(keywords(now), Offer(frozenset(old), upstream=old)) is enough


GROUPS = ["NOOP", "RSET", "VRFY x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "EHLO me", "QUIT", "DATA"]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("C"), st.lists(st.sampled_from(GROUPS), min_size=1, max_size=4).map("|".join)),
            st.tuples(
                st.just("U"),
                st.sampled_from(["250 ok", "550 no", "220 hi", "421 bye", "250-hi|250 PIPELINING"]),
            ),
            st.tuples(st.just("!"), st.just("")),
        ),
        max_size=40,
    )
)
def test_every_command_has_one_answer_or_the_session_ends(steps: list[tuple[str, str]]) -> None:
    """However often upstream is lost: replies never outnumber commands, and none is missing at the end."""
    told = Told()
    with capture_logs() as logs:
        stage = Stage("smtp", [Plug("told", told)])
        assert isinstance(stage.relay, SmtpRelay)
        stage.begin()
        stage.say("upstream", b"220 hi\r\n")
        stage.client.heard = b""
        said = 0
        for who, line in steps:
            here = stage.upstream.state == "open" and stage.relay.upstream is stage.upstream
            if who == "C" and stage.client.state == "open":
                stage.say("client", octets(line))
                said += line.count("|") + 1
            elif who == "U" and here:
                stage.say("upstream", octets(line))
            elif who == "!" and "upstream" not in stage.relay._gone:
                stage.relay.upstream_gone("")
        if stage.client.state == "open" and "upstream" not in stage.relay._gone:
            stage.relay.upstream_gone("")
        heard = [line for line in stage.client.heard.split(b"\r\n")[:-1] if line[3:4] != b"-"]
        ends = [line for line in heard if line.startswith(b"421")]
        assert len(heard) - len(ends) <= said and len(ends) <= 1
        if stage.client.state == "open" and stage.relay.opening is None and stage.relay.upstream is None:
            assert len(heard) == said
        stage.relay.client_gone("")
        stage.relay.upstream_gone("")
    assert not [entry for entry in logs if entry["log_level"] == "error"]
    assert over(stage)
    assert len(told.done) == stage.session.transactions
