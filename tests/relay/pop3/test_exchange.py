"""The forms of replies: one line, a line and a text, and those that nobody knows."""

from collections.abc import Callable

import pytest

from mailweir.testing.play import Stage

Make = Callable[..., Stage]


def test_the_form_depends_on_arguments_and_on_ok(pop3: Make) -> None:
    pop3(logged_in=True, pipelining=True).play("""
        C> LIST|LIST 1|UIDL 9|UIDL|LIST
        U< LIST|LIST 1|UIDL 9|UIDL|LIST
        U> +OK|1 5|.|+OK 1 5|-ERR|-ERR|+OK|.
        C< +OK|1 5|.|+OK 1 5|-ERR|-ERR|+OK|.
        C> NOOP
        U< NOOP
        U> +OK
        C< +OK
    """)


def test_a_text_comes_as_it_comes(pop3: Make) -> None:
    pop3(logged_in=True).play(r"""
        C> LIST
        U< LIST
        U> +OK
        C< +OK
        U> 1 5
        C< 1 5\
        U> .
        C< |.
    """)


def test_an_unknown_reply_ends_when_the_client_speaks(pop3: Make) -> None:
    pop3().play("""
        C> XFOO
        U< XFOO
        U> +OK list|a|b|.
        C< +OK list|a|b|.
        C> NOOP
        U< NOOP
        U> +OK
        C< +OK
        C> XFOO|
        U< XFOO
        U> -ERR unknown
        C< -ERR unknown
        U< |\\
        U> -ERR empty
        C< -ERR empty
    """)


def test_an_unknown_reply_of_one_line(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> XFOO bar
        U< XFOO bar
        U> +OK done
        C< +OK done
        C> NOOP
        U< NOOP
        U> +OK
        C< +OK
    """)


def test_an_unknown_reply_in_pieces(pop3: Make) -> None:
    pop3(logged_in=True).play(r"""
        C> XFOO
        U< XFOO
        U> +O\
        U> K
        C< +OK
        U> a\
        C< a\
        U> |.
        C< |.
        C> XFOO
        U< XFOO
        U> + go on
        C< + go on
    """)


def test_unknown_and_pipelined_is_spliced(pop3: Make) -> None:
    stage = pop3(logged_in=True, pipelining=True).play("""
        C> STAT|XFOO|NOOP
        U< STAT|XFOO
        U> +OK 0 0
        C< +OK 0 0
        U> +OK list|a
        C< +OK list|a
        U< NOOP
        U> .|+OK
        C< .|+OK
        C> XCLIENT x
        U< XCLIENT x
        U! gone
        C. closed
    """)
    assert stage.relay.spliced


def test_nothing_is_spliced_before_the_login(pop3: Make) -> None:
    stage = pop3(pipelining=True, require_tls=True).play("""
        C> XFOO|USER bob
        U< XFOO
        U> +OK done
        C< +OK done
        C< -ERR [AUTH] no logins without TLS, say STLS first
    """)
    assert not stage.relay.spliced


def test_nothing_is_spliced_to_a_server_that_takes_one_at_a_time(pop3: Make) -> None:
    stage = pop3(logged_in=True).play("""
        C> XFOO|NOOP
        U< XFOO
        U> +OK list|a
        C< +OK list
        U< NOOP
        U. aborted
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)
    assert not stage.relay.spliced


def test_unknown_is_refused_where_the_rules_say_so(pop3: Make) -> None:
    pop3(refuse_unknown=True).play("""
        C> XFOO|XTND XMIT
        C< -ERR unknown command|-ERR unknown command
    """)


def test_a_bad_line_ends_an_unknown_reply_too(pop3: Make) -> None:
    pop3(logged_in=True).play(r"""
        C> XFOO
        U< XFOO
        U> +OK
        C< +OK
        C> NO\rOP
        C< -ERR CR or NUL in a line
    """)


@pytest.mark.parametrize(
    ("opened", "words"), [(False, "C< -ERR [SYS/TEMP] upstream server lost, try again later"), (True, "")]
)
def test_upstream_lost_in_an_unknown_reply(pop3: Make, opened: bool, words: str) -> None:
    stage = pop3(logged_in=True).play("C> XFOO\nU< XFOO")
    if opened:
        stage.play("U> +OK\nC< +OK")
    stage.play(f"U! reset\n{words}\nC. closed")


def test_a_client_may_idle_behind_an_unknown_reply(pop3: Make) -> None:
    stage = pop3(logged_in=True, upstream_reply=100.0)
    stage.play("C> XFOO\nU< XFOO\nU> +OK\nC< +OK\nT+ 500")
    assert stage.client.state == "open"
