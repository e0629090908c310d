"""How long each wait lasts, and the reminders to an upstream that is kept waiting."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir.chain.plug import Plug
from mailweir.hookspecs import hookimpl
from mailweir.relay.rules import SmtpRules
from mailweir.relay.smtp.talk import Talk
from mailweir.relay.smtp.timers import ANSWER, BLOCK, IDLE, OTHER, borne
from mailweir.testing.play import Stage
from mailweir.verdict import Discard, Reject

Make = Callable[..., Stage]
LOST = "421 4.3.0 lost the server, try again later (s1)"
OURS = "354 end data with <CR><LF>.<CR><LF>"

WAITS: dict[str, tuple[str, str, float, str]] = {  # upto, rows, seconds, whose silence
    "greeting": ("connected", "", 300.0, "upstream"),
    "the client": ("greeted", "", 300.0, "client"),
    "EHLO": ("greeted", "C> EHLO me\nU< EHLO me", 300.0, "upstream"),
    "MAIL": ("hello", "C> MAIL FROM:<a@b>\nU< MAIL FROM:<a@b>", 300.0, "upstream"),
    "RCPT": ("mail", "C> RCPT TO:<a@b>\nU< RCPT TO:<a@b>", 300.0, "upstream"),
    "DATA": ("mail", "C> DATA\nU< DATA", 120.0, "upstream"),
    "the text": ("data", "C> hi\\\nU< hi\\", 300.0, "client"),
    "the end": ("data", "C> .\nU< .", 600.0, "upstream"),
    "last words": ("hello", "C> QUIT\nU< QUIT\nU> 221 bye\nC< 221 bye", 30.0, "client"),
    "a chunk": ("mail", "C> BDAT 5\\r\\nhi\\\nU< BDAT 5\\r\\nhi\\", 300.0, "client"),
    "its reply": ("mail", "C> BDAT 2\\r\\nhi\\\nU< BDAT 2\\r\\nhi\\", 300.0, "upstream"),
}


@pytest.mark.parametrize(("upto", "rows", "seconds", "whose"), WAITS.values(), ids=WAITS.keys())
def test_every_wait(smtp: Make, upto: Any, rows: str, seconds: float, whose: str) -> None:
    stage = smtp(upto=upto, smtp=SmtpRules(command_time=0.0))
    stage.begin()
    stage.play(rows)
    assert isinstance(stage.relay, Talk) and borne(stage.relay) == (seconds, whose)
    state = stage.client.state
    stage.clock.pump([1.0] * int(seconds - 1))
    assert stage.client.state == state and not stage.client.heard
    stage.clock.pump([1.0] * 31)
    assert stage.client.state != state


def test_a_shorter_time_of_the_keeper_s_holds(smtp: Make) -> None:
    stage = smtp(upstream_reply=50.0, client_idle=20.0)
    assert isinstance(stage.relay, Talk) and borne(stage.relay) == (20.0, "client")
    stage.play("C> MAIL FROM:<a@b>\nU< MAIL FROM:<a@b>")
    assert borne(stage.relay) == (50.0, "upstream")


def test_upstream_s_time_is_up_before_the_client_s() -> None:
    assert max(ANSWER["DATA"], BLOCK) < IDLE and OTHER <= IDLE


def test_an_upstream_that_takes_no_more_of_a_text(smtp: Make) -> None:
    stage = smtp(upto="data").play("C> hi\\\nU< hi\\")
    stage.upstream.full = True
    stage.play("T+ 179")
    stage.relay.upstream_drained()
    stage.upstream.full = True
    stage.play(f"T+ 179\nT+ 1\nC< {LOST}\nC. closed\nU. aborted")


def test_a_client_that_takes_no_answers(smtp: Make) -> None:
    """It is its silence, not upstream's, which may not speak meanwhile."""
    stage = smtp(client_idle=100.0).play("C> NOOP|NOOP\nU< NOOP|NOOP")
    stage.client.full = True
    stage.play("T+ 100\nC< 421 4.4.2 idle for too long (s1)\nC. closed")


class Slow:
    def __init__(self) -> None:
        self.answer: Deferred[Any] = Deferred()

    @hookimpl
    def message(self) -> Any:
        return self.answer


def patient(plugin: object) -> Plug:
    """It may think for an hour."""
    return Plug("patient", plugin, timeout=3600.0)


HELLO = """
    C> EHLO me
    U< EHLO me
    U> 250-hi|250 {offer}
    C< {told}
    C> MAIL FROM:<a@b>
    U< MAIL FROM:<a@b>
    U> 250 ok
    C< 250 ok
    C> RCPT TO:<c@d>
    U< RCPT TO:<c@d>
    U> 250 ok
    C< 250 ok
"""
PIPELINES = HELLO.format(offer="PIPELINING", told="250-hi|250-PIPELINING|250 CHUNKING")
ONE_BY_ONE = HELLO.format(offer="HELP", told="250-hi|250-HELP|250-PIPELINING|250 CHUNKING")
CHUNKS = HELLO.format(offer="CHUNKING", told="250-hi|250-CHUNKING|250 PIPELINING")
JUDGED = f"""
    C> DATA
    C< {OURS}
    C> hi|.
    T+ 209
    T+ 1
    U< NOOP
    U> 250 yes
    T+ 179
    T+ 1
    U< NOOP
"""


@pytest.mark.parametrize("hello", [PIPELINES, ONE_BY_ONE], ids=["pipelines", "one by one"])
def test_upstream_is_reminded_while_a_message_is_judged(smtp: Make, hello: str) -> None:
    slow = Slow()
    stage = smtp(patient(slow), upto="greeted").play(hello + JUDGED)
    slow.answer.callback(None)
    if hello is ONE_BY_ONE:
        stage.play("U> 500 what\nU< DATA")
    else:
        stage.play("U< DATA\nU> 500 what")
    stage.play("U> 354 go\nU< hi|.\nU> 250 queued\nC< 250 queued\nT+ 290")


def test_a_refusal_waits_for_the_answer_to_a_reminder(smtp: Make) -> None:
    slow = Slow()
    stage = smtp(patient(slow), upto="greeted").play(PIPELINES + JUDGED)
    slow.answer.callback(Reject("no"))
    stage.play("C> NOOP\nU< NOOP\nU> 250 yes\nC< 550 no (s1)\nU> 250 two\nC< 250 two\nT+ 290")


def test_a_client_that_leaves_meanwhile_gets_nothing_delivered(smtp: Make) -> None:
    slow = Slow()
    stage = smtp(patient(slow), upto="greeted").play(PIPELINES + JUDGED + "C! gone\nU. aborted")
    assert stage.relay.rules.spool.used == 0


def test_an_upstream_that_closes_at_a_reminder(smtp: Make) -> None:
    smtp(patient(Slow()), upto="greeted").play(
        PIPELINES + JUDGED + "U> 421 too many\nC< 421 too many\nC. closed"
    )


def test_upstream_is_reminded_while_a_message_comes_slowly(smtp: Make) -> None:
    stage = smtp(patient(Slow()), upto="greeted").play(f"{PIPELINES}\nC> DATA\nC< {OURS}")
    for _ in range(21):
        stage.say("client", b"x\r\n")
        stage.clock.pump([1.0] * 10)
    stage.play("U< NOOP\nU> 250 yes")
    stage = smtp(patient(Slow()), upto="greeted").play(f"{CHUNKS}\nC> BDAT 100\\r\\nx\\")
    for _ in range(21):
        stage.say("client", b"x\r\n")
        stage.clock.pump([1.0] * 10)
    stage.play("U< NOOP\nU> 250 yes")


def test_upstream_is_reminded_of_a_message_that_is_dropped(smtp: Make) -> None:
    class Trap:
        @hookimpl
        def mail_from(self) -> Any:
            return Discard("trap")

    stage = smtp(Trap(), upto="mail").play(f"C> DATA\nC< {OURS}")
    for _ in range(21):
        stage.say("client", b"x\r\n")
        stage.clock.pump([1.0] * 10)
    stage.play("U< NOOP\nU> 250 yes\nC> .\nC< 250 2.0.0 ok\nT+ 290")


def test_nothing_is_said_into_a_text(smtp: Make) -> None:
    class Head:
        @hookimpl
        def message_head(self) -> None: ...

    for plugs in ((), (Head(),)):
        stage = smtp(*plugs, upto="mail")
        if not plugs:
            stage.play("C> DATA\nU< DATA\nU> 354 go\nC< 354 go\nC> A: b||x\\\nU< A: b||x\\")
        else:
            stage.play(f"C> DATA\nC< {OURS}\nC> A: b||x\\\nU< DATA\nU> 354 go\nU< A: b||x\\")
        for _ in range(50):
            stage.play("C> x\\\nU< x\\\nT+ 10")
