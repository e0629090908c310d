"""BDAT: chunks are octets, whatever becomes of their command."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir.envelope import Recipient
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.session import Transaction
from mailweir.testing.play import Stage, octets
from mailweir.verdict import Close, Discard, Reject

Make = Callable[..., Stage]
STRAY = "550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)"


class Whole:
    def __init__(self, answer: Any = None, field: bool = False) -> None:
        self.answer = answer
        self.field = field
        self.text = b""
        self.done: list[Transaction] = []

    @hookimpl
    def message(self, message: Message) -> Any:
        self.text = b"".join(message.pieces())
        if self.field:
            message.headers.add("X-Seen", "yes")
        return self.answer

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)


class Evil:
    """Refuses or drops recipients at evil.example."""

    def __init__(self, verdict: Any) -> None:
        self.verdict = verdict

    @hookimpl
    def rcpt_to(self, recipient: Recipient) -> Any:
        return self.verdict if recipient.domain == "evil.example" else None


def test_chunks_pass_one_to_one(smtp: Make) -> None:
    smtp(upto="mail").play(r"""
        C> BDAT 8|A: b||\
        U< BDAT 8|A: b||\
        C> BDAT 4 LAST|h\
        U< BDAT 4 LAST|h\
        U> 250 2.0.0 8 octets
        C< 250 2.0.0 8 octets
        C> i|NOOP
        U< i|\
        U> 250 2.0.0 queued
        C< 250 2.0.0 queued
        U< NOOP
    """)


def test_the_first_group_of_a_client_in_a_hurry(smtp: Make) -> None:
    smtp().play(r"""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 4 LAST|hi|QUIT
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 4 LAST|hi|\
        U> 250 ok|250 ok|250 queued
        C< 250 ok|250 ok|250 queued
        U< QUIT
    """)


def test_a_refused_chunk_is_not_commands(smtp: Make) -> None:
    smtp().play(r"""
        C> BDAT 6|QUIT|NOOP
        C< 503 5.5.1 need MAIL first (s1)
        U< NOOP
        U> 250 ok
        C< 250 ok
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 6|QUIT|NOOP
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 6|QUIT|NOOP
        U> 250 ok|550 no|554 no recipients|250 ok
        C< 250 ok|550 no|554 no recipients|250 ok
    """)


def test_chunking_that_was_not_offered_never_goes_up(smtp: Make) -> None:
    smtp(upto="greeted").play(r"""
        C> HELO me
        U< HELO me
        U> 250 hi
        C< 250 hi
        C> BDAT 6|QUIT|BDAT 0 LAST|NOOP
        C< 503 CHUNKING was not offered (s1)|503 CHUNKING was not offered (s1)
        U< NOOP
    """)


def test_a_chunk_of_unknown_size_ends_the_session(smtp: Make) -> None:
    smtp(upto="mail").play(r"""
        C> NOOP|BDAT abc|MAIL FROM:<evil@x>
        U< NOOP
        U> 250 ok
        C< 250 ok|501 5.5.4 BDAT takes a size and maybe LAST (s1)
        C. closed
        U. closed
    """)


def test_one_command_at_a_time_where_upstream_wants_it(smtp: Make) -> None:
    stage = smtp(upto="greeted").play("""
        C> EHLO me
        U< EHLO me
        U> 250-x|250 CHUNKING
        C< 250-x|250-CHUNKING|250 PIPELINING
    """)
    stage.play(r"""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 2|xxBDAT 2 LAST|yyNOOP
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        U< RCPT TO:<c@d>
        U> 250 ok
        C< 250 ok
        U< BDAT 2|xx\
        U> 250 ok
        C< 250 ok
        U< BDAT 2 LAST|yy\
        U> 250 queued
        C< 250 queued
        U< NOOP
    """)


def test_data_behind_bdat(smtp: Make) -> None:
    smtp(upto="mail").play(r"""
        C> BDAT 2|xxDATA
        U< BDAT 2|xx\
        U> 250 ok
        C< 250 ok|503 5.5.1 BDAT and DATA can't be mixed (s1)
    """)


@pytest.mark.parametrize("chunks", [r"BDAT 4|a\nb\r", r"BDAT 2|a\rBDAT 1|b", r"BDAT 2 LAST|a\r"])
def test_stray_cr_and_lf(smtp: Make, chunks: str) -> None:
    stage = smtp(upto="mail")
    stage.say("client", octets(chunks + "\\"))
    assert stage.upstream.state == "aborted"
    assert not stage.upstream.heard.endswith(b"LAST\r\na\r")
    stage.upstream.heard = b""
    said = stage.client.heard.splitlines()
    assert said[-1].decode() == STRAY
    assert all(line.startswith(b"451 4.3.0 ") for line in said[:-1])
    stage.client.heard = b""
    stage.play("""
        U! gone
        C> NOOP
        C< 250 2.0.0 ok
    """)


@pytest.mark.parametrize("empty", ["", "BDAT 0|"])
def test_an_empty_last_chunk_does_not_end_a_text_that_was_objected_to(smtp: Make, empty: str) -> None:
    """Octets that come with the command of a chunk can be looked at first. Here there are none."""
    stage = smtp(upto="mail")
    stage.say("client", octets(rf"BDAT 2|a\r{empty}BDAT 0 LAST"))
    assert stage.upstream.state == "aborted" and b"LAST" not in stage.upstream.heard
    assert stage.client.heard.splitlines()[-1].decode() == STRAY


def test_a_pair_may_be_cut_in_two(smtp: Make) -> None:
    smtp(upto="mail").play(r"""
        C> BDAT 2|a\rBDAT 2 LAST|\nb\
        U< BDAT 2|a\rBDAT 2 LAST|\nb\
        U> 250 ok|250 queued
        C< 250 ok|250 queued
    """)


def test_binary_has_no_lines(smtp: Make) -> None:
    stage = smtp(offer="PIPELINING|250-CHUNKING|250 BINARYMIME")
    stage.play(r"""
        C> MAIL FROM:<a@b> BODY=BINARYMIME|RCPT TO:<c@d>|BDAT 4 LAST|\n\r\0\n\
        U< MAIL FROM:<a@b> BODY=BINARYMIME|RCPT TO:<c@d>|BDAT 4 LAST|\n\r\0\n\
        U> 250 ok|250 ok|250 queued
        C< 250 ok|250 ok|250 queued
        C> MAIL FROM:<a@b> BODY=BINARYMIME|RCPT TO:<c@d>|DATA
        U< MAIL FROM:<a@b> BODY=BINARYMIME|RCPT TO:<c@d>
        U> 250 ok|250 ok
        C< 250 ok|250 ok|503 BDAT and DATA can't be mixed (s1)
    """)


def test_a_chunk_too_many(smtp: Make) -> None:
    smtp(upto="mail", message_size=3).play(r"""
        C> BDAT 2|xxBDAT 2|yyNOOP
        U< BDAT 2|xxBDAT 2|\
        U. aborted
        C< 451 4.3.0 local error, try again later (s1)|552 5.3.4 message too big (s1)
        C< 250 2.0.0 ok
    """)


def test_collected_and_judged(smtp: Make) -> None:
    whole = Whole(field=True)
    smtp(whole, upto="mail").play(r"""
        C> BDAT 9|A: b||.\
        C< 250 2.0.0 9 octets received
        C> BDAT 4 LAST|.x\
        C> |NOOP
        U< BDAT 26 LAST|X-Seen: yes|A: b||..x|\
        U> 250 2.0.0 queued
        C< 250 2.0.0 queued
        U< NOOP
    """)
    assert whole.text == b"A: b\r\n\r\n..x\r\n"
    (done,) = whole.done
    assert (done.outcome, done.size) == ("accepted", 13)


def test_judged_later(smtp: Make) -> None:
    answer: Deferred[Any] = Deferred()
    stage = smtp(Whole(answer), upto="mail").play(r"""
        C> BDAT 4 LAST|hi|NOOP
    """)
    answer.callback(None)
    stage.play(r"""
        U< BDAT 4 LAST|hi|\
        U> 250 queued
        C< 250 queued
        U< NOOP
    """)


def test_upstream_is_lost_while_the_last_chunk_is_judged(smtp: Make) -> None:
    """Without an answer the client would take the next reply, to something else, for this one."""
    answer: Deferred[Any] = Deferred()
    smtp(Whole(answer), upto="mail").play("""
        C> BDAT 4 LAST|hi|MAIL FROM:<c@d>
        U! reset
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
    """)


def test_refused_at_the_last_chunk(smtp: Make) -> None:
    whole = Whole(Reject("no"))
    smtp(whole, upto="mail").play("""
        C> BDAT 2|xxBDAT 0 LAST|BDAT 2 LAST|yyNOOP
        C< 250 2.0.0 2 octets received|550 5.7.1 no (s1)
        U< RSET
        U> 250 ok
        C< 503 5.5.1 need MAIL first (s1)
        U< NOOP
    """)
    assert [done.outcome for done in whole.done] == ["rejected"]


def test_refused_in_the_middle(smtp: Make) -> None:
    smtp(Whole(), upto="mail").play(rf"""
        C> BDAT 2|x\nBDAT 2|yyNOOP
        C< {STRAY}
        U< RSET
        U> 250 ok
        C< 503 5.5.1 need MAIL first (s1)
        U< NOOP
    """)


def test_closed_at_the_last_chunk(smtp: Make) -> None:
    smtp(Whole(Close("bye")), upto="mail").play("""
        C> BDAT 2 LAST|xxNOOP
        C< 421 4.7.0 bye (s1)
        C. closed
        U. closed
    """)


def test_dropped(smtp: Make) -> None:
    whole = Whole(Discard("spam"))
    smtp(whole, upto="mail").play("""
        C> BDAT 2|xxBDAT 2 LAST|yyRSET
        C< 250 2.0.0 2 octets received|250 2.0.0 ok
        U< RSET
    """)
    assert [done.outcome for done in whole.done] == ["discarded"]


def test_no_recipient_is_left(smtp: Make) -> None:
    smtp(Evil(Reject("no"))).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<x@evil.example>|BDAT 6 LAST|QUIT|NOOP
        U< MAIL FROM:<a@b>|NOOP
        U> 250 ok|250 ok
        C< 250 ok|550 5.7.1 no (s1)|554 5.5.1 no valid recipients (s1)|250 ok
    """)
    smtp(Whole()).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<x@y>|BDAT 6 LAST|QUIT|NOOP
        U< MAIL FROM:<a@b>|RCPT TO:<x@y>
        U> 250 ok|550 no
        C< 250 ok|550 no|554 5.5.1 no valid recipients (s1)
        U< NOOP
    """)


@pytest.mark.parametrize("plugin", [None, Whole])
def test_of_a_text_whose_first_chunk_was_refused_nothing_arrives(
    smtp: Make, plugin: Callable[[], Any] | None
) -> None:
    """Not even if somebody is found then who would get the rest of it."""
    stage = smtp(Evil(Reject("no")), *([plugin()] if plugin else []))
    stage.say("client", octets("MAIL FROM:<a@b>|RCPT TO:<x@evil.example>|BDAT 4|xx"))
    stage.say("client", octets(r"RCPT TO:<bob@x>|BDAT 2 LAST|yyNOOP"))
    for _ in range(3):
        stage.say("upstream", b"250 ok\r\n")
    assert stage.upstream.heard == octets("MAIL FROM:<a@b>|RSET|NOOP")
    replies = [reply[:3] for reply in stage.client.heard.splitlines()]
    assert replies == [b"250", b"550", b"554", b"503", b"503", b"250"]


def test_all_recipients_are_dropped(smtp: Make) -> None:
    smtp(Evil(Discard("spam"))).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<x@evil.example>|BDAT 2|xxBDAT 2 LAST|yyNOOP
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok|250 2.0.0 ok|250 2.0.0 2 octets received|250 2.0.0 ok
        U< NOOP
    """)


def test_upstream_answers_before_the_chunk_is_complete(smtp: Make) -> None:
    smtp(upto="mail").play(r"""
        C> BDAT 4 LAST|hi\
        U< BDAT 4 LAST|hi\
        U> 552 too big
        C< 552 too big
        C> xxNOOP
        U< xxNOOP
    """)
    smtp(upto="mail").play(r"""
        C> BDAT 4 LAST|hi\
        U< BDAT 4 LAST|hi\
        U> 250 queued
        U. aborted
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
    """)


def test_client_leaves(smtp: Make) -> None:
    smtp(upto="mail").play(r"""
        C> BDAT 4 LAST|hi\
        U< BDAT 4 LAST|hi\
        C! gone
        U. aborted
    """)
    stage = smtp(Whole(), upto="mail").play(r"""
        C> BDAT 4|hihiBDAT 4 LAST|h\
        C< 250 2.0.0 4 octets received
        C! gone
        U. aborted
    """)
    assert stage.relay.rules.spool.used == 0


def test_upstream_is_lost(smtp: Make) -> None:
    smtp(upto="mail").play(r"""
        C> BDAT 2 LAST|hi\
        U< BDAT 2 LAST|hi\
        U! reset
        C< 451 4.4.2 lost the server, fate of the message unknown, try again later (s1)
        C. open
    """)
    smtp(upto="mail").play(r"""
        C> BDAT 4 LAST|hi\
        U< BDAT 4 LAST|hi\
        U! reset
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
    """)


def test_a_chunk_is_accepted_before_it_was_said(smtp: Make) -> None:
    smtp(upto="mail").play(r"""
        C> DATA|BDAT 2 LAST|hi\
        U< DATA
        U> 451 not now|250 2.0.0 queued
        U. aborted
        C< 451 not now|421 4.3.0 lost the server, try again later (s1)
        C. closed
    """)


def test_a_stray_behind_a_refused_mail(smtp: Make) -> None:
    smtp().play(rf"""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 5|ab\
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 5|ab\
        U> 550 no|503 no
        C< 550 no|503 no
        C> a\nbNOOP
        U. aborted
        C< {STRAY}
        C< 250 2.0.0 ok
    """)


@pytest.mark.parametrize("size", ["2", "2 LAST"])
def test_a_chunk_in_a_group_with_a_dropped_recipient(smtp: Make, size: str) -> None:
    """It waits for the answers to the group, and then goes up with its octets."""
    smtp(Evil(Discard("spam"))).play(rf"""
        C> MAIL FROM:<a@b>|RCPT TO:<bob@x>|RCPT TO:<a@evil.example>|BDAT {size}|hi\
        U< MAIL FROM:<a@b>|RCPT TO:<bob@x>
        U> 250 ok|250 ok
        C< 250 ok|250 ok|250 2.0.0 ok
        U< BDAT {size}|hi\
        U> 250 ok
        C< 250 ok
        C> NOOP
        U< NOOP
    """)


def test_the_last_chunk_for_nobody_has_no_reply_in_lmtp(smtp: Make) -> None:
    """RFC 2033 4.3. Servers differ in it, so it doesn't go up; the others have their one reply."""
    smtp(protocol="lmtp").play("""
        C> MAIL FROM:<x@y>|RCPT TO:<b@z>|BDAT 4|hi|BDAT 6 LAST|QUIT|NOOP
        U< MAIL FROM:<x@y>|RCPT TO:<b@z>|BDAT 4|hi
        U> 250 ok|550 no such user|503 no valid recipients
        C< 250 ok|550 no such user|503 no valid recipients
        U< NOOP
        U> 250 ok
        C< 250 ok
        C> MAIL FROM:<a@b>
        U< RSET
        U> 250 ok
        U< MAIL FROM:<a@b>
    """)


@pytest.mark.parametrize(("protocol", "code"), [("smtp", 554), ("lmtp", 503)])
def test_no_chunk_goes_up_before_a_recipient(smtp: Make, protocol: str, code: int) -> None:
    """Upstream would have to refuse it, and might read its octets as commands."""
    smtp(protocol=protocol).play(f"""
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        C> BDAT 24|XCLIENT ADDR=192.0.2.9|NOOP
        C< {code} 5.5.1 no valid recipients (s1)
        U< NOOP
        U> 250 ok
        C< 250 ok
        C> MAIL FROM:<a@b>
        U< RSET
    """)


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_a_cr_alone_before_an_empty_last_chunk(smtp: Make, protocol: str) -> None:
    """The line of such a chunk is the end of the message, so it must not go up."""
    smtp(upto="mail", protocol=protocol).play(r"""
        C> BDAT 3\r\nhi\r\
        U< BDAT 3\r\nhi\r\
        U> 250 ok
        C< 250 ok
        C> BDAT 0 LAST
        U. aborted
        C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)
    """)
