"""Logging in: what upstream may see, what plugins are asked, what is said to the client."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.hookspecs import hookimpl
from mailweir.session import Credentials, Session
from mailweir.testing.play import Stage
from mailweir.verdict import Accept, Close, Defer, Reject, Verdict

Make = Callable[..., Stage]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = b64("\0bob\0secret")
XOAUTH2 = b64("user=bob\1auth=Bearer secret\1\1")
OAUTHBEARER = b64("n,a=bob,\1host=h\1port=110\1auth=Bearer secret\1\1")


class Logins:
    """Answers `login`, and remembers what it saw and was told."""

    def __init__(self, verdict: Any = None) -> None:
        self.verdict = verdict
        self.seen: list[tuple[str, str, str]] = []
        self.told: list[tuple[str, str]] = []

    @hookimpl
    def login(self, credentials: Credentials) -> Any:
        self.seen.append((credentials.mechanism, credentials.user, credentials.secret()))
        return self.verdict

    @hookimpl
    def logged_in(self, session: Session) -> None:
        self.told.append((session.mechanism, session.login))


SCRIPTS = {  # how bob logs in, up to the line with the secret; that line; what the plugin is told
    "USER": ("C> USER bob\nU< USER bob\nU> +OK\nC< +OK", "PASS secret"),
    "PLAIN": ("C> AUTH PLAIN\nU< AUTH PLAIN\nU> + \nC< + ", PLAIN),
    "LOGIN": (
        "C> AUTH LOGIN\nU< AUTH LOGIN\nU> + VXNlcm5hbWU6\nC< + VXNlcm5hbWU6\n"
        f"C> {b64('bob')}\nU< {b64('bob')}\nU> + UGFzc3dvcmQ6\nC< + UGFzc3dvcmQ6",
        b64("secret"),
    ),
    "XOAUTH2": ("C> AUTH XOAUTH2\nU< AUTH XOAUTH2\nU> +\nC< +", XOAUTH2),
    "OAUTHBEARER": ("C> auth oauthbearer\nU< auth oauthbearer\nU> +\nC< +", OAUTHBEARER),
}
INITIAL = {  # the secret stands on the AUTH line, or its user name does
    "PLAIN": ("", f"AUTH PLAIN {PLAIN}"),
    "LOGIN": (
        f"C> AUTH LOGIN {b64('bob')}\nU< AUTH LOGIN {b64('bob')}\nU> + UGFzc3dvcmQ6\nC< + UGFzc3dvcmQ6",
        b64("secret"),
    ),
    "XOAUTH2": ("", f"AUTH XOAUTH2 {XOAUTH2}"),
    "OAUTHBEARER": ("", f"AUTH OAUTHBEARER {OAUTHBEARER}"),
}
WAYS = [(name, *rest) for table in (SCRIPTS, INITIAL) for name, rest in table.items()]


@pytest.mark.parametrize(("mechanism", "before", "line"), WAYS)
def test_a_login(pop3: Make, mechanism: str, before: str, line: str) -> None:
    accepted = metrics.LOGINS.cell("test", "pop3", "accepted")
    count = accepted.value
    plugin = Logins()
    stage = pop3(plugin).play(f"""
        {before}
        C> {line}
        U< {line}
        U> +OK maildrop locked
        C< +OK maildrop locked
        C> STAT
        U< STAT
        U> +OK 0 0
        C< +OK 0 0
    """)
    assert plugin.seen == [(mechanism, "bob", "secret")]
    assert plugin.told == [(mechanism, "bob")]
    assert stage.session.state == "transaction" and stage.session.login == "bob"
    assert accepted.value == count + 1


@pytest.mark.parametrize(("mechanism", "before", "line"), WAYS)
@pytest.mark.parametrize(
    ("verdict", "words"), [(Reject("not you"), "[AUTH] not you"), (Defer("later"), "[SYS/TEMP] later")]
)
def test_a_login_refused_by_a_plugin(
    pop3: Make, mechanism: str, before: str, line: str, verdict: Verdict, words: str
) -> None:
    plugin = Logins(verdict)
    stage = pop3(plugin)
    stage.play(before)
    if line.startswith(("PASS", "AUTH")):
        stage.play(f"C> {line}\nC< -ERR {words}")
    else:
        stage.play(f"C> {line}\nU< *\nU> -ERR cancelled\nC< -ERR {words}")
    stage.play("C> NOOP\nU< NOOP\nU> -ERR\nC< -ERR")
    assert plugin.told == [] and stage.session.login == ""


@pytest.mark.parametrize(("mechanism", "before", "line"), WAYS)
def test_a_login_refused_by_upstream(pop3: Make, mechanism: str, before: str, line: str) -> None:
    rejected = metrics.LOGINS.cell("test", "pop3", "rejected")
    count = rejected.value
    plugin = Logins()
    stage = pop3(plugin).play(f"""
        {before}
        C> {line}
        U< {line}
        U> -ERR [AUTH] no
        C< -ERR [AUTH] no
        C> USER eve
        U< USER eve
        U> +OK
        C< +OK
    """)
    assert plugin.told == [] and stage.session.state == "authorization"
    assert rejected.value == count + 1


def test_a_plugin_that_thinks_about_a_response(pop3: Make) -> None:
    thinking: Deferred[Verdict | None] = Deferred()
    stage = pop3(Logins(thinking)).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        C> {PLAIN}|STAT
    """)
    thinking.callback(Accept())
    stage.play(f"""
        U< {PLAIN}
        U> +OK
        C< +OK
        U< STAT
        U> +OK 0 0
        C< +OK 0 0
    """)


def test_close_at_pass(pop3: Make) -> None:
    pop3(Logins(Close("enough"))).play("""
        C> PASS secret
        C< -ERR [AUTH] enough
        C. closed
        U. closed
    """)


def test_close_in_a_dialogue(pop3: Make) -> None:
    pop3(Logins(Close("enough"))).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        C> {PLAIN}
        U< *
        U> -ERR
        C< -ERR [AUTH] enough
        C. closed
    """)


def test_upstream_accepts_what_was_cancelled(pop3: Make) -> None:
    pop3(Logins(Reject())).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        C> {PLAIN}
        U< *
        U> +OK logged in
        U. aborted
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)


def test_passwords_keep_their_blanks(pop3: Make) -> None:
    plugin = Logins()
    pop3(plugin).play(r"""
        C> USER bob \r\n\
        U< USER bob \r\n\
        U> +OK
        C< +OK
        C> PASS  two words \r\n\
        U< PASS  two words \r\n\
        U> +OK
        C< +OK
    """)
    assert plugin.seen == [("USER", "bob", " two words ")]


def test_pipelined_login(pop3: Make) -> None:
    stage = pop3(pipelining=True).play("""
        C> USER bob|PASS secret|STAT
        U< USER bob|PASS secret|STAT
        U> +OK|+OK|+OK 0 0
        C< +OK|+OK|+OK 0 0
    """)
    assert stage.session.login == "bob"


# SASL lines are no commands.


@pytest.mark.parametrize("line", ["QUIT", "NOOP", "DELE", "*"])
def test_a_response_is_never_a_command(pop3: Make, line: str) -> None:
    pop3().play(f"""
        C> AUTH LOGIN
        U< AUTH LOGIN
        U> + VXNlcm5hbWU6
        C< + VXNlcm5hbWU6
        C> {line}
        U< {line}
        U> -ERR no
        C< -ERR no
        C> NOOP
        U< NOOP
        U> -ERR
        C< -ERR
    """)


def test_the_second_round_of_a_failed_token(pop3: Make) -> None:
    pop3(Logins()).play(f"""
        C> AUTH XOAUTH2 {XOAUTH2}
        U< AUTH XOAUTH2 {XOAUTH2}
        U> + eyJzdGF0dXMiOiI0MDEifQ==
        C< + eyJzdGF0dXMiOiI0MDEifQ==
        C>
        U< |\\
        U> -ERR [AUTH] no
        C< -ERR [AUTH] no
    """)


def test_responses_sent_ahead_wait_for_the_prompt(pop3: Make) -> None:
    pop3(pipelining=True).play(f"""
        C> AUTH LOGIN|{b64("bob")}|{b64("secret")}|STAT
        U< AUTH LOGIN
        U> + VXNlcm5hbWU6
        C< + VXNlcm5hbWU6
        U< {b64("bob")}
        U> + UGFzc3dvcmQ6
        C< + UGFzc3dvcmQ6
        U< {b64("secret")}
        U> +OK
        C< +OK
        U< STAT
        U> +OK 0 0
        C< +OK 0 0
    """)


def test_auth_waits_for_its_turn(pop3: Make) -> None:
    pop3(pipelining=True).play("""
        C> NOOP|AUTH PLAIN
        U< NOOP
        U> -ERR
        C< -ERR
        U< AUTH PLAIN
        U> +
        C< +
    """)


def test_too_long_a_response_cancels(pop3: Make) -> None:
    pop3().play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        C> {"A" * 13000}
        U< *
        U> -ERR cancelled
        C< -ERR line too long
        C> NOOP
        U< NOOP
        U> -ERR
        C< -ERR
    """)


def test_upstream_gives_up_waiting_for_a_response(pop3: Make) -> None:
    pop3().play("""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        U> -ERR too slow
        C< -ERR too slow
        C> NOOP
        U< NOOP
        U> -ERR
        C< -ERR
    """)


def test_a_silent_client_in_a_dialogue(pop3: Make) -> None:
    pop3(before_login=60.0).play("""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        T+ 91
        C. closed
        U. closed
    """)


@pytest.mark.parametrize("response", ["not base64!", b64("no nul"), "="])
def test_what_cant_be_read_passes_unless_somebody_wants_to_read_it(pop3: Make, response: str) -> None:
    script = "C> AUTH PLAIN\nU< AUTH PLAIN\nU> +\nC< +"
    pop3().play(f"{script}\nC> {response}\nU< {response}\nU> -ERR\nC< -ERR")
    pop3(Logins()).play(f"{script}\nC> {response}\nU< *\nU> -ERR\nC< -ERR [AUTH] malformed response")
    line = f"AUTH PLAIN {response}"
    pop3().play(f"C> {line}\nU< {line}\nU> -ERR\nC< -ERR")
    pop3(Logins()).play(f"C> {line}\nC< -ERR [AUTH] malformed response")


def test_upstream_lost_in_a_dialogue(pop3: Make) -> None:
    pop3().play("""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        U! reset
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)


@pytest.mark.parametrize("verdict", [None, Reject()])
def test_a_verdict_that_comes_after_upstream_was_lost(pop3: Make, verdict: Verdict | None) -> None:
    thinking: Deferred[Verdict | None] = Deferred()
    stage = pop3(Logins(thinking)).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        C> {PLAIN}
        U! reset
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)
    with structlog.testing.capture_logs() as logs:
        thinking.callback(verdict)
    stage.play("")
    assert logs == []


# Which mechanisms.


@pytest.mark.parametrize(
    "line", ["USER bob", "PASS secret", f"AUTH PLAIN {PLAIN}", "AUTH LOGIN", f"AUTH XOAUTH2 {XOAUTH2}"]
)
def test_secrets_in_clear_stay_here(pop3: Make, line: str) -> None:
    refused = f"C> {line}\nC< -ERR [AUTH] no logins without TLS, say STLS first"
    pop3(client="192.0.2.1").play(refused)
    pop3(client="127.0.0.1", require_tls=True).play(refused)
    pop3(client="192.0.2.1", allow_plaintext=True, require_tls=True).play(refused)
    for stage in (pop3(client="127.0.0.1"), pop3(client="192.0.2.1", allow_plaintext=True)):
        stage.play(f"C> {line}\nU< {line}\nU> -ERR\nC< -ERR")


@pytest.mark.parametrize("line", ["APOP bob c4c9334bac560ecc979e58001b3e22fb", "AUTH CRAM-MD5"])
def test_hidden_secrets_need_tls_only_where_it_is_required(pop3: Make, line: str) -> None:
    pop3(client="192.0.2.1").play(f"C> {line}\nU< {line}\nU> -ERR\nC< -ERR")
    pop3(client="127.0.0.1", require_tls=True).play(f"""
        C> {line}
        C< -ERR [AUTH] no logins without TLS, say STLS first
    """)


@pytest.mark.parametrize("line", ["APOP bob c4c9334bac560ecc979e58001b3e22fb", "AUTH CRAM-MD5"])
def test_no_way_round_a_plugin_that_sees_logins(pop3: Make, line: str) -> None:
    plugin = Logins(Reject())
    pop3(plugin, refuse_unknown=True).play(f"C> {line}\nC< -ERR [AUTH] mechanism not available")
    pop3(plugin).play(f"C> {line}\nU< {line}\nU> -ERR\nC< -ERR")
    assert plugin.seen == []


def test_apop(pop3: Make) -> None:
    stage = pop3().play("""
        C> APOP bob c4c9334bac560ecc979e58001b3e22fb
        U< APOP bob c4c9334bac560ecc979e58001b3e22fb
        U> +OK
        C< +OK
    """)
    assert (stage.session.login, stage.session.mechanism) == ("bob", "APOP")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "EXTERNAL", "external ="])
def test_what_cant_work_through_a_proxy_is_refused(pop3: Make, mechanism: str) -> None:
    pop3().play(f"C> AUTH {mechanism}\nC< -ERR [AUTH] mechanism not available")


@pytest.mark.parametrize("mechanism", ["GSSAPI", "NTLM", "X-OWN", "DIGEST-MD5"])
def test_foreign_mechanisms_are_refused_with_the_unknown(pop3: Make, mechanism: str) -> None:
    pop3(refuse_unknown=True).play(f"C> AUTH {mechanism}\nC< -ERR [AUTH] mechanism not available")
    pop3().play(f"C> AUTH {mechanism}\nU< AUTH {mechanism}\nU> -ERR\nC< -ERR")


def test_a_security_layer_is_spliced(pop3: Make) -> None:
    stage = pop3().play(r"""
        C> AUTH GSSAPI
        U< AUTH GSSAPI
        U> +
        C< +
        C> YII=
        U< YII=
        U> +OK
        C< +OK
        C> \0\x01\x02
        U< \0\x01\x02
        U> \0\x03
        C< \0\x03
    """)
    assert stage.relay.spliced


def test_auth_alone_lists_what_may_be_used(pop3: Make) -> None:
    answer = "U< AUTH\nU> +OK|PLAIN|EXTERNAL|SCRAM-SHA-256-PLUS|SCRAM-SHA-256|X-OWN|."
    pop3().play(f"C> AUTH\n{answer}\nC< +OK|PLAIN|SCRAM-SHA-256|X-OWN|.")
    pop3(refuse_unknown=True, client="192.0.2.1").play(f"C> AUTH\n{answer}\nC< +OK|SCRAM-SHA-256|.")
    pop3(require_tls=True).play(f"C> AUTH\n{answer}\nC< +OK|.")
    pop3().play("C> AUTH\nU< AUTH\nU> -ERR no\nC< -ERR no")


def test_nothing_secret_is_logged(pop3: Make) -> None:
    with structlog.testing.capture_logs() as logs:
        for name, (before, line) in SCRIPTS.items():
            for verdict in (None, Reject()):
                stage = pop3(Logins(verdict))
                stage.play(before)
                stage.say("client", f"{line}\r\n".encode())
                stage.say("client", b"secret\r\nPASS secret\rsecret\r\n")
                stage.relay.upstream_gone("reset")
                stage.relay.client_gone("reset")
            assert name
    text = repr(logs)
    for secret in ("secret", "SECRET", PLAIN, XOAUTH2, OAUTHBEARER, b64("secret"), b"secret".hex()):
        assert secret not in text


def test_an_empty_initial_response_is_no_way_round_a_plugin(pop3: Make) -> None:
    """Dovecot asks for the name again; who counted that response would take the secret for what follows it."""
    plugin = Logins(Reject("not you"))
    pop3(plugin).play(f"""
        C> AUTH LOGIN =
        C< -ERR [AUTH] malformed response
        C> AUTH LOGIN\\x20
        U< AUTH LOGIN\\x20
        U> + VXNlcm5hbWU6
        C< + VXNlcm5hbWU6
        C> {b64("bob")}
        U< {b64("bob")}
        U> + UGFzc3dvcmQ6
        C< + UGFzc3dvcmQ6
        C> {b64("secret")}
        U< *
        U> -ERR x
        C< -ERR [AUTH] not you
    """)
    assert plugin.seen == [("LOGIN", "bob", "secret")]


def test_auth_with_two_blanks_is_nobodys_login(pop3: Make) -> None:
    """Dovecot lists its mechanisms: `+OK`, and a text."""
    pop3().play(f"C> AUTH  PLAIN {PLAIN}\nC< -ERR syntax error in arguments")


def test_a_name_that_upstream_refused_is_not_whose_the_secret_is(pop3: Make) -> None:
    plugin = Logins(Reject("not you"))
    pop3(plugin, pipelining=True).play("""
        C> USER bob|USER ann|PASS secret
        U< USER bob|USER ann
        U> +OK|-ERR one is enough
        C< +OK|-ERR one is enough
        C< -ERR [AUTH] not you
    """)
    assert plugin.seen == [("USER", "bob", "secret")]


@pytest.mark.parametrize("verdict", [None, Reject("no"), Close("away")])
def test_upstream_gives_up_while_a_plugin_thinks(pop3: Make, verdict: Verdict | None) -> None:
    answer: Deferred[Verdict | None] = Deferred()
    stage = pop3(Logins(answer))
    stage.play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> +
        C< +
        C> {PLAIN}
        U> -ERR too slow
        C< -ERR too slow
    """)
    answer.callback(verdict)
    stage.clock.advance(0)
    stage.play("C> NOOP\nU< NOOP")
