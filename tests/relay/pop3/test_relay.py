"""Whole conversations, and what happens when a side fails."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.chain.chain import Plug
from mailweir.hookspecs import hookimpl
from mailweir.relay.rules import Rules
from mailweir.session import Address, Command, Leg
from mailweir.testing.play import TLS, Stage
from mailweir.verdict import Accept, Close, Defer, Reject, Verdict

Make = Callable[..., Stage]

RECORDED: list[tuple[Leg, bytes]] = [  # as Dovecot says it
    ("upstream", b"+OK Dovecot (Debian) ready. <a1.2@mail.example>\r\n"),
    ("client", b"CAPA\r\n"),
    (
        "upstream",
        b"+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n"
        b"USER\r\nSASL PLAIN LOGIN\r\n.\r\n",
    ),
    ("client", b"AUTH\r\n"),
    ("upstream", b"+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n"),
    ("client", b"AUTH LOGIN\r\n"),
    ("upstream", b"+ VXNlcm5hbWU6\r\n"),
    ("client", b"Ym9i\r\n"),
    ("upstream", b"+ UGFzc3dvcmQ6\r\n"),
    ("client", b"QUIT\r\n"),
    ("upstream", b"-ERR [AUTH] Authentication failed.\r\n"),
    ("client", b"user  bob \r\nPASS two words \r\n"),
    ("upstream", b"+OK\r\n+OK Logged in.\r\n"),
    ("client", b"stat\r\nLIST\r\nLIST 1\r\nUIDL 9\r\nCAPA\r\nLIST \r\n"),
    (
        "upstream",
        b"+OK 2 320\r\n+OK 2 messages:\r\n1 120\r\n2 200\r\n.\r\n+OK 1 120\r\n-ERR no such message\r\n"
        b"+OK\r\nTOP\r\nPIPELINING\r\n.\r\n+OK 2 messages:\r\n1 120\r\n2 200\r\n.\r\n",
    ),
    ("client", b"RETR 1\r\nTOP 1 0\r\n"),
    (
        "upstream",
        b"+OK 12 octets\r\n..x\r\n\n.\r\n.\r\n+OK\r\nA: b\r\n\r\n.\r\n",
    ),
    ("client", b"RETR 2\r\n"),
    ("upstream", b"+OK 0 octets\r\n.\r\n"),
    ("client", b"DELE 1\r\nNOOP\r\nRSET\r\nLAST\r\nLANG\r\nLANG en\r\n"),
    ("upstream", b"+OK\r\n+OK\r\n+OK\r\n+OK 1\r\n+OK\r\nen English\r\n.\r\n+OK en\r\n"),
    ("client", b"UTF8\r\n"),
    ("upstream", b"-ERR not now\r\n"),
    ("client", b"QUIT\r\n"),
    ("upstream", b"+OK Logging out.\r\n"),
]


def cuts(octets: bytes, size: int) -> Iterator[bytes]:
    """Pieces of that many octets; 0: all in one."""
    for at in range(0, len(octets), size or len(octets)):
        yield octets[at : at + (size or len(octets))]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 7, 11])
def test_recorded_conversation_octet_for_octet(pop3: Make, size: int) -> None:
    stage = pop3(greeted=False)
    stage.begin()
    for leg, octets in RECORDED:
        for piece in cuts(octets, size):
            stage.say(leg, piece)
        other = stage.upstream if leg == "client" else stage.client
        heard, other.heard = other.heard, b""
        assert heard == octets
    assert stage.client.heard == stage.upstream.heard == b""
    assert stage.client.state == stage.upstream.state == "closed"
    assert stage.session.closed == "client quit" and stage.session.login == "bob"


@pytest.mark.parametrize("step", range(len(RECORDED)))
def test_recorded_conversation_cut_anywhere(pop3: Make, step: int) -> None:
    for cut in range(1, len(RECORDED[step][1])):
        stage = pop3(greeted=False)
        stage.begin()
        for number, (leg, octets) in enumerate(RECORDED):
            for piece in (octets[:cut], octets[cut:]) if number == step else (octets,):
                stage.say(leg, piece)
            other = stage.upstream if leg == "client" else stage.client
            heard, other.heard = other.heard, b""
            assert heard == octets


def test_commands_are_counted_by_verb(pop3: Make) -> None:
    noop = metrics.COMMANDS.cell("test", "pop3", "NOOP")
    other = metrics.COMMANDS.cell("test", "pop3", "other")
    before = noop.value, other.value
    pop3(refuse_unknown=True).play("""
        C> noop
        U< noop
        U> -ERR
        C< -ERR
        C> secret
        C< -ERR unknown command
    """)
    assert (noop.value, other.value) == (before[0] + 1, before[1] + 1)


def test_bare_lf_ends_a_command_and_goes_on_as_crlf(pop3: Make) -> None:
    pop3(logged_in=True).play(r"""
        C> STAT\n\
        U< STAT
        U> +OK 0 0\n\
        C< +OK 0 0
    """)


def test_bad_lines_are_answered_in_their_turn(pop3: Make) -> None:
    stage = pop3(logged_in=True, pipelining=True)
    stage.play(r"""
        C> STAT|NOOP\rDELE 1|NOOP
        U< STAT|NOOP
        U> +OK 0 0
        C< +OK 0 0|-ERR CR or NUL in a line
        U> +OK
        C< +OK
    """)
    stage.play(f"""
        C> NOOP|{"x" * 2000}|STAT
        U< NOOP|STAT
        U> +OK
        C< +OK|-ERR line too long
        U> +OK 0 0
        C< +OK 0 0
    """)


@pytest.mark.parametrize("verb", ["XCLIENT ADDR=127.0.0.1", "RPOP bob"])
@pytest.mark.parametrize("refuse", [True, False])
def test_who_the_client_is_is_not_the_clients_to_say(pop3: Make, verb: str, refuse: bool) -> None:
    pop3(refuse_unknown=refuse).play(f"""
        C> {verb}
        C< -ERR unknown command
    """)


class Commands:
    """Answers `command`, and remembers what it was asked."""

    def __init__(self, verdict: Any = None, arguments: bytes | None = None) -> None:
        self.verdict = verdict
        self.arguments = arguments
        self.asked: list[tuple[str, bytes]] = []
        self.numbers: list[str] = []

    @hookimpl
    def command(self, command: Command) -> Any:
        self.asked.append((command.name, command.arguments))
        self.numbers.append(command.numbers)
        if self.arguments is not None:
            command.arguments = self.arguments
        return self.verdict


def test_every_command_but_logins_is_put_to_the_chain(pop3: Make) -> None:
    plugin = Commands()
    stage = pop3(plugin, logged_in=True)
    for line in ("STAT", "LIST 1", "dele 1", "CAPA", "TOP 1 0", "RETR 1", "XFOO bar", "QUIT"):
        stage.play(f"C> {line}\nU< {line}\nU> -ERR no\nC< -ERR no")
    assert plugin.asked == [
        ("STAT", b""),
        ("LIST", b"1"),
        ("DELE", b"1"),
        ("CAPA", b""),
        ("TOP", b"1 0"),
        ("RETR", b"1"),
        ("XFOO", b"bar"),
        ("QUIT", b""),
    ]
    assert plugin.numbers == ["", "1", "1", "", "1", "1", "", ""]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Reject("not here"), "-ERR not here"),
        (Reject("a\r\n+OK b"), "-ERR a +OK b"),
        (Defer("later"), "-ERR [SYS/TEMP] later"),
        (Reject(), "-ERR refused"),
    ],
)
def test_a_refused_command_stays_here(pop3: Make, verdict: Verdict, words: str) -> None:
    pop3(Commands(verdict), logged_in=True).play(f"""
        C> DELE 1
        C< {words}
        C> STAT
        C< {words}
    """)


def test_accept_lets_it_pass(pop3: Make) -> None:
    pop3(Commands(Accept()), Commands(Reject()), logged_in=True).play("""
        C> STAT
        U< STAT
        U> +OK 0 0
        C< +OK 0 0
    """)


def test_a_refusal_waits_for_its_turn(pop3: Make) -> None:
    class NoDeletion:
        @hookimpl
        def command(self, command: Command) -> Verdict | None:
            return Reject("never") if command.name == "DELE" else None

    pop3(NoDeletion(), logged_in=True, pipelining=True).play("""
        C> STAT|DELE 1|NOOP
        U< STAT|NOOP
        U> +OK 1 1
        C< +OK 1 1|-ERR never
        U> +OK
        C< +OK
    """)


def test_close_ends_the_session_in_its_turn(pop3: Make) -> None:
    class NoDeletion:
        @hookimpl
        def command(self, command: Command) -> Verdict | None:
            return Close("enough") if command.name == "DELE" else None

    pop3(NoDeletion(), logged_in=True, pipelining=True).play("""
        C> STAT|DELE 1|NOOP
        U< STAT
        U> +OK 1 1
        C< +OK 1 1|-ERR enough
        C. closed
        U. closed
    """)


def test_rewritten_arguments(pop3: Make) -> None:
    pop3(Commands(arguments=b"2"), logged_in=True).play("""
        C> list
        U< list 2
        U> +OK 2 200
        C< +OK 2 200
    """)


def test_arguments_that_would_be_another_command_are_not_sent(pop3: Make) -> None:
    pop3(Commands(arguments=b"1\r\nDELE 1"), logged_in=True).play("""
        C> LIST 1
        C< -ERR [SYS/TEMP] local error, try again later
    """)


def test_a_plugin_that_thinks_holds_only_what_comes_behind(pop3: Make) -> None:
    class Thinks:
        answer: "Deferred[Verdict | None]"

        @hookimpl
        def command(self, command: Command) -> Any:
            if command.name != "DELE":
                return None
            self.answer = Deferred()
            return self.answer

    plugin = Thinks()
    stage = pop3(plugin, logged_in=True, pipelining=True)
    stage.play("""
        C> STAT|DELE 1|NOOP
        U< STAT
        U> +OK 1 1
        C< +OK 1 1
    """)
    assert stage.client.paused
    plugin.answer.callback(Reject("no"))
    stage.play("""
        C< -ERR no
        U< NOOP
        U> +OK
        C< +OK
    """)
    assert not stage.client.paused


@pytest.mark.parametrize("verdict", [None, Reject("no"), Close("no")])
def test_a_verdict_that_comes_after_the_end_does_nothing(pop3: Make, verdict: Verdict | None) -> None:
    class Thinks:
        def __init__(self) -> None:
            self.answer: Deferred[Verdict | None] = Deferred()

        @hookimpl
        def command(self) -> Any:
            return self.answer

    plugin = Thinks()
    stage = pop3(plugin, logged_in=True)
    stage.play("""
        C> STAT
        U! reset
        C. closed
    """)
    with structlog.testing.capture_logs() as logs:
        plugin.answer.callback(verdict)
    stage.play("")
    assert logs == []


def test_nobody_is_asked_about_what_comes_after_the_end(pop3: Make) -> None:
    plugin = Commands()
    pop3(plugin, logged_in=True).play("""
        U> -ERR bye
        C< -ERR bye
        C. closed
        C> STAT
    """)
    assert plugin.asked == []


# Faults.

SAID_BY_CLIENTS = """
    NOOP|STAT|LIST|LIST 1|RETR 1|TOP 1 1|DELE 1|CAPA|AUTH|AUTH PLAIN|AUTH LOGIN Ym9i|AUTH GSSAPI|=|*|AGJvYgB4
    USER bob|PASS x|APOP bob x|STLS|UTF8|LANG|XFOO|XTND XMIT|QUIT|.||\0|XCLIENT x
"""
SAID_BY_SERVERS = "+OK|+OK 1 2|-ERR no|+ |+|PLAIN|A: b|..x|.||PIPELINING|SASL PLAIN"


def lines(said: str) -> st.SearchStrategy[bytes]:
    rows = [row for line in said.split("\n") for row in line.strip().split("|")]
    return st.lists(st.sampled_from(rows), min_size=1, max_size=4).map(
        lambda some: "".join(row + "\r\n" for row in some).encode()
    )


class Looks:
    """Looks at everything, refuses some of it, now or later."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.later: list[Deferred[Verdict | None]] = []

    def _answer(self) -> Any:
        answer = self.answers.pop() if self.answers else None
        if answer == "later":
            answer = Deferred()
            self.later.append(answer)
        return answer

    @hookimpl
    def login(self) -> Any:
        return self._answer()

    @hookimpl
    def command(self) -> Any:
        return self._answer()

    @hookimpl
    def message_head(self) -> Any:
        return self._answer()


class LooksAtAll(Looks):
    """Wants whole messages, too."""

    @hookimpl
    def message(self) -> Any:
        return self._answer()


@settings(max_examples=300)
@given(
    st.sampled_from([None, Looks, LooksAtAll]),
    st.lists(st.sampled_from([None, None, Reject("no"), Close("bye"), "later"]), max_size=6),
    st.booleans(),
    st.lists(
        st.one_of(
            st.tuples(st.just("client"), lines(SAID_BY_CLIENTS)),
            st.tuples(st.just("upstream"), lines(SAID_BY_SERVERS)),
            st.just(("thought", b"")),
            st.just(("drained", b"")),
        ),
        max_size=20,
    ),
    st.sampled_from(["client", "upstream"]),
)
def test_whatever_is_said_nothing_breaks(
    looks: Any, answers: list[Any], strict: bool, said: list[tuple[Any, bytes]], last: Leg
) -> None:
    plugin = looks(answers) if looks else None
    plugs = [Plug("plug", plugin)] if plugin else []
    rules = Rules(upstream="server", refuse_unknown=strict, starttls=True)
    stage = Stage("pop3", plugs, rules, client=Address("127.0.0.1", 1))
    stage.play("U> +OK\nC< +OK")
    with structlog.testing.capture_logs() as logs:
        _happen(stage, plugin, said, last)
    assert "internal error" not in [entry["event"] for entry in logs]
    assert stage.session.closed and rules.spool.used == 0


def _happen(stage: Stage, plugin: Looks | None, said: list[tuple[Any, bytes]], last: Leg) -> None:
    for who, octets in said:
        if who == "thought":
            while plugin and plugin.later:
                plugin.later.pop().callback(None)
        elif who == "drained":
            stage.relay.client_drained()
        elif (stage.client if who == "client" else stage.upstream).state == "open":
            stage.say(who, octets)
        if stage.client.secured:
            stage.client.secured = 0
            stage.relay.client_secured(TLS)
    first = stage.relay.client_gone if last == "upstream" else stage.relay.upstream_gone
    first("reset")
    (stage.relay.upstream_gone if last == "upstream" else stage.relay.client_gone)("reset")


def test_upstream_lost_answers_what_is_open(pop3: Make) -> None:
    pop3(logged_in=True, pipelining=True).play("""
        C> STAT|LIST|RETR 1|DELE 1
        U< STAT|LIST|RETR 1|DELE 1
        U> +OK 1 1
        C< +OK 1 1
        U! reset
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)


def test_upstream_lost_keeps_our_own_answers_in_order(pop3: Make) -> None:
    pop3(logged_in=True, pipelining=True, refuse_unknown=True).play("""
        C> STAT|XFOO|NOOP
        U< STAT|NOOP
        U! gone
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C< -ERR unknown command
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)


def test_upstream_lost_while_idle_says_nothing(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        U! gone
        C. closed
    """)


@pytest.mark.parametrize("command", ["RETR 1", "LIST", "TOP 1 1"])
def test_half_a_text_is_never_ended(pop3: Make, command: str) -> None:
    pop3(logged_in=True).play(f"""
        C> {command}
        U< {command}
        U> +OK|a
        C< +OK|a\\
        U! reset
        C. aborted
    """)


def test_quit_is_upstreams_to_answer(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> QUIT
        U< QUIT
        U! gone
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)


def test_quit_refused_is_an_end_too(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> QUIT|STAT
        U< QUIT
        U> -ERR some deleted messages not removed
        C< -ERR some deleted messages not removed
        C. closed
        U. closed
    """)


def test_upstream_says_goodbye_by_itself(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        U> -ERR Disconnected for inactivity.
        C< -ERR Disconnected for inactivity.
        C. closed
        U. closed
    """)


@pytest.mark.parametrize("line", ["+OK hello", "+ aGVsbG8=", "* OK hello"])
def test_upstream_says_what_nobody_asked_for(pop3: Make, line: str) -> None:
    pop3(logged_in=True).play(f"""
        U> {line}
        U. aborted
        C. closed
    """)


def test_upstream_prompts_where_it_may_not(pop3: Make) -> None:
    pop3(logged_in=True).play("""
        C> STAT
        U< STAT
        U> + go on
        U. aborted
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)


def test_client_gone(pop3: Make) -> None:
    stage = pop3(logged_in=True)
    stage.play("""
        C> QUIT
        U< QUIT
        C! gone
        U. closed
        U> +OK
        U! gone
    """)
    assert stage.session.closed == "client closed"


# Time.


def test_before_login_patience_is_short(pop3: Make) -> None:
    stage = pop3(before_login=60.0)
    stage.play("T+ 59")
    assert stage.client.state == "open"
    stage.play("T+ 31\nC. closed\nU. closed")
    assert stage.session.closed == "client idle"


@pytest.mark.parametrize(("rule", "seconds"), [(0.0, 600), (1800.0, 1800)])
def test_idle_clients_get_ten_minutes_or_what_the_rules_say(pop3: Make, rule: float, seconds: int) -> None:
    stage = pop3(logged_in=True, client_idle=rule)
    stage.play(f"T+ {seconds - 1}")
    assert stage.client.state == "open"
    stage.play("T+ 31\nC. closed\nU. closed")


def test_silent_upstream_is_lost(pop3: Make) -> None:
    pop3(logged_in=True, upstream_reply=300.0).play("""
        C> STAT
        U< STAT
        T+ 331
        U. aborted
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
    """)


def test_a_client_that_takes_what_it_gets_is_not_silent(pop3: Make) -> None:
    stage = pop3(logged_in=True, upstream_reply=300.0)
    stage.play("""
        C> RETR 1
        U< RETR 1
        U> +OK|a
        C< +OK|a\\
    """)
    for _ in range(4):
        stage.play("T+ 200")
        stage.relay.client_drained()
    assert stage.client.state == "open"
    stage.play("T+ 400\nC. aborted")


def test_retire_lets_a_message_finish(pop3: Make) -> None:
    stage = pop3(logged_in=True)
    stage.play("""
        C> RETR 1
        U< RETR 1
        U> +OK|a
        C< +OK|a\\
    """)
    stage.relay.retire()
    stage.play("""
        U> .
        C< |.
        C> RETR 2
        C< -ERR [SYS/TEMP] shutting down, try again later
        C. closed
        U. closed
    """)


def test_retire_lets_deletions_be_made(pop3: Make) -> None:
    stage = pop3(logged_in=True)
    stage.relay.retire()
    stage.play("""
        C> QUIT
        U< QUIT
        U> +OK
        C< +OK
        C. closed
    """)
