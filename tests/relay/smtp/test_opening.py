"""From the connection to the first command, and STARTTLS on both legs."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir.hookspecs import hookimpl
from mailweir.session import Session, Tls
from mailweir.testing.play import Stage
from mailweir.verdict import Close, Defer, Reject

Make = Callable[..., Stage]
TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")


class Door:
    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.opened = 0

    @hookimpl
    def connected(self) -> Any:
        return self.answer

    @hookimpl
    def session_opened(self, session: Session) -> None:
        self.opened += 1


def test_the_greeting_is_upstreams(smtp: Make) -> None:
    door = Door()
    stage = smtp(door, upto="connected").play("""
        U> 220-mail.example.org|220 ESMTP
        C< 220-mail.example.org|220 ESMTP
        C> NOOP
        U< NOOP
    """)
    assert door.opened == 1 and stage.dialled == ["server"]


def test_an_early_talker_waits(smtp: Make) -> None:
    smtp(upto="connected").play("""
        C> EHLO me
        U> 220 hello
        C< 220 hello
        U< EHLO me
    """)


@pytest.mark.parametrize("greeting", ["554 no service", "521 no mail"])
def test_a_greeting_that_refuses_is_passed(smtp: Make, greeting: str) -> None:
    smtp(upto="connected").play(f"""
        U> {greeting}
        C< {greeting}
        C> QUIT
        U< QUIT
        U> 221 bye
        C< 221 bye
        C. closed
    """)


def test_nothing_goes_up_in_clear_behind_a_greeting_that_refuses(smtp: Make) -> None:
    """Who taps the line may say 554, and then offer AUTH to whoever goes on."""
    smtp(upto="connected", upstream_tls="starttls").play("""
        U> 554 no service
        C< 554 no service
        C. closed
        U. closed
    """)


def test_answers_that_were_here_before_starttls_was_said_are_none(smtp: Make) -> None:
    smtp(upto="connected", upstream_tls="starttls").play("""
        U> 220 hi|250-hi|250 STARTTLS|220 go
        C< 421 weir.example service not available, try again later (s1)
        C. closed
        U. aborted
    """)


def test_421_in_place_of_a_greeting(smtp: Make) -> None:
    smtp(upto="connected").play("""
        U> 421 busy
        C< 421 busy
        C. closed
        U. closed
    """)


REFUSALS = {
    "reject": (Reject("go away"), "554 weir.example go away (s1)"),
    "a code": (Reject("go away", 521), "521 weir.example go away (s1)"),
    "defer": (Defer(), "421 weir.example try again later (s1)"),
    "close": (Close(), "421 weir.example closing connection (s1)"),
}


@pytest.mark.parametrize(("verdict", "reply"), REFUSALS.values(), ids=REFUSALS.keys())
@pytest.mark.parametrize("later", [True, False])
def test_a_plugin_refuses_the_session(smtp: Make, verdict: Any, reply: str, later: bool) -> None:
    answer: Deferred[Any] = Deferred()
    stage = smtp(Door(answer if later else verdict), upto="connected")
    stage.begin()
    if later:
        answer.callback(verdict)
    stage.play(f"""
        C< {reply}
        C. closed
    """)
    assert stage.dialled == []


def test_upstream_is_unreachable(smtp: Make) -> None:
    smtp(upto="connected").play("""
        U! unreachable
        C< 421 weir.example service not available, try again later (s1)
        C. closed
    """)


def test_upstream_is_lost_before_its_greeting(smtp: Make) -> None:
    smtp(upto="connected").play("""
        U! reset
        C< 421 weir.example service not available, try again later (s1)
        C. closed
    """)


def test_upstream_says_nothing(smtp: Make) -> None:
    smtp(upto="connected").play("""
        T+ 299
        T+ 1
        C< 421 weir.example service not available, try again later (s1)
        C. closed
        U. aborted
    """)


def test_upstream_speaks_another_protocol(smtp: Make) -> None:
    smtp(upto="connected").play("""
        U> +OK pop here
        C< 421 weir.example service not available, try again later (s1)
        C. closed
        U. aborted
    """)


UPSTREAM_TLS = """
    U> 220 clear
    U< EHLO weir.example
    U> 250-x|250 STARTTLS
    U< STARTTLS
    U> 220 go
    U. tls
    C< 220 clear
    C> EHLO me
    U< EHLO me
"""


def test_tls_with_upstream(smtp: Make) -> None:
    stage = smtp(upto="connected", upstream_tls="starttls").play(UPSTREAM_TLS)
    assert stage.session.upstream_tls == TLS
    smtp(upto="connected", protocol="lmtp", upstream_tls="starttls").play(
        UPSTREAM_TLS.replace("EHLO", "LHLO")
    )


NO_TLS = "421 weir.example no secure way to the server, try again later (s1)"
NOT_SECURE = {
    "not offered": "U> 250-x|250 HELP",
    "EHLO refused": "U> 502 no",
    "refused": "U> 250-x|250 STARTTLS\nU< STARTTLS\nU> 454 not now",
}


def test_tls_where_upstream_offers_it(smtp: Make) -> None:
    stage = smtp(upto="connected", upstream_tls="opportunistic").play(UPSTREAM_TLS)
    assert stage.session.upstream_tls == TLS


@pytest.mark.parametrize("rows", ["U> 250-x|250 HELP", "U> 502 no"])
def test_no_tls_where_upstream_offers_none(smtp: Make, rows: str) -> None:
    stage = smtp(upto="connected", upstream_tls="opportunistic").play(f"""
        U> 220 clear
        U< EHLO weir.example
        {rows}
        C< 220 clear
        C> EHLO me
        U< EHLO me
    """)
    assert stage.session.upstream_tls is None


@pytest.mark.parametrize(
    "rows", ["U> 454 not now", "U> 501 no", "U> 220 go\nU! TLS: certificate has expired", "U> 220 go|250 x"]
)
def test_an_offer_that_is_not_kept_is_no_lack_of_it(smtp: Make, rows: str) -> None:
    stage = smtp(upto="connected", upstream_tls="opportunistic").play(f"""
        U> 220 clear
        U< EHLO weir.example
        U> 250-x|250 STARTTLS
        U< STARTTLS
        {rows}
        C< {NO_TLS}
        C. closed
    """)
    assert stage.session.upstream_tls is None


@pytest.mark.parametrize("rows", NOT_SECURE.values(), ids=NOT_SECURE.keys())
def test_no_tls_with_upstream_no_session(smtp: Make, rows: str) -> None:
    smtp(upto="connected", upstream_tls="starttls").play(f"""
        U> 220 clear
        U< EHLO weir.example
        {rows}
        C< {NO_TLS}
        C. closed
        U. closed
    """)


@pytest.mark.parametrize("behind", ["250 fake", "25\\", "\\x16\\x03\\"])
def test_octets_in_clear_behind_upstreams_220(smtp: Make, behind: str) -> None:
    stage = smtp(upto="connected", upstream_tls="starttls").play(f"""
        U> 220 clear
        U< EHLO weir.example
        U> 250-x|250 STARTTLS
        U< STARTTLS
        U> 220 go|{behind}
        C< {NO_TLS}
        C. closed
        U. aborted
    """)
    assert stage.upstream.secured == 0


def test_tls_with_the_client(smtp: Make) -> None:
    stage = smtp(upto="greeted", starttls=True, require_tls=True).play("""
        C> EHLO me
        U< EHLO me
        U> 250-x|250-STARTTLS|250 PIPELINING
        C< 250-x|250-STARTTLS|250-PIPELINING|250 CHUNKING
        C> MAIL FROM:<a@b>|AUTH PLAIN|BDAT 6|QUIT|VRFY x
        C< 530 must issue a STARTTLS command first (s1)|530 must issue a STARTTLS command first (s1)
        C< 530 must issue a STARTTLS command first (s1)|530 must issue a STARTTLS command first (s1)
        C> NOOP
        U< NOOP
        U> 250 ok
        C< 250 ok
        C> STARTTLS
        C< 220 ready to start TLS
        C. tls
        C> MAIL FROM:<a@b>
        C< 503 say hello first (s1)
        C> STARTTLS
        C< 502 command not available (s1)
        C> EHLO me
        U< EHLO me
        U> 250-x|250-STARTTLS|250 PIPELINING
        C< 250-x|250-PIPELINING|250 CHUNKING
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
    """)
    assert stage.session.client_tls == TLS


def test_starttls_waits_for_its_turn(smtp: Make) -> None:
    smtp(starttls=True, offer="STARTTLS|250 PIPELINING").play("""
        C> NOOP|STARTTLS
        U< NOOP
        U> 250 ok
        C< 250 ok|220 ready to start TLS
        C. tls
    """)


def test_octets_in_clear_behind_starttls(smtp: Make) -> None:
    stage = smtp(starttls=True, offer="STARTTLS|250 PIPELINING").play("""
        C> STARTTLS|MAIL FROM:<a@b>
        C. closed
        U. closed
    """)
    assert stage.client.secured == 0
    smtp(starttls=True, offer="STARTTLS|250 PIPELINING").play("""
        C> NOOP|STARTTLS
        U< NOOP
        C> MAIL FROM:<a@b>
        U> 250 ok
        C< 250 ok
        C. closed
    """)


def test_starttls_that_was_not_offered(smtp: Make) -> None:
    smtp().play("""
        C> STARTTLS
        C< 502 5.5.1 command not available (s1)
    """)
    smtp(starttls=True, offer="STARTTLS|250 PIPELINING").play("""
        C> STARTTLS now
        C< 501 syntax error in arguments (s1)
    """)


def test_what_was_said_before_tls_is_forgotten(smtp: Make) -> None:
    stage = smtp(starttls=True, offer="STARTTLS|250 PIPELINING", upto="mail").play("""
        C> STARTTLS
        C< 220 ready to start TLS
        C. tls
        C> RCPT TO:<x@y>
        C< 503 say hello first (s1)
    """)
    assert stage.session.transaction is None and stage.session.helo == ""


def test_a_session_that_retires_before_it_is_greeted(smtp: Make) -> None:
    stage = smtp(upto="connected")
    stage.begin()
    stage.relay.retire()
    stage.play("""
        C< 421 weir.example service not available, try again later (s1)
        C. closed
        U. closed
    """)
