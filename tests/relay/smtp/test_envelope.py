"""EHLO, MAIL, RCPT, RSET: what goes up, and what upstream is left to believe."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.envelope import Envelope, Recipient
from mailweir.hookspecs import hookimpl
from mailweir.relay.rules import SmtpRules
from mailweir.session import Session, Transaction
from mailweir.testing.play import TLS, Stage
from mailweir.verdict import Accept, Close, Defer, Discard, Reject

Make = Callable[..., Stage]


class Policy:
    """Answers for evil.example at each hook, and notes what it saw."""

    def __init__(self, verdict: Any = None) -> None:
        self.verdict = verdict
        self.seen: list[str] = []
        self.done: list[Transaction] = []

    def answer(self, text: str) -> Any:
        self.seen.append(text)
        return self.verdict if "evil" in text else None

    @hookimpl
    def helo(self, name: str) -> Any:
        return self.answer(name)

    @hookimpl
    def mail_from(self, session: Session, envelope: Envelope) -> Any:
        assert session.transaction is not None and session.transaction.envelope is envelope
        return self.answer(f"{envelope.sender} {envelope.parameters}".strip())

    @hookimpl
    def rcpt_to(self, envelope: Envelope, recipient: Recipient) -> Any:
        assert envelope.recipients[-1] is recipient
        return self.answer(recipient.address)

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)


def test_plugins_see_names_and_addresses(smtp: Make) -> None:
    policy = Policy()
    stage = smtp(policy).play("""
        C> MAIL FROM:<ann@example.org> SIZE=10
        U< MAIL FROM:<ann@example.org> SIZE=10
        U> 250 ok
        C< 250 ok
        C> rcpt to:<@hop:bob@example.net> NOTIFY=NEVER
        U< rcpt to:<@hop:bob@example.net> NOTIFY=NEVER
        U> 250 ok
        C< 250 ok
    """)
    assert policy.seen == ["me", "ann@example.org SIZE=10", "bob@example.net"]
    assert stage.session.helo == "me"
    assert stage.session.transaction is not None
    assert [one.parameters for one in stage.session.transaction.envelope.accepted] == ["NOTIFY=NEVER"]


VERDICTS = {
    "reject": (Reject("no"), "550 5.7.1 no (s1)"),
    "defer": (Defer("wait"), "451 4.7.1 wait (s1)"),
    "a code of its own": (Reject("gone", 551, "5.1.6"), "551 5.1.6 gone (s1)"),
}


@pytest.mark.parametrize(("verdict", "reply"), VERDICTS.values(), ids=VERDICTS.keys())
@pytest.mark.parametrize("command", ["EHLO evil", "MAIL FROM:<evil@x>"])
@pytest.mark.parametrize("later", [True, False])
def test_refused_commands_never_go_up(
    smtp: Make, command: str, later: bool, verdict: Any, reply: str
) -> None:
    answer: Deferred[Any] = Deferred()
    stage = smtp(Policy(answer if later else verdict))
    stage.begin()
    stage.say("client", f"{command}\r\nNOOP\r\n".encode())
    if later:
        assert stage.client.heard == stage.upstream.heard == b""
        answer.callback(verdict)
    stage.play(f"""
        C< {reply}
        U< NOOP
    """)


def test_close(smtp: Make) -> None:
    smtp(Policy(Close("bye"))).play("""
        C> NOOP|MAIL FROM:<evil@x>|NOOP
        U< NOOP
        U> 250 ok
        C< 250 ok|421 4.7.0 bye (s1)
        C. closed
        U. closed
    """)


def test_a_quick_refusal_waits_for_its_turn(smtp: Make) -> None:
    smtp(Policy(Reject("no"))).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<a@x>|RCPT TO:<evil@x>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<a@x>|DATA
        U> 250 ok
        C< 250 ok
        U> 250 a|354 go
        C< 250 a|550 5.7.1 no (s1)|354 go
    """)


def test_the_only_recipient_is_refused_here(smtp: Make) -> None:
    policy = Policy(Reject("no"))
    smtp(policy).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<evil@x>|DATA
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok|550 5.7.1 no (s1)|554 5.5.1 no valid recipients (s1)
        C> MAIL FROM:<c@d>
        U< RSET
        U> 250 ok
        U< MAIL FROM:<c@d>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<a@x>
        U< RCPT TO:<a@x>
    """)
    (done,) = policy.done
    assert (done.outcome, done.reply) == ("rejected", "550 5.7.1 no (s1)")
    assert done.decision is not None and done.decision.plugin == "plug0"


def test_another_recipient_after_data_was_refused(smtp: Make) -> None:
    smtp(Policy(Reject("no"))).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<evil@x>|DATA|RCPT TO:<good@x>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<good@x>|DATA
        U> 250 ok
        C< 250 ok|550 5.7.1 no (s1)|554 5.5.1 no valid recipients (s1)
        U> 250 ok|354 go
        C< 250 ok|354 go
    """)


def test_refused_mail_has_no_recipients(smtp: Make) -> None:
    policy = Policy(Reject("no"))
    smtp(policy).play("""
        C> MAIL FROM:<evil@x>|RCPT TO:<a@x>|DATA|MAIL FROM:<a@b>
        C< 550 5.7.1 no (s1)|503 5.5.1 need MAIL first (s1)|503 5.5.1 need MAIL first (s1)
        U< MAIL FROM:<a@b>
    """)
    assert "a@x" not in policy.seen
    assert [done.outcome for done in policy.done] == ["rejected"]


def test_upstream_refuses_everything(smtp: Make) -> None:
    policy = Policy()
    smtp(policy).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|RSET
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|RSET
        U> 250 ok|452 full|250 ok
        C< 250 ok|452 full|250 ok
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 550 not you
        C< 550 not you
    """)
    # RSET stands behind RCPT in the group, so the recipient's fate was open when the transaction ended
    assert [(done.outcome, done.reply) for done in policy.done] == [
        ("aborted", ""),
        ("rejected", "550 not you"),
    ]


def test_all_recipients_are_dropped(smtp: Make) -> None:
    policy = Policy(Discard("spam trap"))
    smtp(policy).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<evil@x>|DATA
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok|250 2.0.0 ok|354 end data with <CR><LF>.<CR><LF>
        C> hi|.|MAIL FROM:<a@b>
        C< 250 2.0.0 ok
        U< RSET
        U> 250 ok
        U< MAIL FROM:<a@b>
    """)
    assert [done.outcome for done in policy.done] == ["discarded"]


def test_the_message_of_a_sender_is_dropped(smtp: Make) -> None:
    policy = Policy(Discard("spam"))
    smtp(policy).play("""
        C> MAIL FROM:<evil@x>|RCPT TO:<c@d>|DATA
        U< MAIL FROM:<evil@x>|RCPT TO:<c@d>
        U> 250 ok|250 ok
        C< 250 ok|250 ok|354 end data with <CR><LF>.<CR><LF>
        C> hi|.|QUIT
        C< 250 2.0.0 ok
        U< QUIT
    """)
    assert [done.outcome for done in policy.done] == ["discarded"]


def test_one_of_two_recipients_is_dropped(smtp: Make) -> None:
    smtp(Policy(Discard("spam trap"))).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<evil@x>|RCPT TO:<c@d>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>
        U> 250 ok|250 ok
        C< 250 ok|250 2.0.0 ok|250 ok
        U< DATA
        U> 354 go
        C< 354 go
        C> hi|.
        U< hi|.
        U> 250 queued
        C< 250 queued
    """)


def test_accept_goes_on(smtp: Make) -> None:
    smtp(Policy(Accept())).play("""
        C> MAIL FROM:<evil@x>|RCPT TO:<evil@x>
        U< MAIL FROM:<evil@x>|RCPT TO:<evil@x>
    """)


def test_a_plugin_thinks_about_one_recipient(smtp: Make) -> None:
    answer: Deferred[Any] = Deferred()
    stage = smtp(Policy(answer)).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<evil@x>|RCPT TO:<e@f>
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>
        U> 250 ok|250 ok
        C< 250 ok|250 ok
    """)
    assert stage.client.paused
    answer.callback(Reject("no"))
    stage.play("""
        C< 550 5.7.1 no (s1)
        U< RCPT TO:<e@f>
    """)
    assert not stage.client.paused


def test_a_second_mail_is_upstreams_to_judge(smtp: Make) -> None:
    policy = Policy()
    stage = smtp(policy).play("""
        C> MAIL FROM:<a@b>|MAIL FROM:<c@d>|RCPT TO:<e@f>
        U< MAIL FROM:<a@b>|MAIL FROM:<c@d>
        U> 250 ok|503 nested
        C< 250 ok|503 nested
        U< RCPT TO:<e@f>
    """)
    assert stage.session.transaction is not None and stage.session.transaction.envelope.sender == "a@b"
    stage.play("""
        U> 250 ok
        C< 250 ok
        C> MAIL FROM:<g@h>
        U< MAIL FROM:<g@h>
        U> 250 fine
        C< 250 fine
    """)
    assert stage.session.transaction.envelope.sender == "g@h"
    assert [(done.envelope.sender, done.outcome) for done in policy.done] == [
        ("c@d", "rejected"),
        ("a@b", "aborted"),
    ]


def test_both_transactions_end_with_the_session(smtp: Make) -> None:
    policy = Policy()
    smtp(policy).play("""
        C> MAIL FROM:<a@b>|MAIL FROM:<c@d>
        U< MAIL FROM:<a@b>|MAIL FROM:<c@d>
        U> 250 ok
        C< 250 ok
        C! gone
        U. closed
        U! gone
    """)
    assert [(done.id, done.outcome) for done in policy.done] == [("s1.1", "aborted"), ("s1.2", "aborted")]


def test_hello_ends_the_transaction(smtp: Make) -> None:
    stage = smtp(upto="mail").play("""
        C> HELO again|RCPT TO:<x@y>
        U< HELO again
        U> 250 mail.example.org
        C< 250 mail.example.org
        U< RCPT TO:<x@y>
        U> 503 MAIL?
        C< 503 MAIL?
    """)
    assert stage.session.transaction is None and stage.session.helo == "again"


def test_a_hello_that_upstream_refuses_changes_nothing(smtp: Make) -> None:
    stage = smtp(upto="mail").play("""
        C> EHLO again
        U< EHLO again
        U> 501 syntax
        C< 501 syntax
    """)
    assert stage.session.transaction is not None and stage.session.helo == "me"


def test_a_client_of_old_sends_one_command_at_a_time(smtp: Make) -> None:
    smtp(upto="greeted").play("""
        C> HELO me|MAIL FROM:<a@b>|RCPT TO:<c@d>
        U< HELO me
        U> 250 mail.example.org
        C< 250 mail.example.org
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        U< RCPT TO:<c@d>
    """)


def test_size_is_refused_where_we_offered_less(smtp: Make) -> None:
    smtp(upto="greeted", message_size=1000, command_line=9000).play(rf"""
        C> EHLO me
        U< EHLO me
        U> 250-x|250 SIZE 5000
        C< 250-x|250-SIZE 1000|250-PIPELINING|250 CHUNKING
        C> MAIL FROM:<a@b> SIZE=1001
        C< 552 message too big (s1)
        C> MAIL FROM:<a@b> SIZE={"9" * 5000}
        C< 552 message too big (s1)
        C> MAIL FROM:<a@b> SIZE=1000
        U< MAIL FROM:<a@b> SIZE=1000
        U> 250 ok
        C< 250 ok
        C> RSET|MAIL FROM:<a@b> SIZE=\xc2\xb2
        U< RSET
        U> 250 ok
        C< 250 ok
        U< MAIL FROM:<a@b> SIZE=\xc2\xb2
    """)


@pytest.mark.parametrize(
    "command",
    ["MAIL FROM:<a@b> body=binarymime", "MAIL FROM:<a@b> REQUIRETLS", "MAIL FROM:<a@b> TRANSID=<x>"],
)
def test_parameters_that_were_not_offered(smtp: Make, command: str) -> None:
    smtp().play(f"""
        C> {command}
        C< 555 5.5.4 parameter not offered (s1)
    """)


def test_recipient_parameters_that_were_not_offered(smtp: Make) -> None:
    smtp().play("""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d> XRCPTFORWARD=x|DATA
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok|555 5.5.4 parameter not offered (s1)|554 5.5.1 no valid recipients (s1)
    """)


def test_arguments_nobody_can_read(smtp: Make) -> None:
    smtp(Policy()).play("""
        C> MAIL <a@b>|MAIL FROM:<a@b|MAIL FROM:<a@b>|RCPT c@d
        C< 501 5.5.4 syntax error in arguments (s1)|501 5.5.4 syntax error in arguments (s1)
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok|501 5.5.4 syntax error in arguments (s1)
    """)
    smtp().play("""
        C> MAIL <a@b>
        U< MAIL <a@b>
        U> 501 no
        C< 501 no
    """)


def test_the_plugin_fails(smtp: Make) -> None:
    class Broken:
        @hookimpl
        def mail_from(self) -> Any:
            raise RuntimeError

    smtp(Broken()).play("""
        C> MAIL FROM:<a@b>
        C< 451 4.3.0 local error (s1)
    """)


def test_many_refused_recipients_are_not_kept(smtp: Make) -> None:
    stage = smtp(Policy(Reject("no"))).play("""
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
    """)
    for _ in range(3000):
        stage.say("client", b"RCPT TO:<evil@x>\r\n")
    assert stage.session.transaction is not None
    assert len(stage.session.transaction.envelope.recipients) <= 1000


def test_a_second_mail_behind_one_that_is_refused(smtp: Make) -> None:
    smtp().play("""
        C> MAIL FROM:<a@b>|MAIL FROM:<c@d>
        U< MAIL FROM:<a@b>|MAIL FROM:<c@d>
        U> 550 no|250 ok
        C< 550 no|250 ok
        C> RCPT TO:<e@f>|DATA
        U< RCPT TO:<e@f>|DATA
        U> 250 ok|354 go
        C< 250 ok|354 go
        C> hi|.
        U< hi|.
        U> 250 queued
        C< 250 queued
    """)


def test_upstream_that_refuses_rset_keeps_no_recipients_for_the_next_message(smtp: Make) -> None:
    smtp(Policy(Reject("no"))).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<evil@x>|DATA
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok|550 5.7.1 no (s1)|554 5.5.1 no valid recipients (s1)
        C> MAIL FROM:<c@d>
        U< RSET
        U> 500 what
        U. aborted
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
    """)


def test_rset_that_upstream_refuses_is_owed(smtp: Make) -> None:
    smtp(upto="mail").play("""
        C> RSET
        U< RSET
        U> 451 not now
        C< 451 not now
        C> MAIL FROM:<c@d>
        U< RSET
        U> 250 ok
        U< MAIL FROM:<c@d>
    """)


def test_rset_with_arguments_resets_if_upstream_says_so(smtp: Make) -> None:
    stage = smtp(upto="mail").play("""
        C> RSET x
        U< RSET x
        U> 501 no arguments
        C< 501 no arguments
        C> DATA
        U< DATA
        U> 554 no
        C< 554 no
        C> RSET x
        U< RSET x
        U> 250 ok
        C< 250 ok
    """)
    assert stage.session.transaction is None


def test_a_hundred_thousand_recipients_cost_linear_time(smtp: Make) -> None:
    drop = Policy(Discard("spam"))
    stage = smtp(drop, protocol="lmtp", smtp=SmtpRules(recipients=0)).play("""
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
    """)
    begun = time.process_time()
    stage.say("client", b"RCPT TO:<evil@x>\r\n" * 30_000 + b"DATA\r\n.\r\n")
    assert time.process_time() - begun < 20
    assert stage.client.heard.count(b"250 2.0.0 ok\r\n") == 60_000


HIDDEN = [
    (" ", "555 5.5.4 parameter not offered (s1)"),
    (r"\t", "501 5.5.4 syntax error in arguments (s1)"),
]


@pytest.mark.parametrize(("blank", "said"), HIDDEN)
def test_a_parameter_that_was_not_offered_hides_behind_no_blank(smtp: Make, blank: str, said: str) -> None:
    smtp(upto="mail", protocol="lmtp").play(f"""
        C> RCPT TO:<a@b>{blank}XRCPTFORWARD=x
        C< {said}
    """)


def test_an_upstream_that_answers_our_rset_before_it_is_said(smtp: Make) -> None:
    """The session ends there, and the command that waited for the RSET is not answered any more."""
    smtp(Policy()).play(r"""
        C> RSET
        U< RSET
        U> 550 no|25\
        C< 550 no
        C> RCPT TO:<a@b>
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
        U. aborted
    """)


def test_messages_of_one_session(smtp: Make) -> None:
    limited = metrics.LIMITS.cell("test", "smtp", "messages_per_session")
    before = limited.value
    smtp(smtp=SmtpRules(messages=2)).play("""
        C> MAIL FROM:<a@b>|RSET|MAIL FROM:<c@d>|RSET|MAIL FROM:<e@f>|NOOP
        U< MAIL FROM:<a@b>|RSET|MAIL FROM:<c@d>|RSET
        U> 250 ok|250 ok|550 no|250 ok
        C< 250 ok|250 ok|550 no|250 ok|421 4.7.0 too many messages, start a new session (s1)
        C. closed
        U. closed
    """)
    assert limited.value == before + 1


def test_our_limits_are_offered_where_upstream_offers_some(smtp: Make) -> None:
    smtp(upto="greeted", smtp=SmtpRules(messages=7, recipients=50)).play("""
        C> EHLO me
        U< EHLO me
        U> 250-x|250-PIPELINING|250 LIMITS RCPTMAX=1000
        C< 250-x|250-PIPELINING|250-LIMITS RCPTMAX=50 MAILMAX=7|250 CHUNKING
    """)


def test_requiretls_where_upstream_is_who_it_should_be(smtp: Make) -> None:
    for verified, said in ((True, "250 ok"), (False, "555 5.5.4 parameter not offered (s1)")):
        stage = smtp(upto="greeted", upstream_tls="implicit", upstream_verified=verified)
        stage.session.client_tls = TLS
        stage.play(f"""
            C> EHLO me
            U< EHLO me
            U> 250-x|250-ENHANCEDSTATUSCODES|250-REQUIRETLS|250 PIPELINING
            C< 250-x|250-ENHANCEDSTATUSCODES{"|250-REQUIRETLS" if verified else ""}|250-PIPELINING|250 CHUNKING
            C> MAIL FROM:<a@b> REQUIRETLS
            {"U< MAIL FROM:<a@b> REQUIRETLS" if verified else ""}
            {"U> 250 ok" if verified else ""}
            C< {said}
        """)


def test_the_offer_is_made_anew_after_the_login(smtp: Make) -> None:
    smtp(offer="AUTH PLAIN|250 PIPELINING", allow_plaintext=True).play("""
        C> AUTH PLAIN AGEAYg==
        U< AUTH PLAIN AGEAYg==
        U> 235 ok
        C< 235 ok
        C> MAIL FROM:<a@b> CONPERM
        C< 555 parameter not offered (s1)
        C> EHLO me
        U< EHLO me
        U> 250-x|250-CONPERM|250-XCLIENT ADDR|250 AUTH
        C< 250-x|250-CONPERM|250-AUTH|250-PIPELINING|250 CHUNKING
        C> MAIL FROM:<a@b> CONPERM
        U< MAIL FROM:<a@b> CONPERM
    """)


def test_a_mail_that_a_plugin_refuses_inside_a_transaction_leaves_it_as_it_is(smtp: Make) -> None:
    stage = smtp(Policy(Reject("no")), upto="mail").play("""
        C> MAIL FROM:<evil@x>|RCPT TO:<c@d>|DATA
        C< 550 5.7.1 no (s1)
        U< RCPT TO:<c@d>|DATA
        U> 250 ok|354 go
        C< 250 ok|354 go
        C> hi|.
        U< hi|.
        U> 250 queued
        C< 250 queued
    """)
    assert stage.session.transaction is None


def test_refused_mail_in_a_group_is_answered_in_its_place(smtp: Make) -> None:
    smtp(Policy(Reject("no"))).play("""
        C> NOOP|MAIL FROM:<evil@x>|RCPT TO:<c@d>|RSET|MAIL FROM:<a@b>
        U< NOOP|RSET|MAIL FROM:<a@b>
        U> 250 a
        C< 250 a|550 5.7.1 no (s1)|503 5.5.1 need MAIL first (s1)
        U> 250 b|250 c
        C< 250 b|250 c
    """)


def test_rset_pays_what_is_owed(smtp: Make) -> None:
    smtp(Policy(Reject("no"))).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<evil@x>|DATA|RSET|MAIL FROM:<c@d>
        U< MAIL FROM:<a@b>|RSET|MAIL FROM:<c@d>
        U> 250 ok|250 ok|250 ok
        C< 250 ok|550 5.7.1 no (s1)|554 5.5.1 no valid recipients (s1)|250 ok|250 ok
    """)
