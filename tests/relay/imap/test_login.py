"""LOGIN and AUTHENTICATE: what a plugin sees, what upstream sees, and what it never does."""

from base64 import b64encode
from collections.abc import Callable

import pytest
import structlog
from twisted.internet.defer import Deferred

from mailweir import Accept, Close, Credentials, Defer, Reject, Session, Verdict, hookimpl, metrics
from mailweir.testing.play import Stage

Make = Callable[..., Stage]


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


ANN, BOB = b64("\0ann\0secret"), b64("\0bob\0secret")
TOKEN = b64("user=ann\1auth=Bearer secret\1\1")
BEARER = b64("n,a=ann,\1host=h\1port=143\1auth=Bearer secret\1\1")


class Door:
    """Has an opinion on some, and keeps a note of all."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.told: list[tuple[str, str]] = []

    @hookimpl
    def login(self, credentials: Credentials) -> Verdict | None:
        self.seen.append((credentials.mechanism, credentials.user, credentials.secret()))
        answers = {"bob": Reject("no bobs"), "eve": Close("go away"), "dan": Defer("later"), "ann": Accept()}
        return answers.get(credentials.user)

    @hookimpl
    def logged_in(self, session: Session) -> None:
        self.told.append((session.login, session.mechanism))


SPOKEN = {  # name: (mechanism, user, what is said up to upstream's completion)
    "atoms": ("LOGIN", "ann", "C> a LOGIN ann secret;U< a LOGIN ann secret"),
    "quoted": ("LOGIN", 'a"n', r'C> a login "a\\"n" secret;U< a login "a\\"n" secret'),
    "not waiting": ("LOGIN", "ann", "C> a LOGIN ann {6+}|secret;U< a LOGIN ann {6};U> + go;U< secret"),
    "PLAIN": (
        "PLAIN",
        "ann",
        rf"C> a AUTHENTICATE PLAIN;U< a AUTHENTICATE PLAIN;U> +\x20;C< +\x20;C> {ANN};U< {ANN}",
    ),
    "PLAIN, initial response": (
        "PLAIN",
        "ann",
        f"C> a authenticate plain {ANN};U< a authenticate plain {ANN}",
    ),
    "mechanism LOGIN": (
        "LOGIN",
        "ann",
        f"C> a AUTHENTICATE LOGIN;U< a AUTHENTICATE LOGIN;U> + VXNlcjo=;C< + VXNlcjo=;C> {b64('ann')};"
        f"U< {b64('ann')};U> + UGFzczo=;C< + UGFzczo=;C> {b64('secret')};U< {b64('secret')}",
    ),
    "XOAUTH2": ("XOAUTH2", "ann", f"C> a AUTHENTICATE XOAUTH2 {TOKEN};U< a AUTHENTICATE XOAUTH2 {TOKEN}"),
    "OAUTHBEARER": (
        "OAUTHBEARER",
        "ann",
        f"C> a AUTHENTICATE OAUTHBEARER {BEARER};U< a AUTHENTICATE OAUTHBEARER {BEARER}",
    ),
}
REFUSED = {
    "LOGIN": "C> a LOGIN bob secret;C< a NO [AUTHENTICATIONFAILED] no bobs",
    "LOGIN, later": "C> a LOGIN dan secret;C< a NO [UNAVAILABLE] later",
    "LOGIN, closed": "C> a LOGIN eve secret;C< * BYE go away;C. closed;U. closed",
    "LOGIN, literals": (
        "C> a LOGIN {3};C< + OK;C> bob {6};C< + OK;C> secret;C< a NO [AUTHENTICATIONFAILED] no bobs"
    ),
    "LOGIN, literals not waiting": (
        "C> a LOGIN {3+}|bob {6+}|secret|b NOOP;C< a NO [AUTHENTICATIONFAILED] no bobs;U< b NOOP"
    ),
    "LOGIN, one argument": "C> a LOGIN bob;C< a BAD syntax error in LOGIN",
    "LOGIN, three arguments": "C> a LOGIN bob secret x;C< a BAD syntax error in LOGIN",
    "LOGIN, glued to a literal": "C> a LOGIN {3+}|bobx secret;C< a BAD syntax error in LOGIN",
    "PLAIN, initial response": f"C> a AUTHENTICATE PLAIN {BOB};C< a NO [AUTHENTICATIONFAILED] no bobs",
    "PLAIN": (
        rf"C> a AUTHENTICATE PLAIN;U< a AUTHENTICATE PLAIN;U> +\x20;C< +\x20;C> {BOB}|b NOOP;U< *;"
        "U> a BAD off;C< a NO [AUTHENTICATIONFAILED] no bobs;U< b NOOP"
    ),
    "not base64": (
        r"C> a AUTHENTICATE PLAIN;U< a AUTHENTICATE PLAIN;U> +\x20;C< +\x20;C> QUIT!;U< *;"
        "U> a BAD off;C< a BAD not base64"
    ),
    "mechanism LOGIN, an empty response at first": (
        f"C> a AUTHENTICATE LOGIN =;C< a BAD no user name;C> {b64('bob')};C< {b64('bob')} BAD invalid command"
    ),
    "mechanism LOGIN, a blank at the end": (
        rf"C> a AUTHENTICATE LOGIN\x20;U< a AUTHENTICATE LOGIN\x20;U> +\x20;C< +\x20;C> {b64('bob')};"
        rf"U< {b64('bob')};U> +\x20;C< +\x20;C> {b64('secret')};U< *;U> a BAD off;"
        "C< a NO [AUTHENTICATIONFAILED] no bobs"
    ),
    "PLAIN, blanks around": f"C> a AUTHENTICATE PLAIN   {BOB};C< a NO [AUTHENTICATIONFAILED] no bobs",
    "mechanism in quotes": f'C> a AUTHENTICATE "PLAIN" {BOB};C< a BAD syntax error',
    "upstream accepts what was called off": (
        rf"C> a AUTHENTICATE PLAIN;U< a AUTHENTICATE PLAIN;U> +\x20;C< +\x20;C> {BOB};U< *;U> a OK in;C. aborted"
    ),
}
FAILED = {
    "LOGIN": "C> a LOGIN ann x;U< a LOGIN ann x;U> a NO x;C< a NO x;C> b NOOP;U< b NOOP",
    "called off": (
        r"C> a AUTHENTICATE PLAIN;U< a AUTHENTICATE PLAIN;U> +\x20;C< +\x20;C> *;U< *;U> a BAD x;C< a BAD x;"
        "C> b NOOP;U< b NOOP"
    ),
    "a line like a command is a response": (
        r"C> a AUTHENTICATE LOGIN;U< a AUTHENTICATE LOGIN;U> +\x20;C< +\x20;C> NOOP;U< NOOP;U> a NO x;C< a NO x"
    ),
    "a token's failure": (
        f"C> a AUTHENTICATE XOAUTH2 {TOKEN};U< a AUTHENTICATE XOAUTH2 {TOKEN};U> + eyJ9;C< + eyJ9;"
        "C> ;U< ;U> a NO x;C< a NO x"
    ),
    "no mechanism": "C> a AUTHENTICATE;C< a BAD syntax error",
    "channel binding": "C> a AUTHENTICATE SCRAM-SHA-256-PLUS;C< a NO [CANNOT] mechanism not available",
    "EXTERNAL": "C> a AUTHENTICATE EXTERNAL =;C< a NO [CANNOT] mechanism not available",
    "challenge and response": (
        "C> a AUTHENTICATE CRAM-MD5;U< a AUTHENTICATE CRAM-MD5;U> + Y2hh;C< + Y2hh;C> cmVz;U< cmVz;"
        "U> a NO x;C< a NO x"
    ),
}
IN_CLEAR = {
    "LOGIN": "C> a LOGIN ann secret",
    "LOGIN, literals": "C> a LOGIN {3}",
    "LOGIN, literals not waiting": "C> a LOGIN {3+}|ann {6+}|secret",
    "PLAIN": "C> a AUTHENTICATE PLAIN",
    "XOAUTH2": f"C> a AUTHENTICATE XOAUTH2 {TOKEN}",
}


def rows(script: str) -> str:
    return script.replace(";", "\n")


@pytest.mark.parametrize(("mechanism", "user", "script"), SPOKEN.values(), ids=SPOKEN.keys())
@pytest.mark.parametrize("asked", [True, False])
def test_login(imap: Make, mechanism: str, user: str, script: str, asked: bool) -> None:
    door = Door()
    accepted = metrics.LOGINS.cell("test", "imap", "accepted")
    before = accepted.value
    stage = imap(*[door] if asked else [])
    with structlog.testing.capture_logs() as logs:
        stage.play(
            rows(script) + "\nU> a OK [CAPABILITY IMAP4rev1] in\nC< a OK [CAPABILITY IMAP4rev1 LITERAL+] in"
        )
    assert (stage.session.login, stage.session.mechanism) == (user, mechanism)
    assert stage.session.state == "authenticated"
    assert accepted.value == before + 1
    assert not any(secret in str(logs) for secret in ("secret", ANN, TOKEN, BEARER, b64("secret")))
    if asked:
        assert (door.seen, door.told) == ([(mechanism, user, "secret")], [(user, mechanism)])


@pytest.mark.parametrize("asked", [True, False])
def test_login_by_literals(imap: Make, asked: bool) -> None:
    door = Door()
    stage = imap(*[door] if asked else [])
    stage.play(
        """
        C> a LOGIN {3}
        C< + OK
        C> ann {6}
        C< + OK
        C> secret
        U< a LOGIN {3}
        U> + go
        U< ann {6}
        U> + go
        U< secret
        """
        if asked
        else """
        C> a LOGIN {3}
        U< a LOGIN {3}
        U> + go
        C< + go
        C> ann {6}
        U< ann {6}
        U> + go
        C< + go
        C> secret
        U< secret
        """
    )
    stage.play("U> a OK in\nC< a OK in")
    assert stage.session.login == "ann"


@pytest.mark.parametrize("script", REFUSED.values(), ids=REFUSED.keys())
def test_refused(imap: Make, script: str) -> None:
    assert not imap(Door()).play(rows(script)).session.login


@pytest.mark.parametrize("script", FAILED.values(), ids=FAILED.keys())
def test_failed(imap: Make, script: str) -> None:
    assert not imap().play(rows(script)).session.login


@pytest.mark.parametrize("script", IN_CLEAR.values(), ids=IN_CLEAR.keys())
@pytest.mark.parametrize("rules", [{}, {"require_tls": True, "allow_plaintext": True}])
def test_not_in_clear(imap: Make, script: str, rules: dict[str, bool]) -> None:
    imap(client="192.0.2.1", **rules).play(
        f"{script}\nC< a NO [PRIVACYREQUIRED] not on a connection in clear, use TLS\nC> b NOOP\nU< b NOOP"
    )


def test_where_tls_is_required_no_mechanism_goes_in_clear(imap: Make) -> None:
    imap(require_tls=True).play("""
        C> a AUTHENTICATE SCRAM-SHA-256
        C< a NO [PRIVACYREQUIRED] not on a connection in clear, use TLS
    """)


def test_commands_behind_a_login_wait(imap: Make) -> None:
    imap().play(f"""
        C> a1 AUTHENTICATE PLAIN {ANN}|a2 NOOP|a3 CAPABILITY|a4 NOOP
        U< a1 AUTHENTICATE PLAIN {ANN}
        U> a1 OK in
        C< a1 OK in
        U< a2 NOOP|a3 CAPABILITY
        U> a2 OK x|* CAPABILITY IMAP4rev1|a3 OK x
        C< a2 OK x|* CAPABILITY IMAP4rev1 LITERAL+|a3 OK x
        U< a4 NOOP
    """)


def test_plugin_may_think(imap: Make) -> None:
    answer: Deferred[Verdict | None] = Deferred()

    class Slow:
        @hookimpl
        def login(self) -> Deferred[Verdict | None]:
            return answer

    stage = imap(Slow())
    stage.play("C> a1 LOGIN ann secret|a2 NOOP")
    answer.callback(Reject("no"))
    stage.clock.advance(0)
    stage.play("C< a1 NO [AUTHENTICATIONFAILED] no\nU< a2 NOOP")


def test_a_plugin_that_wants_every_login_is_not_gone_round(imap: Make) -> None:
    imap(Door(), refuse_unknown=True).play("""
        C> a AUTHENTICATE SCRAM-SHA-256
        C< a NO [CANNOT] mechanism not available
    """)


SPELT = {
    "two blanks": "C> a LOGIN  ann secret;U< a LOGIN  ann secret",
    "no blank": 'C> a LOGIN "ann""secret";U< a LOGIN "ann""secret"',
    "odd escapes": r'C> a LOGIN "a\\nn" secret;U< a LOGIN "a\\nn" secret',
    "a password that should be quoted": "C> a LOGIN ann %*]secret;U< a LOGIN ann %*]secret",
    "literal": "C> a LOGIN {3+}|ann  secret;U< a LOGIN {3};U> + go;U< ann  secret",
    "PLAIN": f"C> a AUTHENTICATE PLAIN  {ANN};U< a AUTHENTICATE PLAIN  {ANN}",
    "mechanism LOGIN": (
        rf"C> a AUTHENTICATE LOGIN =;U< a AUTHENTICATE LOGIN =;U> +\x20;C< +\x20;C> {b64('ann')};U< {b64('ann')};"
        rf"U> +\x20;C< +\x20;C> {b64('secret')};U< {b64('secret')}"
    ),
}


@pytest.mark.parametrize("script", SPELT.values(), ids=SPELT.keys())
def test_nobody_logs_in_unseen_by_an_odd_spelling(imap: Make, script: str) -> None:
    assert imap().play(rows(script) + "\nU> a OK in\nC< a OK in").session.login == "ann"


@pytest.mark.parametrize("verdict", [None, Reject("no"), Close("away")])
def test_upstream_gives_up_while_a_plugin_thinks(imap: Make, verdict: Verdict | None) -> None:
    answer: Deferred[Verdict | None] = Deferred()

    class Slow:
        @hookimpl
        def login(self) -> Deferred[Verdict | None]:
            return answer

    stage = imap(Slow())
    stage.play(
        rf"""
        C> a AUTHENTICATE PLAIN
        U< a AUTHENTICATE PLAIN
        U> +\x20
        C< +\x20
        C> {ANN}|b NOOP
        U> a NO too slow
        C< a NO too slow
    """
    )
    answer.callback(verdict)
    stage.clock.advance(0)
    stage.play("U< b NOOP")


def test_before_the_login_a_strange_continuation_is_no_way_round_it(imap: Make) -> None:
    imap(greeted=False).play("""
        U> * OK [CAPABILITY IMAP4rev1 LITERAL+] x
        C< * OK [CAPABILITY IMAP4rev1 LITERAL+] x
        C> a XFOO
        U< a XFOO
        U> + what?
        U. aborted
        C< * BYE [UNAVAILABLE] server not available, try again later (s1)
        C. closed
    """)
