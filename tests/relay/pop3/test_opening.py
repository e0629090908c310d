"""Greetings, refusals in their place, and TLS on either side."""

from collections.abc import Callable

import pytest

from mailweir.hookspecs import hookimpl
from mailweir.session import Session
from mailweir.testing.play import TLS, Stage
from mailweir.verdict import Close, Defer, Reject, Verdict

Make = Callable[..., Stage]


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @hookimpl
    def session_opened(self, session: Session) -> None:
        self.told.append(f"opened {session.state}")

    @hookimpl
    def tls_started(self, leg: str) -> None:
        self.told.append(f"tls {leg}")

    @hookimpl
    def session_closed(self, session: Session) -> None:
        self.told.append(f"closed {session.closed}")


def test_the_greeting_keeps_its_stamp(pop3: Make) -> None:
    told = Told()
    stage = pop3(told, greeted=False).play("""
        U> +OK POP3 ready <1896.697170952@dbc.mtview.ca.us> [XCLIENT]
        C< +OK POP3 ready <1896.697170952@dbc.mtview.ca.us> [XCLIENT]
    """)
    assert told.told == ["opened authorization"]
    stage.play("C! gone\nU. closed\nU! gone")
    assert told.told[1:] == ["closed client closed"]


def test_the_client_waits_for_the_greeting(pop3: Make) -> None:
    stage = pop3(greeted=False)
    stage.play("C> NOOP")
    assert stage.client.paused
    stage.play("""
        U> +OK
        C< +OK
        U< NOOP
        U> -ERR
        C< -ERR
    """)
    assert not stage.client.paused


def test_upstream_refuses_by_its_greeting(pop3: Make) -> None:
    pop3(greeted=False).play("""
        U> -ERR [IN-USE] too many
        C< -ERR [IN-USE] too many
        C. closed
        U. closed
    """)


def test_unreachable(pop3: Make) -> None:
    stage = pop3(greeted=False).play("""
        U! unreachable, no route
        C< -ERR [SYS/TEMP] upstream server not available, try again later
        C. closed
    """)
    assert stage.session.closed == "unreachable, no route"


@pytest.mark.parametrize("row", ["U! reset", "U! gone", "U> 220 mail.example.org", "T+ 631"])
def test_no_greeting(pop3: Make, row: str) -> None:
    pop3(greeted=False).play(f"""
        {row}
        C< -ERR [SYS/TEMP] upstream server not available, try again later
        C. closed
    """)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Reject("go away"), "-ERR go away"),
        (Defer("busy"), "-ERR [SYS/TEMP] busy"),
        (Close("bye"), "-ERR bye"),
    ],
)
def test_refused_by_a_plugin_before_anything(pop3: Make, verdict: Verdict, words: str) -> None:
    class Doorman:
        @hookimpl
        def connected(self) -> Verdict:
            return verdict

    stage = pop3(Doorman(), greeted=False).play(f"""
        C< {words}
        C. closed
    """)
    assert stage.dialled == []


# TLS towards clients.


def test_stls(pop3: Make) -> None:
    told = Told()
    pop3(told, starttls=True, client="192.0.2.1").play("""
        C> stls
        C< +OK begin TLS
        C. tls
        C> USER bob
        U< USER bob
        U> +OK
        C< +OK
        C> STLS
        C< -ERR TLS is not available here
    """)
    assert told.told == ["opened authorization", "tls client"]


@pytest.mark.parametrize("starttls", [True, False])
def test_stls_is_refused(pop3: Make, starttls: bool) -> None:
    words = "syntax error in arguments" if starttls else "TLS is not available here"
    pop3(starttls=starttls).play(f"""
        C> STLS{" now" if starttls else ""}
        C< -ERR {words}
    """)


def test_no_stls_after_the_login(pop3: Make) -> None:
    pop3(logged_in=True, starttls=True).play("""
        C> STLS
        C< -ERR TLS is not available here
    """)


def test_stls_waits_for_its_turn(pop3: Make) -> None:
    stage = pop3(pipelining=True, starttls=True)
    stage.play("""
        C> NOOP|STLS
        U< NOOP
    """)
    assert stage.client.secured == 0
    stage.play("""
        U> -ERR
        C< -ERR|+OK begin TLS
        C. tls
    """)


@pytest.mark.parametrize("pieces", [["STLS|USER mallory"], ["NOOP|STLS", "USER mallory"]])
def test_nothing_in_clear_survives_stls(pop3: Make, pieces: list[str]) -> None:
    stage = pop3(pipelining=True, starttls=True)
    if len(pieces) == 1:
        stage.play(f"C> {pieces[0]}")
    else:
        stage.play(f"""
            C> {pieces[0]}
            U< NOOP
            C> {pieces[1]}
            U> -ERR
            C< -ERR
        """)
    stage.play("C. aborted\nU. aborted")
    assert stage.client.secured == 0


def test_a_name_given_in_clear_is_forgotten(pop3: Make) -> None:
    stage = pop3(starttls=True)
    stage.play("""
        C> USER bob
        U< USER bob
        U> +OK
        C< +OK
        C> STLS
        C< +OK begin TLS
        C. tls
        C> PASS secret
        C< -ERR say USER first
        C> USER ann|PASS secret
        U< USER ann
        U> +OK
        C< +OK
        U< PASS secret
        U> +OK
        C< +OK
    """)
    assert stage.session.login == "ann"


# TLS towards upstream.


def test_upstream_stls(pop3: Make) -> None:
    told = Told()
    stage = pop3(told, greeted=False, upstream_tls="starttls").play("""
        U> +OK ready <1.2@h>
        U< STLS
        U> +OK go on
        U. tls
        C< +OK ready <1.2@h>
        C> NOOP
        U< NOOP
        U> -ERR
        C< -ERR
    """)
    assert told.told == ["tls upstream", "opened authorization"]
    assert stage.session.upstream_tls == TLS


INSECURE = "-ERR [SYS/TEMP] no secure way to the server, try again later"


@pytest.mark.parametrize(
    ("answer", "said", "state"),
    [
        ("-ERR unknown", INSECURE, "closed"),
        (r"+OK go on|+OK injected", INSECURE, "aborted"),
        (r"+OK go on|+\\", INSECURE, "aborted"),
        (r"+OK go on|\x16\x03\x03\\", INSECURE, "aborted"),
        ("220 what", "-ERR [SYS/TEMP] upstream server not available, try again later", "aborted"),
        ("+ what", "-ERR [SYS/TEMP] upstream server not available, try again later", "aborted"),
    ],
)
@pytest.mark.parametrize("wanted", ["starttls", "opportunistic"])
def test_upstream_without_tls_gets_nothing(
    pop3: Make, wanted: str, answer: str, said: str, state: str
) -> None:
    """Not even where TLS is merely preferred: it was offered."""
    stage = pop3(greeted=False, upstream_tls=wanted).play(f"""
        U> +OK ready
        {"U< CAPA" if wanted == "opportunistic" else ""}
        {"U> +OK|STLS|." if wanted == "opportunistic" else ""}
        U< STLS
        U> {answer}
        C< {said}
        C. closed
        U. {state}
    """)
    assert stage.upstream.secured == 0


def test_upstream_handshake_fails(pop3: Make) -> None:
    stage = pop3(greeted=False, upstream_tls="starttls").play(f"""
        U> +OK ready
        U< STLS
        U> +OK go on
        U! TLS: certificate has expired
        C< {INSECURE}
        C. closed
    """)
    assert stage.session.closed == "TLS: certificate has expired"


@pytest.mark.parametrize("capa", ["+OK|TOP|stls|USER|.", "+OK|STLS|."])
def test_tls_where_upstream_offers_it(pop3: Make, capa: str) -> None:
    stage = pop3(greeted=False, upstream_tls="opportunistic").play(f"""
        U> +OK ready <1.2@h>
        U< CAPA
        U> {capa}
        U< STLS
        U> +OK go on
        U. tls
        C< +OK ready <1.2@h>
        C> NOOP
        U< NOOP
    """)
    assert stage.session.upstream_tls == TLS


@pytest.mark.parametrize("capa", ["+OK|TOP|USER|XSTLS|.", "-ERR what?"])
def test_no_tls_where_upstream_offers_none(pop3: Make, capa: str) -> None:
    stage = pop3(greeted=False, upstream_tls="opportunistic").play(f"""
        U> +OK ready <1.2@h>
        U< CAPA
        U> {capa}
        C< +OK ready <1.2@h>
        C> CAPA
        U< CAPA
        U> +OK|TOP|.
        C< +OK|TOP|PIPELINING|.
    """)
    assert stage.session.upstream_tls is None


def test_capabilities_without_end(pop3: Make) -> None:
    pop3(greeted=False, upstream_tls="opportunistic").play(f"""
        U> +OK ready
        U< CAPA
        U> +OK|{"x" * 66000}
        C< -ERR [SYS/TEMP] upstream server not available, try again later
        C. closed
        U. aborted
    """)


def test_upstream_speaks_tls_already(pop3: Make) -> None:
    stage = pop3(upstream_tls="implicit")
    assert stage.session.upstream_tls == TLS
