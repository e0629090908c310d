"""The differences between SMTP and LMTP, and what becomes of them where the two meet."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from mailweir.envelope import Recipient
from mailweir.hookspecs import hookimpl
from mailweir.relay.rules import Rules, SmtpRules
from mailweir.relay.smtp.dialect import DIALECTS, one_line
from mailweir.session import Transaction
from mailweir.testing.play import Stage
from mailweir.verdict import Discard, Reject, Route

Make = Callable[..., Stage]
TO_LMTP = SmtpRules(upstream_protocol="lmtp")
TO_SMTP = SmtpRules(upstream_protocol="smtp")
OFFER = "mail.example.org|250-PIPELINING|250-CHUNKING|250 ENHANCEDSTATUSCODES"
ALONE = "452 4.5.3 one recipient at a time, send this one again (s1)"
LOST = "451 4.4.2 lost the server, fate of the message unknown, try again later (s1)"


class Told:
    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.outcomes.append((transaction.outcome, transaction.reply))


class Trap(Told):
    """Drops what goes to t@z."""

    @hookimpl
    def rcpt_to(self, recipient: Recipient) -> Any:
        return Discard("trap") if recipient.local == "t" else None


class No(Told):
    @hookimpl
    def message(self) -> Reject:
        return Reject("no")


def front(smtp: Make, *plugins: object) -> Stage:
    """SMTP before LMTP, after the hello."""
    return smtp(*plugins, upto="greeted", smtp=TO_LMTP).play(f"""
        C> EHLO me
        U< LHLO me
        U> 250-{OFFER}
        C< 250-{OFFER}
    """)


def back(smtp: Make, *plugins: object) -> Stage:
    """LMTP before SMTP, after the hello and with three recipients."""
    return smtp(*plugins, upto="greeted", protocol="lmtp", smtp=TO_SMTP).play(f"""
        C> LHLO me
        U< EHLO me
        U> 250-{OFFER}
        C< 250-{OFFER}
        C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>
        U< MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>
        U> 250 ok|250 a|550 b|250 a
        C< 250 ok|250 a|550 b|250 a
    """)


ONE = """
    C> MAIL FROM:<x@y>|RCPT TO:<a@z>
    U< MAIL FROM:<x@y>|RCPT TO:<a@z>
    U> 250 ok|250 a
    C< 250 ok|250 a
"""
TEXT = """
    C> DATA
    U< DATA
    U> 354 go
    C< 354 go
    C> hi|.|NOOP
    U< hi|.
"""
CHUNK = """
    C> BDAT 4 LAST|hi|NOOP
    U< BDAT 4 LAST|hi
"""


def test_each_protocol_has_its_row() -> None:
    assert [dialect.stage for dialect in DIALECTS.values()] == list(DIALECTS) == ["smtp", "lmtp"]


@pytest.mark.parametrize(
    ("dialect", "said", "sent"),
    [
        ("smtp", b"EHLO me\r\n", b"EHLO me\r\n"),
        ("smtp", b"helo me\r\n", b"helo me\r\n"),
        ("smtp", b"Lhlo  me \r\n", b"EHLO  me \r\n"),
        ("lmtp", b"LHLO me\r\n", b"LHLO me\r\n"),
        ("lmtp", b"EHLO me\r\n", b"LHLO me\r\n"),
        ("lmtp", b"HELO\r\n", b"LHLO\r\n"),
    ],
)
def test_hello(dialect: str, said: bytes, sent: bytes) -> None:
    assert DIALECTS[dialect].hello(said[:4].upper().decode(), said) == sent


WRONG_HELLOS = {  # what the client says: upstream's protocol, what it hears, what the log says of it
    "EHLO me": (
        "lmtp",
        "LHLO me",
        "it does not seem to speak lmtp; if it speaks smtp, say `protocol: smtp` of it",
    ),
    "HELO me": (
        "smtp",
        "HELO me",
        "it does not seem to speak smtp; if it speaks lmtp, say `protocol: lmtp` of it",
    ),
}


@pytest.mark.parametrize(("said", "told"), WRONG_HELLOS.items(), ids=WRONG_HELLOS)
def test_the_keeper_is_told_of_a_server_that_speaks_the_other(
    smtp: Make, said: str, told: tuple[str, str, str]
) -> None:
    spoken, heard, reason = told
    with capture_logs() as logs:
        smtp(upto="greeted", smtp=TO_LMTP if spoken == "lmtp" else TO_SMTP).play(f"""
            C> {said}
            U< {heard}
            U> 500 what?
            C< 500 what?
        """)
    (line,) = [line for line in logs if line["log_level"] == "warning"]
    assert line["event"] == f"upstream knows no {heard[:4]}"
    assert (line["code"], line["reason"]) == (500, reason)


@pytest.mark.parametrize("reply", ["500 what?", "502 no"])
def test_an_old_server_that_knows_no_ehlo_is_no_mistake(smtp: Make, reply: str) -> None:
    with capture_logs() as logs:
        smtp(upto="greeted").play(f"""
            C> EHLO me
            U< EHLO me
            U> {reply}
            C< {reply}
        """)
    assert not [line for line in logs if line["log_level"] == "warning"]


@pytest.mark.parametrize("reply", [b"250 x\r\n", b"250-x\r\n250-SIZE\r\n250 HELP\r\n"])
def test_one_line(reply: bytes) -> None:
    assert one_line(reply) == b"250 x\r\n"


def test_hello_of_the_other_protocol(smtp: Make) -> None:
    smtp(upto="greeted").play("""
        C> LHLO me
        C< 500 command not recognized (s1)
    """)
    smtp(upto="greeted", protocol="lmtp").play("""
        C> EHLO me|HELO me
        C< 500 command not recognized (s1)|500 command not recognized (s1)
    """)
    smtp(upto="greeted", smtp=TO_LMTP).play("""
        C> LHLO me
        C< 500 command not recognized (s1)
    """)


def test_a_short_hello_before_lmtp(smtp: Make) -> None:
    """HELO knows no extensions, and of the reply only the first line."""
    smtp(upto="greeted", smtp=TO_LMTP).play(f"""
        C> HELO me
        U< LHLO me
        U> 250-{OFFER}
        C< 250 mail.example.org
        C> MAIL FROM:<x@y>|RCPT TO:<a@z>
        U< MAIL FROM:<x@y>
        U> 250 ok
        C< 250 ok
        U< RCPT TO:<a@z>
        U> 250 a
        C< 250 a
        C> BDAT 2|hi
        C< 503 CHUNKING was not offered (s1)
        C< 500 not a command line (s1)
    """)


@pytest.mark.parametrize(
    ("protocol", "rules", "hello"), [("smtp", TO_LMTP, "LHLO"), ("lmtp", TO_SMTP, "EHLO")]
)
def test_our_own_hello(smtp: Make, protocol: str, rules: SmtpRules, hello: str) -> None:
    smtp(upto="connected", protocol=protocol, smtp=rules, upstream_tls="starttls").play(f"""
        U> 220 mail.example.org
        U< {hello} weir.example
        U> 250-mail.example.org|250 STARTTLS
        U< STARTTLS
        U> 220 go
        U. tls
        C< 220 mail.example.org
    """)


@pytest.mark.parametrize("text", [TEXT, CHUNK], ids=["DATA", "BDAT"])
@pytest.mark.parametrize("final", ["250 2.0.0 done", "552-5.2.2 very|552 5.2.2 full", "452 4.3.1 no room"])
def test_smtp_before_lmtp(smtp: Make, text: str, final: str) -> None:
    """One recipient, one reply; who comes for more is asked to come again."""
    told = Told()
    front(smtp, told).play(f"""
        C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>
        U< MAIL FROM:<x@y>|RCPT TO:<a@z>
        U> 250 ok|250 a
        C< 250 ok|250 a|{ALONE}|{ALONE}
        {text.strip()}
        U> {final}
        C< {final}
        U< NOOP
        U> 250 ok
        C< 250 ok
    """)
    assert [outcome for outcome, _ in told.outcomes] == [
        {"2": "accepted", "5": "rejected", "4": "deferred"}[final[0]]
    ]


def test_the_second_recipient_has_the_place_of_one_that_was_refused(smtp: Make) -> None:
    front(smtp).play(f"""
        C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>
        U< MAIL FROM:<x@y>|RCPT TO:<a@z>
        U> 250 ok|550 a
        C< 250 ok|550 a
        U< RCPT TO:<b@z>
        U> 250 b
        C< 250 b
        C> RCPT TO:<c@z>
        C< {ALONE}
    """)


def test_nobody_is_left_before_lmtp(smtp: Make) -> None:
    front(smtp).play("""
        C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|BDAT 6 LAST|QUIT|NOOP
        U< MAIL FROM:<x@y>|RCPT TO:<a@z>
        U> 250 ok|550 a
        C< 250 ok|550 a
        U< RCPT TO:<b@z>
        U> 550 b
        C< 550 b|554 5.5.1 no valid recipients (s1)
        U< NOOP
    """)


def test_a_dropped_recipient_needs_no_reply_of_lmtp(smtp: Make) -> None:
    trap = Trap()
    front(smtp, trap).play("""
        C> MAIL FROM:<x@y>|RCPT TO:<t@z>|RCPT TO:<a@z>
        U< MAIL FROM:<x@y>|RCPT TO:<a@z>
        U> 250 ok|250 a
        C< 250 ok|250 2.0.0 ok|250 a
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
        C> hi|.
        U< hi|.
        U> 452 a is full
        C< 452 a is full
    """)
    assert trap.outcomes == [("deferred", "452 a is full")]


def test_lmtp_is_lost_behind_smtp(smtp: Make) -> None:
    front(smtp).play(f"""
        {ONE.strip()}
        {TEXT.strip()}
        U! reset
        C< {LOST}
        C< 250 2.0.0 ok
    """)


@pytest.mark.parametrize("text", [TEXT, CHUNK], ids=["DATA", "BDAT"])
@pytest.mark.parametrize("final", ["250-2.0.0 all|250 2.0.0 done", "554 5.7.1 no", "452 4.3.1 no room"])
def test_lmtp_before_smtp(smtp: Make, text: str, final: str) -> None:
    """The one reply is said for each recipient that was accepted, one who was named twice included."""
    told = Told()
    back(smtp, told).play(f"""
        {text.strip()}
        U> {final}
        C< {final}|{final}
        U< NOOP
    """)
    assert [outcome for outcome, _ in told.outcomes] == [
        {"2": "accepted", "5": "rejected", "4": "deferred"}[final[0]]
    ]


def test_a_dropped_recipient_among_those_of_lmtp(smtp: Make) -> None:
    smtp(Trap(), upto="greeted", protocol="lmtp", smtp=TO_SMTP).play(f"""
        C> LHLO me
        U< EHLO me
        U> 250-{OFFER}
        C< 250-{OFFER}
        C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<t@z>|RCPT TO:<b@z>
        U< MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>
        U> 250 ok|250 a|250 b
        C< 250 ok|250 a|250 2.0.0 ok|250 b
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
        C> hi|.
        U< hi|.
        U> 554 no
        C< 554 no|250 2.0.0 ok|554 no
    """)


@pytest.mark.parametrize(
    ("death", "said"), [("U! reset", ""), ("U! gone", ""), ("U> 421 bye", "421 bye|421 bye"), ("U> what", "")]
)
def test_smtp_is_lost_behind_lmtp(smtp: Make, death: str, said: str) -> None:
    back(smtp).play(f"""
        {TEXT.strip()}
        {death}
        C< {said or f"{LOST}|{LOST}"}
        {"C< 250 2.0.0 ok" if death.startswith("U!") else "C. closed"}
    """)


def test_a_verdict_is_said_to_each_recipient_of_lmtp(smtp: Make) -> None:
    back(smtp, No()).play("""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> hi|.
        C< 550 5.7.1 no (s1)|550 5.7.1 no (s1)
    """)


def test_a_text_without_recipients_for_smtp(smtp: Make) -> None:
    """Servers may say 354 (RFC 2920 3.1); then there would be no reply that LMTP has for it."""
    smtp(upto="greeted", protocol="lmtp", smtp=TO_SMTP).play(f"""
        C> LHLO me
        U< EHLO me
        U> 250-{OFFER}
        C< 250-{OFFER}
        C> MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA
        U< MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA
        U> 250 ok|550 b|354 go
        C< 250 ok|550 b|421 4.3.0 lost the server, try again later (s1)
        C. closed
        U. aborted
    """)


def test_a_plugin_names_an_upstream_that_speaks_otherwise(smtp: Make) -> None:
    """What is spoken there is known when it is dialled, not before."""

    class Routes:
        @hookimpl
        def route(self) -> Route:
            stage.relay.rules = Rules(hostname="weir.example", upstream="route", smtp=TO_LMTP)
            return Route("mailbox")

    stage = smtp(Routes(), upto="connected", upstream="route")
    stage.play("""
        U> 220 mail.example.org
        C< 220 mail.example.org
        C> EHLO me
        U< LHLO me
    """)
