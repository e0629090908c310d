"""The envelope as plugins left it when they had seen the message: upstream is asked anew."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.chain.chain import Plug
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.relay.rules import SmtpRules
from mailweir.session import Transaction
from mailweir.testing.play import Stage
from mailweir.verdict import Defer, Discard, Quarantine, Reject

Make = Callable[..., Stage]
GO = "C< 354 end data with <CR><LF>.<CR><LF>"
DSN = "PIPELINING|250-DSN|250 ENHANCEDSTATUSCODES"
THREE = """
    C> MAIL FROM:<a@b> X=1|RCPT TO:<ann@x>|RCPT TO:<bob@x>|RCPT TO:<cid@x>
    U< MAIL FROM:<a@b> X=1|RCPT TO:<ann@x>|RCPT TO:<bob@x>|RCPT TO:<cid@x>
    U> 250 ok|250 a|250 b|250 c
    C< 250 ok|250 a|250 b|250 c
"""
TEXT = f"""
    C> DATA
    {GO}
    C> A: b||hi|.
"""
SENT = """
    U< DATA
    U> 354 go
    U< A: b||hi|.
    U> 250 queued
    C< 250 queued
"""


class Hears:
    def __init__(self) -> None:
        self.done: list[Transaction] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)

    @property
    def fate(self) -> tuple[str, str]:
        (done,) = self.done
        return done.outcome, done.reply


class Head(Hears):
    """Calls this when the header is there."""

    def __init__(self, what: Callable[[Message], Any]) -> None:
        super().__init__()
        self.what = what

    @hookimpl
    def message_head(self, message: Message) -> Any:
        return self.what(message)


class Whole(Hears):
    """Calls this when the message is there."""

    def __init__(self, what: Callable[[Message], Any]) -> None:
        super().__init__()
        self.what = what

    @hookimpl
    def message(self, message: Message) -> Any:
        return self.what(message)


def adds(message: Message) -> None:
    message.envelope.add("more@x")


def adds_if_it_may(message: Message) -> None:
    message.envelope.add("more@x", required=False)


def verdicts(**answers: Any) -> Callable[[Message], None]:
    """Leave these with the recipients of these names."""

    def leave(message: Message) -> None:
        for recipient in message.envelope.recipients:
            recipient.verdict = answers.get(recipient.local)

    return leave


@pytest.mark.parametrize("kind", [Head, Whole])
def test_only_added(smtp: Make, kind: Any) -> None:
    plugin = kind(adds)
    smtp(plugin, offer=DSN).play(f"""
        {THREE}
        {TEXT}
        U< RCPT TO:<more@x> NOTIFY=NEVER
        U> 250 ok
        {SENT}
    """)
    assert plugin.fate == ("accepted", "250 queued")
    assert [one.address for one in plugin.done[0].envelope.accepted] == ["ann@x", "bob@x", "cid@x"]


def test_added_is_refused(smtp: Make) -> None:
    plugin = Whole(adds)
    smtp(plugin).play(f"""
        {THREE}
        {TEXT}
        U< RCPT TO:<more@x>
        U> 452 4.2.2 full
        C< 452 4.2.2 full
        C> MAIL FROM:<c@d>
        U< RSET
        U> 250 ok
        U< MAIL FROM:<c@d>
    """)
    assert plugin.fate == ("deferred", "452 4.2.2 full")


def test_added_need_not_be_accepted(smtp: Make) -> None:
    smtp(Whole(adds_if_it_may)).play(f"""
        {THREE}
        {TEXT}
        U< RCPT TO:<more@x>
        U> 550 no
        {SENT}
    """)


def changes(message: Message) -> None:
    envelope = message.envelope
    envelope.sender = "new@b"
    envelope.recipients[0].address = "ann@y"
    envelope.remove(envelope.recipients[1])
    envelope.recipients[2].parameters = "Y"
    envelope.add("more@x")


@pytest.mark.parametrize("kind", [Head, Whole])
def test_everything_is_changed(smtp: Make, kind: Any) -> None:
    smtp(kind(changes), offer=DSN).play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<new@b> X=1
        U< RCPT TO:<ann@y> ORCPT=rfc822;ann@x|RCPT TO:<cid@x> Y|RCPT TO:<more@x> NOTIFY=NEVER
        U> 250 ok|250 ok|250 ok|250 ok|250 ok
        {SENT}
    """)


def test_one_command_at_a_time(smtp: Make) -> None:
    smtp(Whole(changes), upto="greeted").play(f"""
        C> EHLO me
        U< EHLO me
        U> 250 x
        C< 250-x|250-PIPELINING|250 CHUNKING
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<ann@x>
        U< RCPT TO:<ann@x>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<bob@x>
        U< RCPT TO:<bob@x>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<cid@x>
        U< RCPT TO:<cid@x>
        U> 250 ok
        C< 250 ok
        {TEXT}
        U< RSET
        U> 250 ok
        U< MAIL FROM:<new@b>
        U> 250 ok
        U< RCPT TO:<ann@y>
        U> 250 ok
        U< RCPT TO:<cid@x> Y
        U> 250 ok
        U< RCPT TO:<more@x>
        U> 250 ok
        {SENT}
    """)


def test_what_was_edited_at_rcpt_is_asked_again_as_edited(smtp: Make) -> None:
    class Both(Whole):
        @hookimpl
        def rcpt_to(self, recipient: Any) -> None:
            if recipient.local == "ann":
                recipient.address = "ann@y"

    smtp(Both(lambda message: message.envelope.remove(message.envelope.recipients[1]))).play(f"""
        C> MAIL FROM:<a@b>|RCPT TO:<ann@x>|RCPT TO:<bob@x>
        U< MAIL FROM:<a@b>|RCPT TO:<ann@y>|RCPT TO:<bob@x>
        U> 250 ok|250 a|250 b
        C< 250 ok|250 a|250 b
        {TEXT}
        U< RSET|MAIL FROM:<a@b>|RCPT TO:<ann@y>
        U> 250 ok|250 ok|250 ok
        {SENT}
    """)


REFUSED = {
    "MAIL": ("550 5.1.8 not you|503 a|503 b|503 c|503 d", "550 5.1.8 not you"),
    "RCPT": ("250 ok|250 a|451 4.2.0 not now|250 m", "451 4.2.0 not now"),
    "two of them": ("250 ok|550 5.1.1 who|451 4.2.0 not now|250 m", "550 5.1.1 who"),
}


@pytest.mark.parametrize(("replies", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_upstream_refuses_now_is_the_reply(smtp: Make, replies: str, said: str) -> None:
    plugin = Whole(changes)
    smtp(plugin).play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<new@b> X=1|RCPT TO:<ann@y>|RCPT TO:<cid@x> Y|RCPT TO:<more@x>
        U> 250 ok|{"|".join(replies.split("|")[:4])}
        C< {said}
        C> RSET
        U< RSET
    """)
    assert plugin.fate[1] == said


def test_a_refused_rset_ends_it(smtp: Make) -> None:
    smtp(Whole(changes)).play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<new@b> X=1|RCPT TO:<ann@y>|RCPT TO:<cid@x> Y|RCPT TO:<more@x>
        U> 500 what|250 ok|250 ok|250 ok|250 ok
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
        U. aborted
    """)


def test_the_client_leaves_meanwhile(smtp: Make) -> None:
    """It was told nothing, so nothing may be delivered."""
    smtp(Whole(changes)).play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<new@b> X=1|RCPT TO:<ann@y>|RCPT TO:<cid@x> Y|RCPT TO:<more@x>
        C! gone
        U. aborted
    """)


def test_a_head_is_judged_and_the_text_streams_on(smtp: Make) -> None:
    smtp(Head(adds)).play(rf"""
        {THREE}
        C> DATA
        {GO}
        C> A: b||one|\
        U< RCPT TO:<more@x>
        U> 250 ok
        U< DATA
        U> 354 go
        U< A: b||one\
        C> two|\
        U< |two\
        C> .
        U< |.
        U> 250 queued
        C< 250 queued
    """)


def test_a_text_whose_head_was_judged_and_refused_is_taken_to_its_end(smtp: Make) -> None:
    smtp(Head(adds)).play(rf"""
        {THREE}
        C> DATA
        {GO}
        C> A: b||one|\
        U< RCPT TO:<more@x>
        U> 550 no
        C> two|.|NOOP
        C< 550 no
        U< NOOP
    """)


def test_chunks(smtp: Make) -> None:
    smtp(Whole(changes)).play(rf"""
        {THREE}
        C> BDAT 10 LAST|A: b||hi\
        U< RSET|MAIL FROM:<new@b> X=1|RCPT TO:<ann@y>|RCPT TO:<cid@x> Y|RCPT TO:<more@x>
        U> 250 ok|250 ok|250 ok|250 ok|250 ok
        U< BDAT 10 LAST|A: b||hi\
        U> 250 queued
        C< 250 queued
    """)


def test_chunks_are_refused(smtp: Make) -> None:
    smtp(Whole(changes)).play(rf"""
        {THREE}
        C> BDAT 10 LAST|A: b||hi\
        U< RSET|MAIL FROM:<new@b> X=1|RCPT TO:<ann@y>|RCPT TO:<cid@x> Y|RCPT TO:<more@x>
        U> 250 ok|250 ok|550 who|250 ok|250 ok
        C< 550 who
        C> NOOP
        U< NOOP
    """)


def test_a_chunk_that_went_up_can_t_be_asked_for_again(smtp: Make) -> None:
    class Late(Hears):
        @hookimpl
        def rcpt_to(self, envelope: Any, recipient: Any) -> None:
            if recipient.local == "late":
                envelope.sender = "new@b"

    smtp(Late()).play(rf"""
        {THREE}
        C> BDAT 3|abc\
        U< BDAT 3|abc\
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<late@x>|BDAT 3 LAST|def\
        U< BDAT 3 LAST|def\
        C< 451 4.3.0 local error (s1)
        U> 250 queued
        C< 250 queued
    """)


STRICTEST = {
    "one rejects": ({"bob": Reject("no spam")}, "550 5.7.1 no spam (s1)", "rejected"),
    "no is stricter than later": (
        {"ann": Defer("later"), "bob": Reject("no")},
        "550 5.7.1 no (s1)",
        "rejected",
    ),
    "later": ({"cid": Defer("later")}, "451 4.7.1 later (s1)", "deferred"),
    "a quarantine is later": ({"cid": Quarantine("odd")}, "451 4.7.1 try again later (s1)", "deferred"),
    "later is stricter than a discard": (
        {"ann": Discard("trap"), "bob": Defer("later")},
        "451 4.7.1 later (s1)",
        "deferred",
    ),
    "all are discarded": (
        {"ann": Discard("trap"), "bob": Discard("trap"), "cid": Discard("trap")},
        "250 2.0.0 ok",
        "discarded",
    ),
}


@pytest.mark.parametrize(("answers", "said", "outcome"), STRICTEST.values(), ids=STRICTEST.keys())
@pytest.mark.parametrize("kind", [Head, Whole])
def test_the_strictest_is_said_for_all(smtp: Make, kind: Any, answers: Any, said: str, outcome: str) -> None:
    plugin = kind(verdicts(**answers))
    smtp(plugin).play(f"""
        {THREE}
        {TEXT}
        C< {said}
        C> MAIL FROM:<c@d>
        U< RSET
        U> 250 ok
        U< MAIL FROM:<c@d>
    """)
    assert plugin.fate == (outcome, said)
    assert plugin.done[0].decision is not None and plugin.done[0].decision.plugin == "plug0"


def test_one_is_discarded_and_the_others_get_it(smtp: Make) -> None:
    smtp(Whole(verdicts(bob=Discard("trap")))).play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<a@b> X=1|RCPT TO:<ann@x>|RCPT TO:<cid@x>
        U> 250 ok|250 ok|250 ok|250 ok
        {SENT}
    """)


def test_lmtp_says_each_its_own(smtp: Make) -> None:
    plugin = Whole(verdicts(ann=Reject("no"), cid=Discard("trap")))
    smtp(plugin, protocol="lmtp").play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<a@b> X=1|RCPT TO:<bob@x>
        U> 250 ok|250 ok|250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 bob has it
        C< 550 5.7.1 no (s1)|250 bob has it|250 2.0.0 ok
    """)
    assert plugin.fate == ("accepted", "550 5.7.1 no (s1)")
    assert [one.refused_by for one in plugin.done[0].envelope.recipients] == ["plug0", "", ""]


def test_lmtp_by_chunks(smtp: Make) -> None:
    smtp(Whole(verdicts(bob=Defer("later"))), protocol="lmtp").play(rf"""
        {THREE}
        C> BDAT 10 LAST|A: b||hi\
        U< RSET|MAIL FROM:<a@b> X=1|RCPT TO:<ann@x>|RCPT TO:<cid@x>
        U> 250 ok|250 ok|250 ok|250 ok
        U< BDAT 10 LAST|A: b||hi\
        U> 250 ann has it
        C< 250 ann has it
        U> 452 cid is full
        C< 451 4.7.1 later (s1)|452 cid is full
    """)


def test_lmtp_where_nobody_is_left(smtp: Make) -> None:
    plugin = Whole(verdicts(ann=Reject("no"), bob=Defer("later"), cid=Discard("trap")))
    smtp(plugin, protocol="lmtp").play(f"""
        {THREE}
        {TEXT}
        C< 550 5.7.1 no (s1)|451 4.7.1 later (s1)|250 2.0.0 ok
        C> NOOP
        U< NOOP
    """)
    assert plugin.fate == ("rejected", "550 5.7.1 no (s1)")


def test_lmtp_where_the_whole_message_is_refused_all_the_same(smtp: Make) -> None:
    def both(message: Message) -> Any:
        message.envelope.recipients[1].verdict = Defer("later")
        return Reject("no")

    smtp(Whole(both), protocol="lmtp").play(f"""
        {THREE}
        {TEXT}
        C< 550 5.7.1 no (s1)|550 5.7.1 no (s1)|550 5.7.1 no (s1)
    """)


def test_lmtp_upstream_refuses_one_now(smtp: Make) -> None:
    smtp(Whole(verdicts(ann=Reject("no"))), protocol="lmtp").play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<a@b> X=1|RCPT TO:<bob@x>|RCPT TO:<cid@x>
        U> 250 ok|250 ok|452 bob is full|250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 cid has it
        C< 550 5.7.1 no (s1)|452 bob is full|250 cid has it
    """)


def test_lmtp_upstream_refuses_all_now(smtp: Make) -> None:
    smtp(Whole(verdicts(ann=Reject("no"))), protocol="lmtp").play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<a@b> X=1|RCPT TO:<bob@x>|RCPT TO:<cid@x>
        U> 250 ok|250 ok|452 bob is full|550 no cid
        C< 550 5.7.1 no (s1)|452 bob is full|550 no cid
        C> MAIL FROM:<c@d>
        U< RSET
    """)


def test_lmtp_who_asked_to_be_told_is_not_discarded(smtp: Make) -> None:
    smtp(Whole(verdicts(ann=Discard("trap"))), protocol="lmtp", offer=DSN).play(f"""
        C> MAIL FROM:<a@b>|RCPT TO:<ann@x> NOTIFY=SUCCESS
        U< MAIL FROM:<a@b>|RCPT TO:<ann@x> NOTIFY=SUCCESS
        U> 250 ok|250 a
        C< 250 ok|250 a
        {TEXT}
        C< 550 5.7.1 refused by policy (s1)
    """)


def test_lmtp_upstream_is_lost_at_the_end(smtp: Make) -> None:
    smtp(Whole(verdicts(bob=Reject("no"))), protocol="lmtp").play(f"""
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<a@b> X=1|RCPT TO:<ann@x>|RCPT TO:<cid@x>
        U> 250 ok|250 ok|250 ok|250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 ann has it
        C< 250 ann has it
        U! gone
        C< 550 5.7.1 no (s1)
        C< 451 4.4.2 lost the server, fate of the message unknown, try again later (s1)
    """)


def test_verdicts_on_recipients_are_counted(smtp: Make) -> None:
    cell = metrics.VERDICTS.cell("test", "plug0", "message", "reject", "enforce")
    before = cell.value
    smtp(Whole(verdicts(ann=Reject("no"), bob=Reject("no")))).play(f"""
        {THREE}
        {TEXT}
        C< 550 5.7.1 no (s1)
    """)
    assert cell.value == before + 2


def test_a_plugin_that_breaks_down_halfway_is_the_keepers_to_judge(smtp: Make) -> None:
    def breaks(message: Message) -> None:
        message.envelope.sender = "new@b"
        message.envelope.sender = "new@b\r\nRSET"

    smtp(Whole(breaks)).play(f"""
        {THREE}
        {TEXT}
        C< 451 4.3.0 local error (s1)
    """)


def test_a_sender_changed_at_mail(smtp: Make) -> None:
    class Sender(Hears):
        @hookimpl
        def mail_from(self, envelope: Any) -> None:
            envelope.sender = "bounces@b"
            envelope.parameters += " SMTPUTF8"

    smtp(Sender()).play("""
        C> mail from: <a@b>  SIZE=10
        U< mail from: <bounces@b>  SIZE=10 SMTPUTF8
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<c@d>|DATA
        U< RCPT TO:<c@d>|DATA
    """)


def test_nothing_is_asked_before_the_plugin_has_answered(smtp: Make) -> None:
    answer: Deferred[Any] = Deferred()

    def thinks(message: Message) -> Any:
        adds(message)
        return answer

    stage = smtp(Whole(thinks)).play(f"""
        {THREE}
        {TEXT}
    """)
    answer.callback(None)
    stage.play(f"""
        U< RCPT TO:<more@x>
        U> 250 ok
        {SENT}
    """)


def test_a_message_that_is_dropped_whole_is_logged_where_the_sender_asked_to_be_told(smtp: Make) -> None:
    for notify, logged in (("SUCCESS", 1), ("FAILURE", 0)):
        with structlog.testing.capture_logs() as logs:
            smtp(Whole(lambda message: Discard("spam")), offer=DSN).play(f"""
                C> MAIL FROM:<a@b>|RCPT TO:<ann@x> NOTIFY={notify}
                U< MAIL FROM:<a@b>|RCPT TO:<ann@x> NOTIFY={notify}
                U> 250 ok|250 a
                C< 250 ok|250 a
                {TEXT}
                C< 250 2.0.0 ok
            """)
        assert len([one for one in logs if "asked to be told" in one["event"]]) == logged


def test_shadows_change_nothing(smtp: Make) -> None:
    stage = smtp()
    shadow = Whole(changes)
    stage = Stage("smtp", [Plug("shadow", shadow, mode="shadow")], stage.relay.rules)
    stage.play("""
        U> 220 x
        C< 220 x
        C> EHLO me
        U< EHLO me
        U> 250-x|250 PIPELINING
        C< 250-x|250-PIPELINING|250 CHUNKING
    """)
    stage.play(f"""
        {THREE}
        {TEXT}
        {SENT}
    """)
    assert [one.address for one in shadow.done[0].envelope.recipients] == ["ann@x", "bob@x", "cid@x"]


ADDED_REPLIES = {
    "all have it": ("250 ann|250 bob|250 cid|250 more", "250 ann|250 bob|250 cid"),
    "the added one hasn't": ("250 ann|250 bob|250 cid|452 more", "250 ann|250 bob|250 cid"),
    "one of the others hasn't": ("250 ann|550 bob|250 cid|250 more", "250 ann|550 bob|250 cid"),
}


@pytest.mark.parametrize(("replies", "said"), ADDED_REPLIES.values(), ids=ADDED_REPLIES.keys())
def test_lmtp_says_nothing_of_who_was_added(smtp: Make, replies: str, said: str) -> None:
    plugin = Whole(adds)
    smtp(plugin, protocol="lmtp").play(f"""
        {THREE}
        {TEXT}
        U< RCPT TO:<more@x>
        U> 250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> {replies}
        C< {said}
        C> NOOP
        U< NOOP
        U> 250 ok
        C< 250 ok
    """)
    assert plugin.fate[0] == "accepted"


def test_lmtp_knows_in_which_order_upstream_was_asked(smtp: Make) -> None:
    """An added one stands behind the recipient it came with; who was refused has no reply."""

    class First(Hears):
        @hookimpl
        def rcpt_to(self, envelope: Any, recipient: Any) -> None:
            if recipient.local == "ann":
                envelope.add("more@x")
                envelope.add("never@x", required=False)

    smtp(First(), protocol="lmtp").play("""
        C> MAIL FROM:<a@b>|RCPT TO:<ann@x>|RCPT TO:<nobody@x>|RCPT TO:<cid@x>|DATA
        U< MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        U< RCPT TO:<ann@x>
        U> 250 a
        U< RCPT TO:<more@x>|RCPT TO:<never@x>
        U> 250 m|550 n
        C< 250 a
        U< RCPT TO:<nobody@x>|RCPT TO:<cid@x>|DATA
        U> 550 nobody|250 c|354 go
        C< 550 nobody|250 c|354 go
        C> hi|.
        U< hi|.
        U> 250 ann has it
        C< 250 ann has it
        U> 452 more hasn't
        U> 250 cid has it
        C< 250 cid has it
    """)


def test_lmtp_upstream_is_lost_before_it_spoke_of_who_was_added(smtp: Make) -> None:
    plugin = Whole(adds)
    smtp(plugin, protocol="lmtp").play(f"""
        {THREE}
        {TEXT}
        U< RCPT TO:<more@x>
        U> 250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 ann|250 bob|250 cid
        C< 250 ann|250 bob|250 cid
        U! gone
    """)
    assert plugin.fate == ("accepted", "250 cid")


def test_smtp_before_lmtp_hears_nothing_of_who_was_added(smtp: Make) -> None:
    smtp(Whole(adds), upto="greeted", smtp=SmtpRules(upstream_protocol="lmtp")).play(f"""
        C> EHLO me
        U< LHLO me
        U> 250-x|250 PIPELINING
        C< 250-x|250-PIPELINING|250 CHUNKING
        C> MAIL FROM:<a@b>|RCPT TO:<ann@x>
        U< MAIL FROM:<a@b>|RCPT TO:<ann@x>
        U> 250 ok|250 a
        C< 250 ok|250 a
        {TEXT}
        U< RCPT TO:<more@x>
        U> 250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 ann has it
        C< 250 ann has it
        U> 452 more hasn't
        C> NOOP
        U< NOOP
    """)


def test_lmtp_before_smtp_says_each_its_own(smtp: Make) -> None:
    plugin = Whole(verdicts(bob=Reject("no"), cid=Discard("trap")))
    smtp(plugin, upto="greeted", protocol="lmtp", smtp=SmtpRules(upstream_protocol="smtp")).play(f"""
        C> LHLO me
        U< EHLO me
        U> 250-x|250 PIPELINING
        C< 250-x|250-PIPELINING|250 CHUNKING
        {THREE}
        {TEXT}
        U< RSET|MAIL FROM:<a@b> X=1|RCPT TO:<ann@x>
        U> 250 ok|250 ok|250 ok
        U< DATA
        U> 354 go
        U< A: b||hi|.
        U> 250 queued
        C< 250 queued|550 no (s1)|250 ok
    """)
    assert plugin.fate == ("accepted", "550 no (s1)")
