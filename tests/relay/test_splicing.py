"""A session becomes raw octets after its login: when it may, and that nothing is lost at the seam."""

from typing import Any

import pytest

from mailweir.chain.chain import Plug
from mailweir.hookspecs import hookimpl
from mailweir.metrics import SPLICED
from mailweir.relay.rules import Rules
from mailweir.session import Address, Command, Credentials, Transaction
from mailweir.testing.play import Stage

LITERALS = "IMAP4rev1 LITERAL+"


def stage(protocol: str, *plugins: object, **rules: object) -> Stage:
    plugs = [Plug(f"plug{number}", plugin) for number, plugin in enumerate(plugins)]
    made = Rules(upstream="server", **{"splice": True, **rules})  # type: ignore[arg-type]
    return Stage(protocol, plugs, made, client=Address("127.0.0.1", 40000))  # type: ignore[arg-type]


def imap(*plugins: object, offers: str = "LITERAL+", **rules: object) -> Stage:
    """Logged in to a server that has these capabilities besides the one that all have."""
    listed = f"[CAPABILITY IMAP4rev1 {offers}]"
    return stage("imap", *plugins, **rules).play(f"""
        U> * OK {listed} hi
        C< * OK [CAPABILITY IMAP4rev1 LITERAL+] hi
        C> a LOGIN ann secret
        U< a LOGIN ann secret
        U> a OK {listed} in
        C< a OK [CAPABILITY IMAP4rev1 LITERAL+] in
    """)


def pop3(*plugins: object, **rules: object) -> Stage:
    """Greeted."""
    return stage("pop3", *plugins, **rules).play("""
        U> +OK hi
        C< +OK hi
    """)


class Watcher:
    """Of one hook behind the login."""

    @hookimpl
    def command(self, command: Command) -> None: ...


class Counter:
    @hookimpl
    def message_done(self, transaction: Transaction) -> None: ...


class Doorman:
    """Looks at logins, and at nothing behind them."""

    @hookimpl
    def login(self, credentials: Credentials) -> None: ...


def test_imap_is_raw_behind_the_login() -> None:
    before = SPLICED.cell("test", "imap", "login").value
    imap().play(r"""
        C> \0 any | octets {3+}
        U< \0 any | octets {3+}
        U> a OK {3}
        C< a OK {3}
    """)
    assert SPLICED.cell("test", "imap", "login").value == before + 1


def test_what_was_said_ahead_comes_once_and_in_order() -> None:
    play = stage("imap")
    play.play(f"""
        U> * OK [CAPABILITY {LITERALS}] hi
        C< * OK [CAPABILITY {LITERALS}] hi
        C> a LOGIN ann secret|b SELECT INBOX|c APPEND x {{2+}}|hi
        U< a LOGIN ann secret
        U> a OK in|* 1 EXISTS|b OK done
        U< b SELECT INBOX|c APPEND x {{2+}}|hi
        C< a OK in|* 1 EXISTS|b OK done
    """)
    assert play.relay.spliced


def test_what_the_client_said_ahead_is_held_until_upstream_answers() -> None:
    play = stage("imap").play(f"""
        U> * OK [CAPABILITY {LITERALS}] hi
        C< * OK [CAPABILITY {LITERALS}] hi
        C> a LOGIN ann wrong|b LOGIN ann secret
        U< a LOGIN ann wrong
        U> a NO wrong
        C< a NO wrong
        U< b LOGIN ann secret
    """)
    assert not play.relay.spliced


WATCHED: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {  # why: (plugins, and the rest)
    "a plugin sees commands": ((Watcher(),), {}),
    "a plugin hears of messages": ((Counter(),), {}),
    "unknown commands are refused": ((), {"refuse_unknown": True}),
    "messages have a limit": ((), {"message_size": 1000}),
    "the keeper wants to count": ((), {"splice": False}),
    "upstream takes other literals than we do": ((), {"offers": "LITERAL-"}),
    "another login could follow unseen": ((Doorman(),), {"offers": "LITERAL+ UNAUTHENTICATE"}),
}


@pytest.mark.parametrize(("plugins", "rest"), WATCHED.values(), ids=WATCHED)
def test_imap_stays_read(plugins: tuple[object, ...], rest: dict[str, Any]) -> None:
    watched = imap(*plugins, **rest)
    assert watched.session.login == "ann"
    assert not watched.relay.spliced


def test_a_plugin_that_looks_at_logins_alone_leaves_the_rest() -> None:
    assert imap(Doorman()).relay.spliced


def test_imap_that_begins_logged_in() -> None:
    assert (
        stage("imap")
        .play(f"""
        U> * PREAUTH [CAPABILITY {LITERALS}] hi
        C< * PREAUTH [CAPABILITY {LITERALS}] hi
    """)
        .relay.spliced
    )


def test_authenticate_is_a_login_too() -> None:
    assert (
        stage("imap")
        .play(f"""
        U> * OK [CAPABILITY {LITERALS} AUTH=PLAIN SASL-IR] hi
        C< * OK [CAPABILITY {LITERALS} AUTH=PLAIN SASL-IR] hi
        C> a AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=
        U< a AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=
        U> a OK in
        C< a OK in
    """)
        .relay.spliced
    )


def test_a_literal_takes_no_part() -> None:
    """The literals of LOGIN itself are sent one by one before anything passes raw."""
    assert (
        stage("imap")
        .play(f"""
        U> * OK [CAPABILITY {LITERALS}] hi
        C< * OK [CAPABILITY {LITERALS}] hi
        C> a LOGIN {{3+}}|ann {{6+}}|secret|b NOOP
        U< a LOGIN {{3}}
        U> + go
        U< ann {{6}}
        U> + go
        U< secret
        U> a OK in
        C< a OK in
        U< b NOOP
    """)
        .relay.spliced
    )


def test_pop3_is_raw_behind_the_login() -> None:
    assert (
        pop3()
        .play("""
        C> USER bob
        U< USER bob
        U> +OK
        C< +OK
        C> PASS secret|LIST|XFOO
        U< PASS secret
        U> +OK in
        C< +OK in
        U< LIST|XFOO
        U> +OK|1 2|.|-ERR
        C< +OK|1 2|.|-ERR
    """)
        .relay.spliced
    )


def test_pop3_by_auth() -> None:
    assert (
        pop3()
        .play("""
        C> AUTH PLAIN AGJvYgBzZWNyZXQ=
        U< AUTH PLAIN AGJvYgBzZWNyZXQ=
        U> +OK in
        C< +OK in
    """)
        .relay.spliced
    )


def test_pop3_to_a_server_that_takes_one_at_a_time_though_more_was_offered() -> None:
    assert (
        not pop3()
        .play("""
        C> CAPA
        U< CAPA
        U> +OK|USER|.
        C< +OK|USER|PIPELINING|.
        C> USER bob
        U< USER bob
        U> +OK
        C< +OK
        C> PASS secret
        U< PASS secret
        U> +OK in
        C< +OK in
    """)
        .relay.spliced
    )


def test_pop3_that_is_watched() -> None:
    assert (
        not pop3(Counter())
        .play("""
        C> AUTH PLAIN AGJvYgBzZWNyZXQ=
        U< AUTH PLAIN AGJvYgBzZWNyZXQ=
        U> +OK in
        C< +OK in
    """)
        .relay.spliced
    )


def test_a_refused_login_splices_nothing() -> None:
    assert (
        not pop3()
        .play("""
        C> AUTH PLAIN AGJvYgBzZWNyZXQ=
        U< AUTH PLAIN AGJvYgBzZWNyZXQ=
        U> -ERR no
        C< -ERR no
    """)
        .relay.spliced
    )
