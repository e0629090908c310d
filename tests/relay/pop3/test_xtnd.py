"""XTND XMIT: a text from the client."""

from collections.abc import Callable

from mailweir.testing.play import Stage

Make = Callable[..., Stage]


def test_a_message_is_sent(pop3: Make) -> None:
    pop3(logged_in=True, pipelining=True).play(r"""
        C> STAT|xtnd xmit|A: b||QUIT|..
        U< STAT
        U> +OK 0 0
        C< +OK 0 0
        U< xtnd xmit
        U> +OK go on
        C< +OK go on
        U< A: b||QUIT|..\
        C> .|NOOP
        U< |.
        U> +OK sent
        C< +OK sent
        U< NOOP
        U> +OK
        C< +OK
    """)


def test_it_may_be_refused(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> XTND XMIT|NOOP
        U< XTND XMIT
        U> -ERR no
        C< -ERR no
        U< NOOP
        U> +OK
        C< +OK
    """)


def test_upstream_answers_too_early(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> XTND XMIT
        U< XTND XMIT
        U> +OK go on
        C< +OK go on
        U> +OK sent
        U. aborted
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)


def test_a_client_that_leaves_sends_no_message(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> XTND XMIT
        U< XTND XMIT
        U> +OK go on
        C< +OK go on
        C> half
        U< half\\
        C! reset
        U. closed
    """)


def test_other_forms_are_unknown(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> XTND XLST Subject
        U< XTND XLST Subject
        U> +OK list|1 hi|.
        C< +OK list|1 hi|.
        C> NOOP
        U< NOOP
        U> +OK
        C< +OK
    """)
