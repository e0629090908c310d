"""AUTH: a dialogue that is never commands, and a secret that upstream sees only with leave."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.session import Credentials, Session
from mailweir.testing.play import Stage
from mailweir.verdict import Accept, Close, Defer, Reject

Make = Callable[..., Stage]
OFFER = "AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER|250 PIPELINING"
LOCAL = "127.0.0.1"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = b64("\0bob\0secret")
XOAUTH2 = b64("user=bob\1auth=Bearer secret\1\1")
OAUTHBEARER = b64("n,a=bob,\1host=h\1port=25\1auth=Bearer secret\1\1")
PASSWORD = b64("secret")


class Logins:
    """Answers `login`, and remembers what it saw and was told."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.seen: list[tuple[str, str, str]] = []
        self.told: list[tuple[str, str]] = []

    @hookimpl
    def login(self, credentials: Credentials) -> Any:
        self.seen.append((credentials.mechanism, credentials.user, credentials.secret()))
        return self.answer

    @hookimpl
    def logged_in(self, session: Session) -> None:
        self.told.append((session.mechanism, session.login))


WAYS = {  # how bob logs in: up to the line with the secret, and that line
    "PLAIN": ("C> AUTH PLAIN\nU< AUTH PLAIN\nU> 334 \nC< 334 ", PLAIN),
    "PLAIN at once": ("", f"auth plain {PLAIN}"),
    "LOGIN": (
        "C> AUTH LOGIN\nU< AUTH LOGIN\nU> 334 VXNlcm5hbWU6\nC< 334 VXNlcm5hbWU6\n"
        f"C> {b64('bob')}\nU< {b64('bob')}\nU> 334 UGFzc3dvcmQ6\nC< 334 UGFzc3dvcmQ6",
        PASSWORD,
    ),
    "LOGIN, name at once": (
        f"C> AUTH LOGIN {b64('bob')}\nU< AUTH LOGIN {b64('bob')}\nU> 334 UGFzc3dvcmQ6\nC< 334 UGFzc3dvcmQ6",
        PASSWORD,
    ),
    "XOAUTH2": ("", f"AUTH XOAUTH2 {XOAUTH2}"),
    "OAUTHBEARER": ("C> AUTH OAUTHBEARER\nU< AUTH OAUTHBEARER\nU> 334 \nC< 334 ", OAUTHBEARER),
}


@pytest.mark.parametrize(("before", "line"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("answer", [None, Accept()])
def test_logged_in(smtp: Make, before: str, line: str, answer: Any) -> None:
    logins = Logins(answer)
    stage = smtp(logins, offer=OFFER, client=LOCAL).play(f"""
        {before}
        C> {line}
        U< {line}
        U> 235 welcome
        C< 235 welcome
        C> NOOP
        U< NOOP
    """)
    mechanism = logins.seen[0][0]
    assert logins.seen == [(mechanism, "bob", "secret")]
    assert logins.told == [(mechanism, "bob")] == [(stage.session.mechanism, stage.session.login)]


@pytest.mark.parametrize(("before", "line"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("later", [True, False])
def test_refused_before_upstream_sees_the_secret(smtp: Make, before: str, line: str, later: bool) -> None:
    answer: Deferred[Any] = Deferred()
    logins = Logins(answer if later else Reject("not today"))
    stage = smtp(logins, offer=OFFER, client=LOCAL).play(before)
    stage.say("client", f"{line}\r\nNOOP\r\n".encode())
    if later:
        assert stage.client.heard == stage.upstream.heard == b""
        answer.callback(Reject("not today"))
    stage.play(f"""
        {"U< *" if before else ""}
        {"U> 501 cancelled" if before else ""}
        C< 535 not today (s1)
        U< NOOP
    """)
    assert not stage.session.login and not logins.told


VERDICTS = {
    "reject": (Reject(), "535 authentication refused (s1)"),
    "defer": (Defer(), "454 try again later (s1)"),
    "close": (Close("bye"), "421 bye (s1)"),
}


@pytest.mark.parametrize(("verdict", "reply"), VERDICTS.values(), ids=VERDICTS.keys())
def test_how_it_is_refused(smtp: Make, verdict: Any, reply: str) -> None:
    stage = smtp(Logins(verdict), offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
        C> {PLAIN}
        U< *
        U> 501 cancelled
        C< {reply}
    """)
    assert (stage.client.state == "closed") == isinstance(verdict, Close)


def test_responses_are_not_commands(smtp: Make) -> None:
    smtp(offer=OFFER, client=LOCAL).play("""
        C> AUTH LOGIN
        U< AUTH LOGIN
        U> 334 VXNlcm5hbWU6
        C< 334 VXNlcm5hbWU6
        C> QUIT
        U< QUIT
        U> 334 UGFzc3dvcmQ6
        C< 334 UGFzc3dvcmQ6
        C> DATA
        U< DATA
        U> 535 no
        C< 535 no
        C> NOOP
        U< NOOP
    """)


def test_nothing_is_read_before_the_answer(smtp: Make) -> None:
    smtp(offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN|{PLAIN}=|NOOP
        U< AUTH PLAIN
        U> 504 not that one
        C< 504 not that one|500 not a command line (s1)
        U< NOOP
    """)


def test_the_client_gives_up(smtp: Make) -> None:
    smtp(Logins(), offer=OFFER, client=LOCAL).play("""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
        C> *
        U< *
        U> 501 cancelled
        C< 501 cancelled
        C> NOOP
        U< NOOP
    """)


def test_an_error_message_that_wants_an_answer(smtp: Make) -> None:
    smtp(Logins(), offer=OFFER, client=LOCAL).play(f"""
        C> AUTH XOAUTH2 {XOAUTH2}
        U< AUTH XOAUTH2 {XOAUTH2}
        U> 334 eyJzdGF0dXMiOiI0MDAifQ==
        C< 334 eyJzdGF0dXMiOiI0MDAifQ==
        C>
        U<
        U> 535 no
        C< 535 no
    """)


@pytest.mark.parametrize("line", ["!!!", b64("\0bob"), b64("bob"), r"\xff"])
def test_credentials_nobody_can_read_are_refused_where_somebody_must(smtp: Make, line: str) -> None:
    smtp(Logins(), offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
        C> {line}
        U< *
        U> 501 cancelled
        C< 501 can't read this response (s1)
    """)
    smtp(offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
        C> {line}
        U< {line}
        U> 535 no
        C< 535 no
    """)


@pytest.mark.parametrize(
    ("line", "reply"),
    [(r"QQ==\nMAIL FROM:<x@y>", "501 not a response (s1)"), ("A" * 12288, "500 line too long (s1)")],
)
def test_a_line_that_is_no_response_cancels(smtp: Make, line: str, reply: str) -> None:
    smtp(offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
        C> {line}
        U< *
        U> 501 cancelled
        C< {reply}
        C> NOOP
        U< NOOP
    """)


def test_upstream_goes_on_after_a_cancel(smtp: Make) -> None:
    smtp(Logins(Reject()), offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
        C> {PLAIN}
        U< *
        U> 235 welcome
        U. aborted
        C< 421 lost the server, try again later (s1)
        C. closed
    """)


def test_mechanisms_that_were_not_offered(smtp: Make) -> None:
    stage = smtp(upto="greeted", client="192.0.2.1").play(f"""
        C> EHLO me
        U< EHLO me
        U> 250-x|250-AUTH PLAIN SCRAM-SHA-256|250-AUTH=PLAIN|250 PIPELINING
        C< 250-x|250-AUTH SCRAM-SHA-256|250-PIPELINING|250 CHUNKING
        C> AUTH PLAIN {PLAIN}
        C< 538 this mechanism needs an encrypted connection (s1)
        C> AUTH CRAM-MD5
        C< 504 mechanism not offered (s1)
        C> AUTH
        C< 501 syntax error in arguments (s1)
    """)
    assert not stage.session.login


OTHERS = {
    "CRAM-MD5": ("334 PDE+", b64("bob 0123")),
    "SCRAM-SHA-256": ("334 ", b64("n,,n=bob,r=abc")),
}


@pytest.mark.parametrize("mechanism", OTHERS)
def test_mechanisms_that_hide_the_secret(smtp: Make, mechanism: str) -> None:
    prompt, response = OTHERS[mechanism]
    stage = smtp(offer=f"AUTH {mechanism}|250 PIPELINING").play(f"""
        C> AUTH {mechanism}
        U< AUTH {mechanism}
        U> {prompt}
        C< {prompt}
        C> {response}
        U< {response}
        U> 235 welcome
        C< 235 welcome
    """)
    assert (stage.session.mechanism, stage.session.login) == (mechanism, "bob")


def test_a_mechanism_with_a_layer_of_its_own(smtp: Make) -> None:
    stage = smtp(offer="AUTH GSSAPI|250 PIPELINING").play(r"""
        C> AUTH GSSAPI YQ==
        U< AUTH GSSAPI YQ==
        U> 235 welcome
        C< 235 welcome
        C> \0\0wrapped\
        U< \0\0wrapped\
    """)
    assert stage.relay.spliced


def test_upstream_is_lost_in_the_dialogue(smtp: Make) -> None:
    smtp(offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN {PLAIN}
        U< AUTH PLAIN {PLAIN}
        U! reset
        C< 421 lost the server, try again later (s1)
        C. closed
    """)
    answer: Deferred[Any] = Deferred()
    stage = smtp(Logins(answer), offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
        C> {PLAIN}
        U! reset
        C< 421 lost the server, try again later (s1)
        C. closed
    """)
    answer.callback(None)
    assert stage.upstream.heard == stage.client.heard == b""


@pytest.mark.parametrize("said", ["334 again", "535 no", "235 welcome"])
def test_upstream_speaks_while_the_client_is_asked(smtp: Make, said: str) -> None:
    """What the client says next is a response, so upstream must not be waiting for a command."""
    smtp(offer=OFFER, client=LOCAL).play(f"""
        C> AUTH LOGIN
        U< AUTH LOGIN
        U> 334 VXNlcm5hbWU6|{said}
        C< 334 VXNlcm5hbWU6|421 lost the server, try again later (s1)
        C. closed
        U. aborted
    """)


def test_only_334_asks_for_a_response(smtp: Make) -> None:
    smtp(offer=OFFER, client=LOCAL).play("""
        C> AUTH LOGIN
        U< AUTH LOGIN
        U> 354 go
        U. aborted
        C< 421 lost the server, try again later (s1)
        C. closed
    """)


def test_client_is_lost_in_the_dialogue(smtp: Make) -> None:
    smtp(offer=OFFER, client=LOCAL).play("""
        C> AUTH PLAIN
        U< AUTH PLAIN
        U> 334
        C< 334
        C! gone
        U. closed
    """)


def test_secrets_are_in_no_log(smtp: Make) -> None:
    with capture_logs() as logs:
        smtp(offer=OFFER, client=LOCAL).play(f"""
            C> AUTH PLAIN {PLAIN}
            U< AUTH PLAIN {PLAIN}
            U> 535 no
            C< 535 no
            C> {PLAIN}=
            C< 500 not a command line (s1)
            C! gone
            U< QUIT
            U! gone
        """)
    assert PLAIN not in repr(logs) and "secret" not in repr(logs)


def test_upstream_is_not_in_a_transaction_any_more(smtp: Make) -> None:
    """AUTH is not allowed within one (RFC 4954 4), and for the client there is none."""

    class No:
        @hookimpl
        def message(self, message: Message) -> Reject:
            return Reject("no")

    smtp(No(), upto="mail", offer="PIPELINING|250 AUTH CRAM-MD5").play("""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> hi|.|AUTH CRAM-MD5
        C< 550 no (s1)
        U< RSET
        U> 250 ok
        U< AUTH CRAM-MD5
    """)


@pytest.mark.parametrize("verdict", [None, Reject("not you")])
def test_upstream_gives_up_while_a_plugin_thinks(smtp: Make, verdict: Any) -> None:
    """The secret that waited for leave would now be a command, and in upstream's log."""
    before, line = WAYS["LOGIN"]
    thinking: Deferred[Any] = Deferred()
    stage = smtp(Logins(thinking), offer=OFFER, client=LOCAL).play(f"""
        {before}
        C> {line}
        U> 535 too slow
        C< 535 too slow
    """)
    thinking.callback(verdict)
    stage.play("""
        C> NOOP
        U< NOOP
        U> 250 ok
        C< 250 ok
    """)


def test_a_second_question_is_not_answered_unseen(smtp: Make) -> None:
    """Who is asked again might log in as somebody else."""
    second = b64("\0eve\0hidden")
    logins = Logins()
    smtp(logins, offer=OFFER, client=LOCAL).play(f"""
        C> AUTH PLAIN {PLAIN}
        U< AUTH PLAIN {PLAIN}
        U> 334 and who else?
        C< 334 and who else?
        C> {second}
        U< {second}
        U> 235 welcome
        C< 235 welcome
    """)
    assert logins.seen == [("PLAIN", "bob", "secret"), ("PLAIN", "eve", "hidden")]
    assert logins.told == [("PLAIN", "eve")]


@pytest.mark.parametrize(("way", "line"), [(WAYS["PLAIN at once"], "more"), (WAYS["LOGIN"], PASSWORD)])
def test_a_second_question_that_gets_what_nobody_can_read(
    smtp: Make, way: tuple[str, str], line: str
) -> None:
    before, first = way
    script = f"""
        {before}
        C> {first}
        U< {first}
        U> 334 more
        C< 334 more
        C> {line}
    """
    smtp(Logins(), offer=OFFER, client=LOCAL).play(f"""
        {script}
        U< *
        U> 501 cancelled
        C< 501 can't read this response (s1)
    """)
    smtp(offer=OFFER, client=LOCAL).play(f"""
        {script}
        U< {line}
    """)


OURS = {  # what we refuse ourselves: the script, and what the log says of it
    "in clear": (
        "C> AUTH PLAIN {0};C< 538 this mechanism needs an encrypted connection (s1)",
        "PLAIN",
        "538",
    ),
    "not offered": ("C> AUTH EXTERNAL {0};C< 504 mechanism not offered (s1)", "EXTERNAL", "504"),
    "a password in its place": ("C> AUTH {0};C< 504 mechanism not offered (s1)", "unknown", "504"),
    "a line that can't be a response": (
        r"C> AUTH CRAM-MD5;U< AUTH CRAM-MD5;U> 334 ;C< 334 ;C> {0}\n;U< *;U> 501 x;C< 501 not a response (s1)",
        "CRAM-MD5",
        "501",
    ),
}


@pytest.mark.parametrize(("script", "mechanism", "reply"), OURS.values(), ids=OURS.keys())
def test_what_we_refuse_ourselves_is_counted_and_logged(
    smtp: Make, script: str, mechanism: str, reply: str
) -> None:
    refused = metrics.LOGINS.cell("test", "smtp", "refused")
    before = refused.value
    with capture_logs() as logs:
        stage = smtp(offer="AUTH CRAM-MD5|250 PIPELINING", upto="greeted").play("""
            C> EHLO me
            U< EHLO me
            U> 250-x|250-AUTH PLAIN EXTERNAL CRAM-MD5|250 PIPELINING
            C< 250-x|250-AUTH CRAM-MD5|250-PIPELINING|250 CHUNKING
        """)
        stage.play(script.format(PLAIN).replace(";", "\n"))
    assert refused.value == before + 1
    (line,) = [line for line in logs if line["event"] == "login failed"]
    assert (line["by"], line["mechanism"], line["reply"]) == ("mailweir", mechanism, reply)
    assert "login" not in line and PLAIN.upper() not in repr(logs).upper()


def test_a_login_before_tls_is_counted(smtp: Make) -> None:
    refused = metrics.LOGINS.cell("test", "smtp", "refused")
    before = refused.value
    smtp(offer="PIPELINING|250 HELP", require_tls=True).play(f"""
        C> AUTH PLAIN {PLAIN}
        C< 530 must issue a STARTTLS command first (s1)
    """)
    assert refused.value == before + 1
