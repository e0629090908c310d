"""RCPT: what plugins change, add and drop; who is kept apart; how many there may be."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.envelope import Envelope, Recipient
from mailweir.hookspecs import hookimpl
from mailweir.relay.rules import SmtpRules
from mailweir.session import Transaction
from mailweir.testing.play import Stage
from mailweir.verdict import Defer, Discard, Reject

Make = Callable[..., Stage]
DSN = "PIPELINING|250-DSN|250 ENHANCEDSTATUSCODES"
BEGUN = """
    C> MAIL FROM:<a@b>
    U< MAIL FROM:<a@b>
    U> 250 ok
    C< 250 ok
"""


class Does:
    """Calls this at `rcpt_to`, and answers what it returns."""

    def __init__(self, what: Callable[[Envelope, Recipient], Any]) -> None:
        self.what = what
        self.done: list[Transaction] = []

    @hookimpl
    def rcpt_to(self, envelope: Envelope, recipient: Recipient) -> Any:
        return self.what(envelope, recipient)

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)


def rewrites(envelope: Envelope, recipient: Recipient) -> None:
    recipient.address = "new@x"


def adds(envelope: Envelope, recipient: Recipient) -> None:
    if not any(one.added for one in envelope.recipients):
        envelope.add("more@x")


def adds_if_it_may(envelope: Envelope, recipient: Recipient) -> None:
    if not any(one.added for one in envelope.recipients):
        envelope.add("more@x", required=False)


def wants_its_own(envelope: Envelope, recipient: Recipient) -> None:
    recipient.policy = recipient.local


def counted(result: str) -> float:
    return metrics.RECIPIENTS_ADDED.cell("test", "smtp", result).value


def test_only_the_address_is_written_anew(smtp: Make) -> None:
    smtp(Does(rewrites), offer=DSN).play(rf"""
        {BEGUN}
        C> rcpt to:  <old@x>  X=\xff NOTIFY=NEVER|RCPT TO:<new@x> ORCPT=rfc822;new@x
        U< rcpt to:  <new@x>  X=\xff NOTIFY=NEVER ORCPT=rfc822;old@x|RCPT TO:<new@x> ORCPT=rfc822;new@x
    """)


def test_no_orcpt_where_nobody_offered_it(smtp: Make) -> None:
    smtp(Does(rewrites)).play(f"""
        {BEGUN}
        C> RCPT TO:<old@x> RRVS=2014-04-03T23:01:00Z
        U< RCPT TO:<new@x> RRVS=2014-04-03T23:01:00Z
    """)


@pytest.mark.parametrize("value", ["a\r\nRSET", "a b", "a>", "a\0", "a" * 300])
def test_a_value_that_is_none_is_the_plugins_mistake(smtp: Make, value: str) -> None:
    def breaks(envelope: Envelope, recipient: Recipient) -> None:
        recipient.address = value

    smtp(Does(breaks)).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d>
        C< 451 4.3.0 local error (s1)
    """)


def test_a_recipient_is_added_and_the_client_hears_nothing(smtp: Make) -> None:
    before = counted("accepted")
    plugin = Does(adds)
    smtp(plugin, offer=DSN).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d>|RCPT TO:<e@f>
        U< RCPT TO:<c@d>
        U> 250 c
        U< RCPT TO:<more@x> NOTIFY=NEVER
        U> 250 more
        C< 250 c
        U< RCPT TO:<e@f>
        U> 250 e
        C< 250 e
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
        C> hi|.
        U< hi|.
        U> 250 queued
        C< 250 queued
    """)
    (done,) = plugin.done
    assert [one.address for one in done.envelope.accepted] == ["c@d", "e@f"]
    assert counted("accepted") == before + 1


def test_added_in_the_middle_of_a_group(smtp: Make) -> None:
    smtp(Does(adds)).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<e@f>|DATA
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        U< RCPT TO:<c@d>
        U> 250 c
        U< RCPT TO:<more@x>
        U> 250 more
        C< 250 c
        U< RCPT TO:<e@f>|DATA
        U> 250 e|354 go
        C< 250 e|354 go
    """)


def test_added_towards_an_upstream_without_groups(smtp: Make) -> None:
    def two(envelope: Envelope, recipient: Recipient) -> None:
        envelope.add("one@x")
        envelope.add("two@x")

    smtp(Does(two), upto="greeted").play("""
        C> HELO me
        U< HELO me
        U> 250 x
        C< 250 x
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        U< RCPT TO:<c@d>
        U> 250 c
        U< RCPT TO:<one@x>
        U> 250 one
        U< RCPT TO:<two@x>
        U> 250 two
        C< 250 c
        U< DATA
    """)


def test_added_to_a_recipient_that_upstream_refuses_goes_with_the_next(smtp: Make) -> None:
    smtp(Does(adds)).play(f"""
        {BEGUN}
        C> RCPT TO:<nobody@d>|RCPT TO:<c@d>
        U< RCPT TO:<nobody@d>
        U> 550 nobody
        C< 550 nobody
        U< RCPT TO:<c@d>
        U> 250 c
        U< RCPT TO:<more@x>
        U> 250 more
        C< 250 c
    """)


def test_mail_to_nobody_goes_to_nobody_that_was_added(smtp: Make) -> None:
    smtp(Does(adds)).play(f"""
        {BEGUN}
        C> RCPT TO:<nobody@d>|DATA
        U< RCPT TO:<nobody@d>
        U> 550 nobody
        C< 550 nobody|554 5.5.1 no valid recipients (s1)
        C> RSET
        U< RSET
    """)


def test_a_required_one_is_refused(smtp: Make) -> None:
    before = counted("refused")
    plugin = Does(adds)
    smtp(plugin).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d>|RCPT TO:<e@f>|DATA
        U< RCPT TO:<c@d>
        U> 250 c
        U< RCPT TO:<more@x>
        U> 452 4.2.2 full
        C< 452 4.2.2 full
        U< RCPT TO:<e@f>
        U> 250 e
        C< 250 e
        # c@d is accepted upstream, and the client believes that it isn't
        C< 354 end data with <CR><LF>.<CR><LF>
        C> A: b||hi|.
        U< RSET|MAIL FROM:<a@b>|RCPT TO:<e@f>
        U> 250 ok|250 ok|250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 queued
        C< 250 queued
    """)
    (done,) = plugin.done
    assert [one.address for one in done.envelope.accepted] == ["e@f"]
    assert [(one.address, one.refused_by) for one in done.envelope.recipients] == [
        ("c@d", "upstream"),
        ("more@x", "upstream"),
        ("e@f", ""),
    ]
    assert counted("refused") == before + 1


def test_a_required_one_is_refused_and_nobody_else_is_there(smtp: Make) -> None:
    smtp(Does(adds)).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d>|DATA|MAIL FROM:<e@f>
        U< RCPT TO:<c@d>
        U> 250 c
        U< RCPT TO:<more@x>
        U> 550 no
        C< 550 no|554 5.5.1 no valid recipients (s1)
        U< RSET
        U> 250 ok
        U< MAIL FROM:<e@f>
    """)


def test_one_that_is_not_required_is_refused(smtp: Make) -> None:
    smtp(Does(adds_if_it_may)).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d>|DATA
        U< RCPT TO:<c@d>
        U> 250 c
        U< RCPT TO:<more@x>
        U> 550 no
        C< 250 c
        U< DATA
    """)


def test_added_and_taken_back(smtp: Make) -> None:
    def hesitates(envelope: Envelope, recipient: Recipient) -> None:
        envelope.remove(envelope.add("more@x"))

    smtp(Does(hesitates)).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d>
        U< RCPT TO:<c@d>
        U> 250 c
        C< 250 c
    """)


SINGLE = {
    "reject": (lambda e, r: setattr(r, "verdict", Reject("no")), "550 5.7.1 no (s1)"),
    "defer": (lambda e, r: setattr(r, "verdict", Defer("wait")), "451 4.7.1 wait (s1)"),
    "discard": (lambda e, r: setattr(r, "verdict", Discard("trap")), "250 2.0.0 ok"),
    "remove": (lambda e, r: e.remove(r), "250 2.0.0 ok"),
}


@pytest.mark.parametrize(("what", "said"), SINGLE.values(), ids=SINGLE.keys())
def test_a_verdict_that_is_left_with_the_recipient(smtp: Make, what: Any, said: str) -> None:
    plugin = Does(what)
    smtp(plugin).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d>
        C< {said}
        C> RSET
        U< RSET
    """)
    (done,) = plugin.done
    assert done.envelope.recipients[0].decided_by == "plug0"


def test_who_asked_to_be_told_is_not_left_to_believe_in_a_delivery(smtp: Make) -> None:
    smtp(Does(lambda e, r: Discard("trap")), offer=DSN).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d> NOTIFY=SUCCESS,FAILURE|RCPT TO:<c@d> NOTIFY=FAILURE
        C< 550 5.7.1 refused by policy (s1)|250 2.0.0 ok
    """)


def test_an_earlier_recipient_is_removed(smtp: Make) -> None:
    def first(envelope: Envelope, recipient: Recipient) -> None:
        if recipient.local == "second":
            envelope.remove(envelope.recipients[0])

    smtp(Does(first)).play(f"""
        {BEGUN}
        C> RCPT TO:<first@x>|RCPT TO:<second@x>|DATA
        U< RCPT TO:<first@x>|RCPT TO:<second@x>
        U> 250 a|250 b
        C< 250 a|250 b
        C< 354 end data with <CR><LF>.<CR><LF>
        C> A: b||hi|.
        U< RSET|MAIL FROM:<a@b>|RCPT TO:<second@x>
        U> 250 ok|250 ok|250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 queued
        C< 250 queued
    """)


def test_one_recipient_a_message(smtp: Make) -> None:
    smtp(smtp=SmtpRules(verdicts="single")).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<nobody@x>|RCPT TO:<c@d>|RCPT TO:<e@f>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<nobody@x>
        U> 250 ok
        C< 250 ok
        U> 550 nobody
        C< 550 nobody
        U< RCPT TO:<c@d>
        U> 250 c
        C< 250 c|452 4.5.3 one recipient at a time, send this one again (s1)
        U< DATA
    """)


def test_lmtp_has_a_reply_for_each_and_keeps_nobody_apart(smtp: Make) -> None:
    for verdicts in ("single", "defer"):
        smtp(Does(wants_its_own), protocol="lmtp", smtp=SmtpRules(verdicts=verdicts)).play(f"""
            {BEGUN}
            C> RCPT TO:<c@d>|RCPT TO:<e@f>
            U< RCPT TO:<c@d>|RCPT TO:<e@f>
        """)


def test_who_wants_something_else_comes_again(smtp: Make) -> None:
    smtp(Does(wants_its_own), smtp=SmtpRules(verdicts="defer")).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<one@x>|RCPT TO:<one@y>|RCPT TO:<two@x>|RCPT TO:<one@z>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<one@x>|RCPT TO:<one@y>
        U> 250 ok|250 x|250 y
        C< 250 ok|250 x|250 y
        C< 452 4.5.3 this recipient needs a message of its own, send it again (s1)
        U< RCPT TO:<one@z>|DATA
    """)


def test_the_first_that_is_accepted_says_what_is_wanted(smtp: Make) -> None:
    smtp(Does(wants_its_own), smtp=SmtpRules(verdicts="defer")).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<one@x>|RCPT TO:<two@x>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<one@x>
        U> 250 ok|550 nobody
        C< 250 ok|550 nobody
        U< RCPT TO:<two@x>
        U> 250 ok
        C< 250 ok
        U< DATA
    """)


def test_policies_don_t_matter_elsewhere(smtp: Make) -> None:
    smtp(Does(wants_its_own)).play(f"""
        {BEGUN}
        C> RCPT TO:<one@x>|RCPT TO:<two@x>
        U< RCPT TO:<one@x>|RCPT TO:<two@x>
    """)


def test_recipients_of_one_message(smtp: Make) -> None:
    limited = metrics.LIMITS.cell("test", "smtp", "recipients")
    before = limited.value
    smtp(
        Does(lambda e, r: Discard("x") if r.local == "trap" else None), smtp=SmtpRules(recipients=2)
    ).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<trap@x>|RCPT TO:<c@d>|RCPT TO:<e@f>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>
        U> 250 ok|250 c
        C< 250 ok|250 2.0.0 ok|250 c|452 4.5.3 too many recipients, send to the others again (s1)
        U< DATA
    """)
    assert limited.value == before + 1


def test_a_hundred_thousand_recipients_are_not_kept(smtp: Make) -> None:
    stage = smtp().play(BEGUN)
    for _ in range(100):
        stage.say("client", b"RCPT TO:<c@d>\r\n" * 1000)
        stage.say("upstream", b"250 ok\r\n" * stage.upstream.heard.count(b"\r\n"))
        stage.client.heard = stage.upstream.heard = b""
    stage.say("client", b"NOOP\r\n")
    assert stage.upstream.heard == b"NOOP\r\n"
    assert stage.session.transaction is not None
    assert len(stage.session.transaction.envelope.recipients) == 1000


def test_rset_while_a_plugin_thinks(smtp: Make) -> None:
    answer: Deferred[Any] = Deferred()
    stage = smtp(Does(lambda e, r: answer)).play(BEGUN)
    stage.say("client", b"RCPT TO:<c@d>\r\nRSET\r\nRCPT TO:<e@f>\r\n")
    assert stage.upstream.heard == b""
    answer.callback(Reject("no"))
    stage.play("""
        C< 550 5.7.1 no (s1)
        U< RSET
        U> 250 ok
        C< 250 ok|503 5.5.1 need MAIL first (s1)
    """)


def test_upstream_is_lost_while_it_is_asked_for_an_added_one(smtp: Make) -> None:
    smtp(Does(adds)).play(f"""
        {BEGUN}
        C> RCPT TO:<c@d>
        U< RCPT TO:<c@d>
        U> 250 ok
        U< RCPT TO:<more@x>
        U! gone
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
    """)


LOST = "451 4.3.0 lost the server, try again later (s1)"


def test_upstream_is_lost_before_a_recipient_with_an_added_one_had_its_turn(smtp: Make) -> None:
    smtp(Does(adds)).play(f"""
        C> MAIL FROM:<a@b>|RCPT TO:<one@x>
        U< MAIL FROM:<a@b>
        U! gone
        C< {LOST}|{LOST}
    """)


def test_upstream_is_lost_before_it_was_known_who_is_first(smtp: Make) -> None:
    smtp(Does(wants_its_own), smtp=SmtpRules(verdicts="defer")).play(f"""
        {BEGUN}
        C> RCPT TO:<one@x>|RCPT TO:<two@x>
        U< RCPT TO:<one@x>
        U! gone
        C< {LOST}|{LOST}
    """)


def test_upstream_is_lost_while_a_plugin_thinks(smtp: Make) -> None:
    answer: Deferred[Any] = Deferred()
    stage = smtp(Does(lambda e, r: answer)).play(BEGUN)
    stage.say("client", b"RCPT TO:<c@d>\r\n")
    stage.play("U! gone")
    answer.callback(None)
    assert stage.client.heard.startswith(b"451 ") and stage.client.heard.count(b"\r\n") == 1
