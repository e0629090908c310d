"""Texts that don't leave as they came: judged while they leave, put in another framing, called back."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailweir.chain.plug import Plug
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.relay.rules import Rules, SmtpRules
from mailweir.relay.smtp import intake, sending
from mailweir.relay.smtp.intake import EARLY
from mailweir.session import Address, Transaction
from mailweir.testing.play import Stage, octets, shown
from mailweir.verdict import Close, Discard, Reject, Verdict
from mailweir.wire.dots import unstuff
from mailweir.wire.smtp import Bdat, Chunk, Command, CommandReader, Text

Make = Callable[..., Stage]
LOST = "421 4.3.0 lost the server, try again later (s1)"
OURS = "354 end data with <CR><LF>.<CR><LF>"
PLAIN = "PIPELINING|250 HELP"
"""What an upstream without CHUNKING offers."""
LINE = b"x" * 62 + b"\r\n"
HEAD = b"A: b\r\n\r\n"
LONG = HEAD + LINE * (EARLY // 64)


class Judge:
    """Only judges."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.text = b""
        self.done: list[Transaction] = []

    @hookimpl(edits=False)
    def message(self, message: Message) -> Any:
        self.text = b"".join(message.pieces())
        return self.answer

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)


class Stamp:
    """Adds a field."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    @hookimpl
    def message_head(self, message: Message) -> Any:
        message.headers.add("X-Seen", "yes")
        return self.answer


class Whole:
    """Might edit."""

    @hookimpl
    def message(self, message: Message) -> None:
        assert b"".join(message.body()) is not None


# By BDAT to an upstream that knows DATA alone.


def test_chunks_become_a_text(smtp: Make) -> None:
    smtp(upto="mail", offer=PLAIN).play(r"""
        C> BDAT 9|A: b||.\
        U< DATA
        U> 354 go
        U< A: b||..\
        C< 250 9 octets received
        C> NOOP
        C< 250 ok
        C> BDAT 3 LAST|.x\
        U< .x\
        C> yNOOP
        U< y|.
        U> 250 queued
        C< 250 queued
        U< NOOP
    """)


TEXTS = {
    "nothing": ("BDAT 0 LAST", "."),
    "an empty chunk first": ("BDAT 0|BDAT 4 LAST|hi|\\", "hi|."),
    "the last one empty": ("BDAT 4|hi|BDAT 0 LAST", "hi|."),
    "a last line without CRLF": ("BDAT 2 LAST|hi\\", "hi|."),
    "dots": ("BDAT 9 LAST|.|..a|b\\", "..|...a|b|."),
    "a pair cut in two": ("BDAT 3|hi\\rBDAT 2 LAST|\\n.\\", "hi|..|."),
    "the end of a text": ("BDAT 6|a|.|BDAT 0 LAST", "a|..|."),
}


@pytest.mark.parametrize(("said", "heard"), TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("plugin", [None, Whole, Judge])
@pytest.mark.parametrize("cut", [True, False])
def test_what_becomes_of_chunks(
    smtp: Make, said: str, heard: str, plugin: Callable[[], Any] | None, cut: bool
) -> None:
    stage = smtp(*([plugin()] if plugin else []), upto="mail", offer=PLAIN)
    wire = octets(said)
    for piece in [wire[at : at + 1] for at in range(len(wire))] if cut else [wire]:
        stage.say("client", piece)
        if stage.upstream.heard == b"DATA\r\n":
            stage.upstream.heard = b""
            stage.say("upstream", b"354 go\r\n")
    assert all(line.startswith(b"250 ") for line in stage.client.heard.splitlines())
    stage.client.heard = b""
    stage.play(f"""
        U< {heard}
        U> 250 queued
        C< 250 queued
    """)


def test_a_refusal_of_data_answers_the_chunk(smtp: Make) -> None:
    smtp(upto="mail", offer=PLAIN).play(r"""
        C> BDAT 6|QU\
        U< DATA
        U> 451 not now
        C> IT|BDAT 2 LAST|xxNOOP
        C< 451 not now
        U< RSET
        U> 250 ok
        C< 503 need MAIL first (s1)
        U< NOOP
    """)


@pytest.mark.parametrize("reply", ["250 ok", "334 what"])
def test_upstream_is_out_of_step_at_data(smtp: Make, reply: str) -> None:
    smtp(upto="mail", offer=PLAIN).play(f"""
        C> BDAT 2|xx\\
        U< DATA
        U> {reply}
        U. aborted
        C< 451 local error, try again later (s1)
    """)


def test_who_closes_his_half_behind_a_text_awaits_its_answer(smtp: Make) -> None:
    """As Exim does: QUIT with the end of its text, and then nothing more."""
    stage = smtp(upto="mail", offer=PLAIN).play("""
        C> BDAT 4 LAST|hi|QUIT
        U< DATA
    """)
    assert stage.relay.owes_answer()
    stage.play("""
        U> 354 go
        U< hi|.
        U> 250 queued
        C< 250 queued
        U< QUIT
    """)


def test_who_closes_his_half_in_a_text_has_given_it_up(smtp: Make) -> None:
    stage = smtp(upto="mail", offer=PLAIN).play("""
        C> BDAT 9 LAST|hi|QUIT
        U< DATA
    """)
    assert not stage.relay.owes_answer()


def test_no_recipients_no_data(smtp: Make) -> None:
    smtp(offer=PLAIN).play(r"""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 6 LAST|QUIT|NOOP
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>
        U> 250 ok|550 no
        C< 250 ok|550 no|554 no valid recipients (s1)
        U< NOOP
    """)


def test_one_command_at_a_time_and_chunks(smtp: Make) -> None:
    smtp(upto="greeted").play(r"""
        C> EHLO me
        U< EHLO me
        U> 250 hi
        C< 250-hi|250-PIPELINING|250 CHUNKING
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 2|xxBDAT 2 LAST|yyNOOP
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        U< RCPT TO:<c@d>
        U> 250 ok
        C< 250 ok
        U< DATA
        U> 354 go
        C< 250 2 octets received
        U< xxyy|.
        U> 250 queued
        C< 250 queued
        U< NOOP
    """)


def test_lmtp_replies_once_for_each_recipient(smtp: Make) -> None:
    smtp(upto="mail", offer=PLAIN, protocol="lmtp").play(r"""
        C> RCPT TO:<c@d>
        U< RCPT TO:<c@d>
        U> 250 ok
        C< 250 ok
        C> BDAT 2|xxBDAT 0 LAST
        U< DATA
        U> 354 go
        U< xx|.
        C< 250 2 octets received
        U> 250 one
        C< 250 one
        U> 452 two
        C< 452 two
    """)


AMID = {
    "MAIL FROM:<x@y>": "503 in the middle of a message; send the rest of it, or RSET (s1)",
    "RCPT TO:<x@y>": "503 in the middle of a message; send the rest of it, or RSET (s1)",
    "DATA": "503 in the middle of a message; send the rest of it, or RSET (s1)",
    "VRFY x": "503 in the middle of a message; send the rest of it, or RSET (s1)",
    "XFOO": "503 in the middle of a message; send the rest of it, or RSET (s1)",
    "STARTTLS": "503 in the middle of a message; send the rest of it, or RSET (s1)",
    r"N\0P": "500 not a command line (s1)",
    "NOOP": "250 ok",
}


@pytest.mark.parametrize(("command", "reply"), AMID.items())
def test_nothing_is_taken_for_text_between_chunks(smtp: Make, command: str, reply: str) -> None:
    smtp(upto="mail", offer=PLAIN).play(rf"""
        C> BDAT 4|hi|{command}
        U< DATA
        U> 354 go
        U< hi|\
        C< 250 4 octets received|{reply}
        C> BDAT 0 LAST
        U< .
    """)


@pytest.mark.parametrize("command", ["RSET", "QUIT", "EHLO me"])
def test_a_transaction_that_ends_between_chunks(smtp: Make, command: str) -> None:
    judge = Judge()
    stage = smtp(upto="mail", offer=PLAIN).play(r"""
        C> BDAT 4|hi|\
        U< DATA
        U> 354 go
        U< hi|\
        C< 250 4 octets received
    """)
    stage.say("client", command.encode() + b"\r\n")
    assert stage.upstream.state == "aborted" and not stage.upstream.heard
    assert stage.client.heard[:3] in (b"221", b"421", b"250", b"")
    assert not judge.done


@pytest.mark.parametrize("row", ["C! gone", "T+ 400"])
def test_a_client_that_leaves_between_chunks(smtp: Make, row: str) -> None:
    stage = smtp(upto="mail", offer=PLAIN).play(r"""
        C> BDAT 4|hi|\
        U< DATA
        U> 354 go
        U< hi|\
        C< 250 4 octets received
    """)
    if row[0] == "C":
        stage.play(row)
    else:
        stage.play(f"""
            {row}
            C< 421 idle for too long (s1)
        """)
    assert stage.upstream.state == "aborted"


def test_upstream_that_is_silent_at_a_hidden_data(smtp: Make) -> None:
    smtp(upto="mail", offer=PLAIN, upstream_reply=60.0).play(r"""
        C> BDAT 4|hi|\
        U< DATA
        T+ 61
        U. aborted
        C< 421 lost the server, try again later (s1)
        C. closed
    """)


def test_a_stray_in_a_chunk_that_goes_up_by_data(smtp: Make) -> None:
    smtp(upto="mail", offer=PLAIN).play(r"""
        C> BDAT 4|a|b\
        U< DATA
        U> 354 go
        U< a|b\
        C< 250 4 octets received
        C> BDAT 5 LAST|\n.|b\
        U. aborted
        C< 550 CR or LF alone in the message; lines end in CRLF (s1)
    """)


def test_upstream_has_heard_enough_between_chunks(smtp: Make) -> None:
    smtp(upto="mail", offer=PLAIN).play(r"""
        C> BDAT 4|hi|\
        U< DATA
        U> 354 go
        U< hi|\
        C< 250 4 octets received
        U> 552 too big
        U. aborted
        C> BDAT 6 LAST|QUIT|NOOP
        C< 552 too big|250 ok
    """)


def test_a_trace_goes_on_top(smtp: Make) -> None:
    stage = smtp(upto="mail", offer=PLAIN, smtp=SmtpRules(trace="received"))
    stage.play(r"""
        C> BDAT 6 LAST|A: b|\
        U< DATA
    """).say("upstream", b"354 go\r\n")
    heard, stage.upstream.heard = stage.upstream.heard, b""
    assert heard.startswith(b"Received: from me ") and heard.endswith(b"\r\nA: b\r\n.\r\n")


def test_loops_are_seen_in_chunks_that_go_up_by_data(smtp: Make) -> None:
    stage = smtp(upto="mail", offer=PLAIN, smtp=SmtpRules(trace="received"))
    text = b"Received: x\r\n" * 101
    stage.say("client", b"BDAT %d LAST\r\n" % len(text) + text)
    stage.say("upstream", b"354 go\r\n")
    assert stage.client.heard.startswith(b"554 ") and stage.upstream.state == "aborted"


def test_dropped_while_chunks_come(smtp: Make) -> None:
    """Who is told that a message was taken hears it at its end, and not at a chunk."""

    class Drop:
        @hookimpl
        def message_head(self) -> Discard:
            return Discard("spam")

    smtp(Drop(), upto="mail").play(r"""
        C> BDAT 10|A: b||hiBDAT 5|you|\
        C< 250 2.0.0 10 octets received|250 2.0.0 5 octets received
        C> BDAT 0 LAST
        C< 250 2.0.0 ok
        C> MAIL FROM:<x@y>
        U< RSET
    """)


def test_judged_by_its_head_and_streamed_in_chunks(smtp: Make) -> None:
    stage = smtp(Stamp(), upto="mail")
    stage.say("client", b"BDAT %d\r\n" % (len(HEAD) + 2) + HEAD + b"hi")
    stage.play("C< 250 2.0.0 10 octets received")
    stage.say("client", b"BDAT %d LAST\r\n" % len(LONG) + LONG[:-1])
    size = len(b"X-Seen: yes\r\n" + HEAD) + 2 + len(LONG) - 1
    sent, stage.upstream.heard = stage.upstream.heard, b""
    assert sent == b"BDAT %d\r\nX-Seen: yes\r\n" % size + HEAD + b"hi" + LONG[:-1]
    stage.say("client", LONG[-1:])
    stage.play(r"""
        U> 250 more
        U< BDAT 1 LAST|\n\
        U> 250 queued
        C< 250 queued
    """)


# Its end withheld.


def began(stage: Stage, said: bytes = LONG) -> Stage:
    """A long text has begun, by DATA to us."""
    stage.play(f"""
        C> DATA
        C< {OURS}
    """)
    stage.say("client", said)
    return stage


def test_a_text_leaves_before_it_is_judged_and_ends_behind_it(smtp: Make) -> None:
    answer: Deferred[Any] = Deferred()
    judge = Judge(answer)
    stage = began(smtp(judge, upto="mail"), LONG[:-2])
    sent, stage.upstream.heard = stage.upstream.heard, b""
    assert sent == b"BDAT %d\r\n" % (len(LONG) - 2) + LONG[:-2]
    stage.play(r"""
        C> |.|NOOP
    """)
    assert judge.text == LONG
    answer.callback(None)
    stage.play(r"""
        U> 250 more
        U< BDAT 2 LAST||\
        U> 250 2.0.0 queued
        C< 250 2.0.0 queued
        U< NOOP
    """)
    (done,) = judge.done
    assert (done.outcome, done.size) == ("accepted", len(LONG))
    assert stage.relay.rules.spool.used == 0


VERDICTS: dict[str, tuple[Verdict, str, str]] = {
    "reject": (Reject("no"), "550 5.7.1 no (s1)", "rejected"),
    "discard": (Discard("spam"), "250 2.0.0 ok", "discarded"),
}


@pytest.mark.parametrize(("verdict", "reply", "outcome"), VERDICTS.values(), ids=VERDICTS.keys())
def test_by_bdat_it_is_called_back(smtp: Make, verdict: Verdict, reply: str, outcome: str) -> None:
    judge = Judge(verdict)
    stage = began(smtp(judge, upto="mail"))
    stage.upstream.heard = b""
    stage.play(f"""
        C> .|MAIL FROM:<x@y>
        U< RSET
        U> 250 more
        C< {reply}
        U> 250 ok
        U< MAIL FROM:<x@y>
        U> 250 ok
        C< 250 ok
    """)
    assert [done.outcome for done in judge.done] == [outcome]
    assert stage.relay.rules.spool.used == 0


@pytest.mark.parametrize(("verdict", "reply", "outcome"), VERDICTS.values(), ids=VERDICTS.keys())
def test_by_data_its_connection_ends(smtp: Make, verdict: Verdict, reply: str, outcome: str) -> None:
    judge = Judge(verdict)
    stage = began(smtp(judge, upto="mail", offer="PIPELINING|250 ENHANCEDSTATUSCODES"))
    stage.play("U< DATA").say("upstream", b"354 go\r\n")
    sent, stage.upstream.heard = stage.upstream.heard, b""
    assert sent == LONG[:-2]
    stage.play(f"""
        C> .
        U< |\\
        U. aborted
        C< {reply}
    """)
    assert [done.outcome for done in judge.done] == [outcome]


def test_closed_while_it_leaves(smtp: Make) -> None:
    stage = began(smtp(Judge(Close("bye")), upto="mail"))
    stage.upstream.heard = b""
    stage.play("""
        U> 250 more
        C> .
        C< 421 4.7.0 bye (s1)
        C. closed
        U. closed
    """)


def test_what_is_short_is_judged_before_any_of_it_leaves(smtp: Make) -> None:
    smtp(Judge(Reject("no")), upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||hi|.
        C< 550 5.7.1 no (s1)
    """)
    smtp(Judge(), upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||hi|.
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 queued
        C< 250 queued
    """)


def logged_in(stage: Stage) -> Stage:
    return stage.play("""
        C> AUTH PLAIN AGFubgBzZWNyZXQ=
        U< AUTH PLAIN AGFubgBzZWNyZXQ=
        U> 235 ok
        C< 235 ok
        C> MAIL FROM:<ann@example.org>
        U< MAIL FROM:<ann@example.org>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<bob@example.net>
        U< RCPT TO:<bob@example.net>
        U> 250 ok
        C< 250 ok
    """)


def test_a_login_can_t_be_said_again_so_only_chunks_may_leave_early(smtp: Make) -> None:
    plain = smtp(Judge(), offer="AUTH PLAIN|250 PIPELINING", client="127.0.0.1")
    assert began(logged_in(plain)).upstream.heard == b""
    chunks = smtp(Judge(), offer="AUTH PLAIN|250-CHUNKING|250 PIPELINING", client="127.0.0.1")
    assert began(logged_in(chunks)).upstream.heard.startswith(b"BDAT ")


def test_head_edited_text_streamed_and_end_withheld(smtp: Make) -> None:
    stage = began(smtp(Stamp(), Judge(), upto="mail"))
    sent, stage.upstream.heard = stage.upstream.heard, b""
    assert sent.partition(b"\r\n")[2] == b"X-Seen: yes\r\n" + LONG[:-2]
    stage.play(r"""
        U> 250 more
        C> .
        U< BDAT 2 LAST||\
    """)


class Rewrites:
    """Sends everything to Zoe."""

    @hookimpl
    def message_head(self, message: Message) -> None:
        message.envelope.recipients[0].address = "zoe@example.net"


REPLAYED = """
    U< RSET|MAIL FROM:<ann@example.org>|RCPT TO:<zoe@example.net>
    U> 250 ok|250 ok|250 ok
"""


def test_upstream_is_asked_anew_before_a_text_leaves_early(smtp: Make) -> None:
    stage = began(smtp(Rewrites(), Judge(), upto="mail"))
    stage.play(f"{REPLAYED}\nU< BDAT {len(LONG) - 2}|{shown(LONG[:-2])}")
    stage.play(r"""
        U> 250 more
        C> .
        U< BDAT 2 LAST||\
    """)


def test_upstream_is_asked_anew_and_refuses(smtp: Make) -> None:
    stage = began(smtp(Rewrites(), Judge(), upto="mail"))
    stage.play("""
        U< RSET|MAIL FROM:<ann@example.org>|RCPT TO:<zoe@example.net>
        U> 250 ok|250 ok|550 no such user
        C> more|.
        C< 550 no such user
    """)


def test_chunks_of_a_message_whose_recipient_was_changed(smtp: Make) -> None:
    smtp(Rewrites(), upto="mail").play(rf"""
        C> BDAT 8|A: b||BDAT 4 LAST|hi|\
        {REPLAYED}
        C< 250 2.0.0 8 octets received
        U< BDAT 12 LAST|A: b||hi|\
        U> 250 queued
        C< 250 queued
    """)


def test_who_only_judges_can_t_change_recipients(smtp: Make) -> None:
    class Liar:
        @hookimpl(edits=False)
        def message(self, message: Message) -> None:
            message.envelope.add("zoe@example.net")

    smtp(Liar(), upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||hi|.
        C< 451 4.3.0 local error (s1)
    """)


def test_who_only_judges_can_t_edit(smtp: Make) -> None:
    """It is that plugin's failure, wherever the message is by now."""

    class Liar:
        @hookimpl(edits=False)
        def message(self, message: Message) -> None:
            message.headers.add("X-Lost", "yes")

    for text in (LONG, HEAD):
        stage = began(smtp(Liar(), upto="mail"), text)
        stage.upstream.heard = b""
        stage.say("client", b".\r\n")
        if text is LONG:
            stage.say("upstream", b"250 more\r\n")
        assert stage.client.heard == b"451 4.3.0 local error (s1)\r\n"
        assert b"LAST" not in stage.upstream.heard


def test_upstream_refuses_a_chunk(smtp: Make) -> None:
    stage = began(smtp(Judge(), upto="mail"))
    stage.upstream.heard = b""
    stage.play("""
        U> 552 too big
        C> more|.
        C< 552 too big
        C> MAIL FROM:<x@y>
        U< RSET
    """)
    assert stage.relay.rules.spool.used == 0


def test_the_last_chunk_waits_for_the_answers_to_the_others(smtp: Make) -> None:
    """Else upstream might take a message of which it has refused a part."""
    stage = began(smtp(Judge(), upto="mail"))
    stage.upstream.heard = b""
    stage.play("""
        C> .|NOOP
        U> 451 no room
        C< 451 no room
        U< NOOP
    """)


def test_many_chunks_wait_for_answers(smtp: Make) -> None:
    stage = began(smtp(Judge(), upto="mail"))
    for _ in range(20):
        stage.say("client", LONG)
    assert stage.upstream.heard.count(b"BDAT ") == 8
    for _ in range(7):
        stage.say("upstream", b"250 ok\r\n")
    assert stage.upstream.heard.count(b"BDAT ") == 8
    stage.say("upstream", b"250 ok\r\n")
    assert stage.upstream.heard.count(b"BDAT ") == 9  # what has been waiting here goes in one


def test_upstream_is_lost_before_the_end_was_judged(smtp: Make) -> None:
    """Nobody is left without an answer: neither who awaits a verdict, nor who awaits answers to chunks."""
    stage = smtp(Judge(Deferred()), upto="mail").play("""
        C> BDAT 4 LAST|hi|
    """)
    stage.play(f"""
        U! reset
        C< {LOST}
        C. closed
    """)
    stage = smtp(Judge(), upto="mail")
    stage.say("client", b"BDAT %d\r\n" % len(LONG) + LONG + b"BDAT 0 LAST\r\n")
    stage.upstream.heard = b""
    stage.play(f"""
        U! reset
        C< {LOST}
        C. closed
    """)


def test_upstream_is_lost_between_chunks(smtp: Make) -> None:
    stage = smtp(Judge(), upto="mail")
    for _ in range(9):
        stage.say("client", b"BDAT %d\r\n" % len(LONG) + LONG)
    stage.say("client", b"BDAT 4 LAST\r\nhi\r\n")
    stage.upstream.heard = stage.client.heard = b""
    stage.say("client", b"NOOP\r\n")
    stage.relay.upstream_gone("reset")
    assert stage.client.heard.endswith(b"451 4.3.0 lost the server, try again later (s1)\r\n250 2.0.0 ok\r\n")


def test_an_upstream_of_one_command_at_a_time(smtp: Make) -> None:
    stage = smtp(Judge(), upto="greeted").play("""
        C> EHLO me
        U< EHLO me
        U> 250-x|250 CHUNKING
        C< 250-x|250-CHUNKING|250 PIPELINING
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<c@d>
        U< RCPT TO:<c@d>
        U> 250 ok
        C< 250 ok
    """)
    began(stage).say("client", LONG)
    assert stage.upstream.heard.count(b"BDAT ") == 1
    stage.say("upstream", b"250 ok\r\n")
    assert stage.upstream.heard.count(b"BDAT ") == 2


def test_a_client_that_leaves_while_its_text_is_judged(smtp: Make) -> None:
    for offer in ("PIPELINING|250 CHUNKING", PLAIN):
        answer: Deferred[Any] = Deferred()
        stage = began(smtp(Judge(answer), upto="mail", offer=offer))
        if offer is PLAIN:
            stage.say("upstream", b"354 go\r\n")
        stage.say("client", b".\r\n")
        stage.upstream.heard = b""
        stage.play("C! gone")
        assert stage.upstream.state in ("closed", "aborted") and not stage.upstream.heard
        assert stage.relay.rules.spool.used == 0


# CR and LF alone, and what they become.


def newlines(how: str) -> dict[str, Any]:
    return {"smtp": SmtpRules(bare_newline=how)}  # type: ignore[arg-type]


def test_chunks_that_are_mended_get_other_sizes(smtp: Make) -> None:
    smtp(upto="mail", **newlines("normalize")).play(r"""
        C> BDAT 4|a\nb\r\
        C< 250 2.0.0 4 octets received
        C> BDAT 4 LAST|\n\n.\n\
        U< BDAT 11 LAST|a|b||.|\
        U> 250 queued
        C< 250 queued
    """)


def test_chunks_that_pass_keep_their_sizes(smtp: Make) -> None:
    smtp(upto="mail", **newlines("pass")).play(r"""
        C> BDAT 5 LAST|a\nb\r\r\
        U< BDAT 5 LAST|a\nb\r\r\
    """)


# Any text, in any framing, through any way, to any upstream: what arrives is what was sent.


class Upstream:
    """A server that keeps what it is sent, by its own reading of the wire."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.reader = CommandReader()
        self.messages: list[bytes] = []
        self.text = b""
        self.last = False
        self.by_data = False

    def answer(self) -> None:
        """Read all that is there, and answer it."""
        while self.stage.upstream.heard:
            heard, self.stage.upstream.heard = self.stage.upstream.heard, b""
            self.reader.feed(heard)
            while (event := self.reader.next()) is not None:
                self._answer(event)

    def _answer(self, event: Any) -> None:
        if isinstance(event, Text | Chunk):
            self.text += event.octets
            if isinstance(event, Text) and event.end:
                self._queue(unstuff(self.text, at_line_start=True))
            elif isinstance(event, Chunk) and event.end and self.last:
                self._queue(self.text)
            elif isinstance(event, Chunk) and event.end:
                self._say(b"250 chunk")
            return
        assert isinstance(event, Command) and event.verb in ("DATA", "BDAT", "RSET")
        if isinstance(event, Bdat):
            self.last = event.last
        elif event.verb == "DATA":
            self.by_data = True
            self.reader.expect_text()
            self._say(b"354 go")
        else:
            self.text = b""
            self._say(b"250 ok")

    def _queue(self, text: bytes) -> None:
        self.messages.append(text)
        self.text = b""
        self._say(b"250 queued")

    def _say(self, reply: bytes) -> None:
        self.stage.say("upstream", reply + b"\r\n")


def ready(plugins: list[object], *, chunking: bool, bare_newline: str) -> Stage:
    plugs = [Plug(f"plug{number}", plugin) for number, plugin in enumerate(plugins)]
    rules = Rules(upstream="server", **newlines(bare_newline))
    stage = Stage("smtp", plugs, rules, client=Address("192.0.2.1", 40000))
    offer = "250-CHUNKING|250 PIPELINING" if chunking else "250-PIPELINING|250 CHUNKING"
    return stage.play(f"""
        U> 220 hi
        C< 220 hi
        C> EHLO me
        U< EHLO me
        U> 250-x|{offer if chunking else "250 PIPELINING"}
        C< 250-x|{offer}
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<c@d>
        U< RCPT TO:<c@d>
        U> 250 ok
        C< 250 ok
    """)


OCTETS = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"a", b"\0", b"A: b"]), max_size=30)
WAYS: dict[str, list[Callable[[], object]]] = {
    "pass": [],
    "head": [Stamp],
    "end": [Judge],
    "head, end": [Stamp, Judge],
    "whole": [Whole],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@given(
    text=OCTETS.map(b"".join),
    chunks=st.none() | st.lists(st.integers(0, 60), max_size=4),
    cuts=st.lists(st.integers(0, 200), max_size=6),
    chunking=st.booleans(),
    bare_newline=st.sampled_from(["reject", "normalize"]),
)
def test_what_arrives_is_what_was_sent(
    way: list[Callable[[], object]],
    text: bytes,
    chunks: list[int] | None,
    cuts: list[int],
    chunking: bool,
    bare_newline: str,
) -> None:
    with mock.patch.object(intake, "EARLY", 8), mock.patch.object(sending, "CHUNK", 8):
        _arrives(
            ready([plugin() for plugin in way], chunking=chunking, bare_newline=bare_newline),
            *(text, chunks, cuts, bare_newline),
        )


def _arrives(stage: Stage, text: bytes, chunks: list[int] | None, cuts: list[int], bare_newline: str) -> None:
    upstream = Upstream(stage)
    if chunks is None:
        text = text.replace(b"\r\n.\r\n", b"").removeprefix(b".\r\n") + b"\r\n"
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        wire = (b"." if stuffed.startswith(b".") else b"") + stuffed + b".\r\n"
        stage.say("client", b"DATA\r\n")
        upstream.answer()
    else:
        wire, rest = b"", text
        for size in chunks:
            chunk, rest = rest[:size], rest[size:]
            wire += b"BDAT %d\r\n" % len(chunk) + chunk
        wire += b"BDAT %d LAST\r\n" % len(rest) + rest
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    for start, stop in pairwise(edges):
        stage.say("client", wire[start:stop])
        upstream.answer()
    wanted = expected(text, bare_newline)
    said = stage.client.heard.splitlines()[-1]
    if wanted is None:
        assert b"\n550 " in b"\n" + stage.client.heard and not said.startswith(b"2")
        assert upstream.messages == []
    else:
        assert said == b"250 queued"
        (arrived,) = upstream.messages
        arrived = arrived.removeprefix(b"X-Seen: yes\r\n")
        # DATA can't carry a last line without CRLF
        assert arrived == wanted or (upstream.by_data and arrived == wanted + b"\r\n")
    assert stage.relay.rules.spool.used == 0


def expected(text: bytes, bare_newline: str) -> bytes | None:
    """What may arrive of `text`; None: nothing."""
    bare = text.replace(b"\r\n", b"")
    if b"\r" in bare or (b"\n" in bare and bare_newline == "reject"):
        return None
    text = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return None if re.search(rb"(^|\n)\0+\.\0*\r", text) else text
