"""Slots, turns, and when it ends."""

from collections.abc import Callable

from mailweir.envelope import Recipient
from mailweir.hookspecs import hookimpl
from mailweir.relay.ledger import LIMIT
from mailweir.relay.rules import SmtpRules
from mailweir.relay.smtp.talk import Talk
from mailweir.testing.play import Stage
from mailweir.verdict import Reject, Verdict

Make = Callable[..., Stage]
GOING = "421 4.3.2 going down, try again later (s1)"


def test_retire_between_messages(smtp: Make) -> None:
    stage = smtp()
    stage.relay.retire()
    stage.play(f"""
        C< {GOING}
        C. closed
        U. closed
    """)


def test_retire_lets_the_message_finish(smtp: Make) -> None:
    stage = smtp(upto="mail")
    stage.relay.retire()
    stage.play(f"""
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
        C> hi|.|MAIL FROM:<c@d>
        U< hi|.
        U> 250 queued
        C< 250 queued|{GOING}
        C. closed
        U. closed
    """)


def test_retire_waits_for_an_answer(smtp: Make) -> None:
    stage = smtp().play("""
        C> NOOP
        U< NOOP
    """)
    stage.relay.retire()
    stage.play(f"""
        U> 250 ok
        C< 250 ok|{GOING}
        C. closed
    """)


def test_a_group_without_end_is_not_taken_at_once(smtp: Make) -> None:
    stage = smtp(smtp=SmtpRules(idle_commands=0))
    stage.say("client", b"NOOP\r\n" * 5000)
    assert stage.upstream.heard == b"NOOP\r\n" * 1000
    assert stage.client.paused
    stage.say("upstream", b"250 ok\r\n" * 1000)
    while stage.client.heard.count(b"\r\n") < 5000:
        stage.say("upstream", b"250 ok\r\n")
    assert stage.upstream.heard == b"NOOP\r\n" * 5000 and not stage.client.paused


def test_who_does_not_listen_is_not_listened_to(smtp: Make) -> None:
    stage = smtp(smtp=SmtpRules(bad_commands=0))
    stage.client.full = True
    stage.say("client", b"\0\r\n" * 100)
    assert stage.client.heard.count(b"\r\n") == 1 and stage.client.paused
    stage.client.full = False
    stage.relay.client_drained()
    assert stage.client.heard.count(b"\r\n") == 100 and not stage.client.paused


class Evil:
    @hookimpl
    def rcpt_to(self, recipient: Recipient) -> Verdict | None:
        return Reject("no") if recipient.local == "evil" else None


def test_answers_of_ours_that_wait_are_limited(smtp: Make) -> None:
    stage = smtp(Evil()).play("C> MAIL FROM:<a@b>\nU< MAIL FROM:<a@b>")
    stage.say("client", b"RCPT TO:<evil@x>\r\n" * (3 * LIMIT))
    assert isinstance(stage.relay, Talk) and len(stage.relay.ledger) == LIMIT
    assert stage.client.paused
    stage.say("upstream", b"250 ok\r\n")
    assert stage.client.heard.count(b"\r\n") == 1 + 3 * LIMIT
    assert not stage.client.paused


def test_a_reply_that_was_here_before_its_command(smtp: Make) -> None:
    smtp(upto="greeted").play("""
        C> NOOP|NOOP
        U< NOOP
        U> 250 one|250 two
        C< 250 one|421 lost the server, try again later (s1)
        C. closed
        U. aborted
    """)


class Censor:
    @hookimpl
    def message(self) -> Verdict:
        return Reject("no")


def test_a_session_that_ended_on_its_own_reset_goes_no_further(smtp: Make) -> None:
    smtp(Censor(), upto="mail").play("""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> hi|.
        C< 550 5.7.1 no (s1)
        U> 25\\
        C> BDAT 2 LAST|hi\\
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
        U. aborted
    """)


def test_a_million_commands_at_once_take_no_more_room_than_a_thousand(smtp: Make) -> None:
    """Ours and upstream's in turn, so that order shows."""
    stage = smtp(Evil(), smtp=SmtpRules(idle_commands=0, bad_commands=0)).play(
        "C> MAIL FROM:<a@b>\nU< MAIL FROM:<a@b>"
    )
    relay = stage.relay
    assert isinstance(relay, Talk)
    stage.upstream.heard = stage.client.heard = b""
    piece = b"NOOP\r\n\0\r\n" * 5000
    stage.say("upstream", b"250 ok\r\n")
    stage.client.heard = b""
    said = answered = most = 0
    while answered < 100_000:
        if not stage.client.paused and said < 100_000:
            stage.say("client", piece)
            said += 10_000
        most = max(most, len(relay.ledger))
        count = stage.upstream.heard.count(b"\n")
        stage.upstream.heard = b""
        stage.say("upstream", b"250 ok\r\n" * count)
        lines = stage.client.heard.splitlines()
        stage.client.heard = b""
        assert [line[:3] for line in lines[:4]] in ([b"250", b"500"] * 2, [b"500", b"250"] * 2, [])
        answered += len(lines)
    assert most <= LIMIT + 1 and not stage.client.paused


def test_last_words_have_their_own_time(smtp: Make) -> None:
    stage = smtp().play("T+ 200")
    stage.relay.retire()
    stage.play(f"C< {GOING}\nT+ 29\nC. closed\nT+ 31\nC. aborted")
