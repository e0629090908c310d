"""What one session may do: counted, timed, told once, logged once."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.chain.plug import Plug
from mailweir.hookspecs import hookimpl
from mailweir.relay.rules import SmtpRules
from mailweir.relay.smtp.limits import IDLERS, Limits
from mailweir.session import Address, Session
from mailweir.testing.play import Stage

Make = Callable[..., Stage]
ERRORS = "421 4.7.0 too many errors (s1)"
IDLING = "421 4.7.0 too many commands without a message (s1)"
UNKNOWN = "500 5.5.2 command not recognized (s1)"
SLOW_LINE = "421 4.4.2 command took too long (s1)"
SLOW_TEXT = "421 4.4.2 message comes too slowly (s1)"
TOO_LONG = "421 4.7.0 session lasts too long (s1)"


def count(limit: str) -> float:
    return metrics.LIMITS.cell("test", "smtp", limit).value


def made(**rules: Any) -> Limits:
    address = Address("192.0.2.1", 40000)
    return Limits(
        Session("s1", "test", "smtp", address, address, 0.0), SmtpRules(**rules), structlog.get_logger()
    )


@pytest.mark.parametrize("limit", ["early_talker", "bad_commands"])
def test_each_time_is_counted_and_the_first_logged(limit: str) -> None:
    before = count(limit)
    limits = made()
    with capture_logs() as logs:
        assert all(limits.reached(limit) for _ in range(3))
    assert count(limit) == before + 3
    assert logs == [{"event": "limit reached", "limit": limit, "client": "192.0.2.1", "log_level": "info"}]


def test_none_is_no_limit() -> None:
    limits = made(bad_commands=0, idle_commands=0, session_time=0.0, command_time=0.0, text_rate=0)
    assert not any(limits.bad(500) or limits.idle() for _ in range(5000))
    limits.lasts(1e9)
    assert not limits.expired
    assert not any(limits.line_late(now, begun=True) or limits.text_late(now, "a") for now in (1e3, 1e6, 1e9))


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        (500, True),
        (501, True),
        (503, True),
        (504, True),
        (530, False),
        (550, False),
        (451, False),
        (250, False),
    ],
)
def test_what_is_nonsense(code: int, counts: bool) -> None:
    limits = made(bad_commands=1)
    assert [limits.bad(code), limits.bad(code)] == [False, counts]


def test_how_often_it_looks() -> None:
    assert made(command_time=0.0).tick == 30.0
    assert made(command_time=5.0).tick == 5.0
    assert made(session_time=7.0).tick == 7.0


def test_a_pace_is_measured_by_the_minute() -> None:
    limits = made(text_rate=10)
    session = limits._session
    seen = []
    for now, octets in ((0, 0), (30, 0), (60, 600), (90, 600), (120, 1199)):
        session.octets_from_client = octets
        seen.append(limits.text_late(float(now), "one"))
    assert seen == [False, False, False, False, True]
    assert not limits.text_late(150.0, "two") and not limits.text_late(209.0, "two")
    limits.hindered()
    assert not limits.text_late(215.0, "two")
    assert limits.text_late(275.0, "two")
    assert not limits.text_late(300.0, None) and not limits.text_late(400.0, "two")


def test_too_many_errors(smtp: Make) -> None:
    before = count("bad_commands")
    stage = smtp(smtp=SmtpRules(bad_commands=2), refuse_unknown=True).play(f"""
        C> XA|NOOP|\\0|MAIL FROM:<a@b>|XC|XD
        U< NOOP|MAIL FROM:<a@b>
        C< {UNKNOWN}
        U> 250 ok
        C< 250 ok|500 5.5.2 not a command line (s1)
        U> 250 ok
        C< 250 ok|{ERRORS}
        C. closed
        U. closed
    """)
    assert count("bad_commands") == before + 1 and stage.session.closed == "too many errors"


def test_a_refused_chunk_is_an_error_too(smtp: Make) -> None:
    smtp(smtp=SmtpRules(bad_commands=1), upto="greeted").play(
        f"""
        C> HELO me
        U< HELO me
        U> 250 hi
        C< 250 hi
        C> BDAT 4|quitBDAT 4|quitNOOP
        C< 503 CHUNKING was not offered (s1)|{ERRORS.replace("4.7.0 ", "")}
        C. closed
    """.replace("BDAT 4|quit", "BDAT 4\\r\\nquit")
    )


def test_too_many_idle_commands(smtp: Make) -> None:
    before = count("idle_commands")
    smtp(smtp=SmtpRules(idle_commands=3)).play(f"""
        C> NOOP|RSET|VRFY x|NOOP
        U< NOOP|RSET
        U> 250 ok|250 ok
        C< 250 ok|250 ok|{IDLING}
        C. closed
        U. closed
    """)
    assert count("idle_commands") == before + 1


def test_a_message_makes_up_for_them(smtp: Make) -> None:
    message = """
        C> NOOP|RSET|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA
        U< NOOP|RSET|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA
        U> 250 ok|250 ok|250 ok|250 ok|354 go
        C< 250 ok|250 ok|250 ok|250 ok|354 go
        C> hi|.
        U< hi|.
        U> 250 queued
        C< 250 queued
    """
    smtp(smtp=SmtpRules(idle_commands=3)).play(message * 3)


def test_idlers_are_commands_of_ours() -> None:
    from mailweir.relay.smtp.relay import HANDLERS

    assert HANDLERS.keys() > IDLERS


def test_a_line_that_does_not_end(smtp: Make) -> None:
    before = count("command_time")
    stage = smtp(smtp=SmtpRules(command_time=60.0))
    for _ in range(6):
        stage.play("C> X\\\nT+ 9")
    stage.play(f"C> X\\\nT+ 36\nC< {SLOW_LINE}\nC. closed\nU. closed")
    assert count("command_time") == before + 1


def test_a_line_too_long_that_does_not_end(smtp: Make) -> None:
    stage = smtp(smtp=SmtpRules(command_time=60.0))
    for _ in range(9):
        stage.say("client", b"x" * 5000)
        stage.clock.pump([1.0] * 10)
    stage.play(f"C< {SLOW_LINE}\nC. closed")


def test_lines_that_end(smtp: Make) -> None:
    stage = smtp(smtp=SmtpRules(command_time=60.0))
    stage.say("client", b"NO")
    for _ in range(20):
        stage.play("T+ 20\nC> OP|NO\\\nU< NOOP\nU> 250 ok\nC< 250 ok")


def test_a_line_that_must_wait_is_not_late(smtp: Make) -> None:
    smtp(smtp=SmtpRules(command_time=60.0)).play("""
        C> VRFY x|EHLO me|NO\\
        U< VRFY x|EHLO me
        T+ 200
        U> 252 maybe|250 hi
        C< 252 maybe|250-hi|250-PIPELINING|250 CHUNKING
        T+ 50
        C> OP
        U< NOOP
    """)


def test_a_response_of_a_login_that_does_not_end(smtp: Make) -> None:
    stage = smtp(smtp=SmtpRules(command_time=60.0), offer="AUTH PLAIN|250 PIPELINING", client="127.0.0.1")
    stage.play("""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
    """)
    for _ in range(4):
        stage.play("C> x\\\nT+ 20")
    stage.play(f"C> x\\\nT+ 20\nC< {SLOW_LINE.replace('4.4.2 ', '')}\nC. closed")


def drip(stage: Stage, octets: bytes, seconds: int) -> None:
    for _ in range(seconds):
        if stage.client.state == "open":
            stage.say("client", octets)
            stage.clock.pump([1.0])


def test_a_text_that_drips(smtp: Make) -> None:
    before = count("text_rate")
    stage = smtp(smtp=SmtpRules(text_rate=100), upto="data")
    drip(stage, b"x" * 150, 300)
    assert stage.client.state == "open"
    drip(stage, b"x" * 50, 121)
    stage.upstream.heard = b""
    stage.play(f"C< {SLOW_TEXT}\nC. closed\nU. aborted")
    assert count("text_rate") == before + 1


def test_a_text_that_upstream_does_not_take_does_not_drip(smtp: Make) -> None:
    stage = smtp(smtp=SmtpRules(text_rate=100), upto="data")
    stage.say("client", b"x" * 100)
    for _ in range(20):
        stage.upstream.full = True
        drip(stage, b"x", 20)
        stage.upstream.full = False
        stage.relay.upstream_drained()
    assert stage.client.state == "open"


def test_chunks_that_drip(smtp: Make) -> None:
    stage = smtp(smtp=SmtpRules(text_rate=100), upto="mail")
    for _ in range(14):
        if stage.client.state == "open":
            stage.say("client", b"BDAT 1\r\nx")
            stage.say("upstream", b"250 ok\r\n")
            stage.clock.pump([1.0] * 10)
    assert stage.client.heard.endswith(SLOW_TEXT.encode() + b"\r\n") and stage.client.state == "closed"


def test_a_plugin_that_thinks_is_not_the_client_s_pace(smtp: Make) -> None:
    class Slow:
        @hookimpl
        def message(self) -> Any:
            return answer

    answer: Deferred[Any] = Deferred()
    patient = Plug("patient", Slow(), timeout=3600.0)
    stage = smtp(patient, smtp=SmtpRules(text_rate=100), upto="mail").play("""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> hi|.
        T+ 150
    """)
    answer.callback(None)
    stage.play("U< DATA")


def test_a_session_that_lasts_too_long_ends_at_a_border(smtp: Make) -> None:
    before = count("session_time")
    smtp(smtp=SmtpRules(session_time=100.0), upto="mail").play(f"""
        T+ 140
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
        C> hi|.
        U< hi|.
        U> 250 queued
        C< 250 queued|{TOO_LONG}
        C. closed
        U. closed
    """)
    assert count("session_time") == before + 1
    smtp(smtp=SmtpRules(session_time=100.0)).play(f"T+ 119\nT+ 1\nC< {TOO_LONG}\nC. closed")


EARLY = "554 weir.example you spoke before you were greeted (s1)"


def test_an_early_talker_is_refused_in_place_of_the_greeting(smtp: Make) -> None:
    before = count("early_talker")
    stage = smtp(upto="connected", smtp=SmtpRules(early_talker="reject"))
    stage.begin()
    assert not stage.client.paused
    stage.play(f"""
        C> EHLO me
        U> 220 hi
        C< {EARLY}
        C. closed
        U. closed
    """)
    assert count("early_talker") == before + 1 and stage.session.closed == "client spoke too early"


def test_an_early_talker_is_not_taken_more_of(smtp: Make) -> None:
    stage = smtp(upto="connected", smtp=SmtpRules(early_talker="reject")).play("C> EHLO me")
    assert stage.client.paused


def test_who_waits_for_the_greeting_is_greeted(smtp: Make) -> None:
    stage = smtp(upto="greeted", smtp=SmtpRules(early_talker="reject")).play(
        "C> NOOP\nU< NOOP\nU> 250 ok\nC< 250 ok"
    )
    assert not stage.client.paused


def test_a_line_too_long_is_counted(smtp: Make) -> None:
    before = count("command_line")
    stage = smtp(command_line=100)
    stage.say("client", b"NOOP " + b"x" * 5000 + b"\r\nNOOP\r\n")
    stage.play("C< 500 5.5.2 line too long (s1)\nU< NOOP")
    assert count("command_line") == before + 1
