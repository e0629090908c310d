"""Final replies: one in SMTP, one a recipient in LMTP; and what is said when they don't come."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir.envelope import Recipient
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.session import Transaction
from mailweir.testing.play import Stage
from mailweir.verdict import Discard, Reject

Make = Callable[..., Stage]
LOST = "451 4.4.2 lost the server, fate of the message unknown, try again later (s1)"
THREE = """
    C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>
    U< MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>
    U> 250 ok|250 a|550 b|250 a
    C< 250 ok|250 a|550 b|250 a
"""
TEXT = """
    C> DATA
    U< DATA
    U> 354 go
    C< 354 go
    C> hi|.|NOOP
    U< hi|.
"""


class Told:
    def __init__(self) -> None:
        self.done: list[Transaction] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(done.outcome, done.reply) for done in self.done]


class Whole(Told):
    def __init__(self, answer: Any = None) -> None:
        super().__init__()
        self.answer = answer

    @hookimpl
    def message(self, message: Message) -> Any:
        assert message.stage == "lmtp"
        return self.answer


class Trap(Told):
    """Drops what goes to b@z."""

    @hookimpl
    def rcpt_to(self, recipient: Recipient) -> Any:
        return Discard("trap") if recipient.address == "b@z" else None


def test_one_reply_a_recipient(smtp: Make) -> None:
    told = Told()
    smtp(told, protocol="lmtp").play(
        THREE
        + TEXT
        + """
        U> 250-2.0.0|250 one
        C< 250-2.0.0|250 one
        U> 452 full
        C< 452 full
        U< NOOP
    """
    )
    assert told.outcomes == [("accepted", "452 full")]


def test_nobody_is_served(smtp: Make) -> None:
    told = Told()
    smtp(told, protocol="lmtp").play(
        THREE
        + TEXT
        + """
        U> 550 one|452 two
        C< 550 one|452 two
        U< NOOP
    """
    )
    assert told.outcomes == [("rejected", "550 one")]


def test_upstream_dies_between_two_replies(smtp: Make) -> None:
    told = Told()
    smtp(told, protocol="lmtp").play(
        THREE
        + TEXT
        + f"""
        U> 250 one
        C< 250 one
        U! reset
        C< {LOST}
        C. closed
    """
    )
    assert told.outcomes == [("accepted", LOST)]


def test_upstream_closes_between_two_replies(smtp: Make) -> None:
    smtp(protocol="lmtp").play(
        THREE
        + TEXT
        + f"""
        U> 421 bye
        C< 421 bye|{LOST}
        C. closed
        U. closed
    """
    )


def test_upstream_dies_before_all_replies(smtp: Make) -> None:
    smtp(protocol="lmtp").play(
        THREE
        + TEXT
        + f"""
        U! gone
        C< {LOST}|{LOST}
        C. closed
    """
    )


def test_upstream_hangs_at_the_end(smtp: Make) -> None:
    told = Told()
    smtp(told, upto="data").play(f"""
        C> hi|.
        U< hi|.
        T+ 599
        T+ 1
        C< {LOST}
        C. closed
        U. aborted
    """)
    assert told.outcomes == [("deferred", LOST)]


@pytest.mark.parametrize("how", ["gone", "reset"])
def test_no_250_that_upstream_did_not_say(smtp: Make, how: str) -> None:
    told = Told()
    smtp(told, upto="data").play(f"""
        C> hi|.
        U< hi|.
        U! {how}
        C< {LOST}
        C. closed
    """)
    assert told.outcomes == [("deferred", LOST)]


def test_421_is_the_final_reply(smtp: Make) -> None:
    told = Told()
    smtp(told, upto="data").play("""
        C> hi|.|NOOP
        U< hi|.
        U> 421 bye
        C< 421 bye
        C. closed
    """)
    assert told.outcomes == [("deferred", "421 bye")]


def test_a_verdict_is_said_to_each(smtp: Make) -> None:
    whole = Whole(Reject("no"))
    smtp(whole, protocol="lmtp").play(
        THREE
        + """
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> hi|.|NOOP
        C< 550 5.7.1 no (s1)|550 5.7.1 no (s1)
        U< NOOP
    """
    )
    assert whole.outcomes == [("rejected", "550 5.7.1 no (s1)")]


def test_a_refusal_of_data_is_said_to_each(smtp: Make) -> None:
    smtp(Whole(), protocol="lmtp").play(
        THREE
        + """
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> hi|.
        U< DATA
        U> 451 no room
        C< 451 no room|451 no room
    """
    )


def test_a_stray_is_said_to_each(smtp: Make) -> None:
    smtp(protocol="lmtp").play(
        THREE
        + r"""
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
        C> h\ni|.
        U. aborted
        C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)
        C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)
    """
    )


@pytest.mark.parametrize("others", ["ac", "c", "a"])
def test_a_dropped_recipient_has_its_reply_in_its_place(smtp: Make, others: str) -> None:
    names = [name for name in "abc" if name in others or name == "b"]
    commands = "|".join(f"RCPT TO:<{name}@z>" for name in names)
    up = "|".join(f"RCPT TO:<{name}@z>" for name in others)
    told = "|".join("250 2.0.0 ok" if name == "b" else f"250 {name}" for name in names)
    final = "|".join("250 2.0.0 ok" if name == "b" else f"250 done {name}" for name in names)
    smtp(Trap(), protocol="lmtp").play(f"""
        C> MAIL FROM:<x@y>|{commands}
        U< MAIL FROM:<x@y>|{up}
        U> 250 ok|{"|".join(f"250 {name}" for name in others)}
        C< 250 ok|{told}
        {TEXT.strip()}
        U> {"|".join(f"250 done {name}" for name in others)}
        C< {final}
        U< NOOP
    """)


def test_bdat_has_one_reply_a_recipient_too(smtp: Make) -> None:
    smtp(protocol="lmtp").play("""
        C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>|BDAT 4|hi|BDAT 0 LAST|NOOP
        U< MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>|BDAT 4|hi|BDAT 0 LAST
        U> 250 ok|250 a|550 b|250 a|250 chunk|250 one
        C< 250 ok|250 a|550 b|250 a|250 chunk|250 one
        U> 250 two
        C< 250 two
        U< NOOP
    """)


def test_lmtp_without_recipients(smtp: Make) -> None:
    smtp(protocol="lmtp").play("""
        C> MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA|NOOP
        U< MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA
        U> 250 ok|550 b|503 no recipients
        C< 250 ok|550 b|503 no recipients
        U< NOOP
    """)
    smtp(protocol="lmtp").play("""
        C> MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA|NOOP
        U< MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA
        U> 250 ok|550 b|354 go
        C< 250 ok|550 b|421 4.3.0 lost the server, try again later (s1)
        C. closed
        U. aborted
    """)


def test_a_client_that_left_is_owed_nothing_before_its_message_is_upstreams(smtp: Make) -> None:
    """It will send the message again: delivered behind its back, there would be two."""
    thinking: Deferred[None] = Deferred()
    played = smtp(Whole(thinking), upto="mail", protocol="lmtp")
    played.play("C> DATA\nC< 354 end data with <CR><LF>.<CR><LF>\nC> Subject: x||hi|.")
    assert not played.relay.owes_answer()
    thinking.callback(None)
    played.play("U< DATA")
    assert not played.relay.owes_answer()
    played.play("U> 354 go\nU< Subject: x||hi|.")
    assert played.relay.owes_answer()
