"""All relays count alike, know who has logged in alike, and log alike who has not: never with a secret."""

import base64
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from mailweir import Close, Credentials, Defer, Reject, Verdict, hookimpl, metrics
from mailweir.chain.plug import Plug
from mailweir.relay.rules import Rules
from mailweir.session import Address, Protocol
from mailweir.testing.play import Stage

CRAM = base64.b64encode(b"bob 0123456789abcdef").decode()
LOGINS: dict[Protocol, str] = {
    "smtp": f"""
        U> 220 hi
        C< 220 hi
        C> EHLO me
        U< EHLO me
        U> 250-x|250-AUTH CRAM-MD5|250 PIPELINING
        C< 250-x|250-AUTH CRAM-MD5|250-PIPELINING|250 CHUNKING
        C> AUTH CRAM-MD5
        U< AUTH CRAM-MD5
        U> 334 PDE+
        C< 334 PDE+
        C> {CRAM}
        U< {CRAM}
        U> 235 welcome
        C< 235 welcome
    """,
    "pop3": f"""
        U> +OK hi
        C< +OK hi
        C> AUTH CRAM-MD5
        U< AUTH CRAM-MD5
        U> + PDE+
        C< + PDE+
        C> {CRAM}
        U< {CRAM}
        U> +OK welcome
        C< +OK welcome
    """,
    "imap": f"""
        U> * OK hi
        C< * OK hi
        C> a AUTHENTICATE CRAM-MD5
        U< a AUTHENTICATE CRAM-MD5
        U> + PDE+
        C< + PDE+
        C> {CRAM}
        U< {CRAM}
        U> a OK welcome
        C< a OK welcome
    """,
}


@pytest.mark.parametrize("protocol", LOGINS)
def test_a_login_by_challenge_and_response(protocol: Protocol) -> None:
    before = metrics.LOGINS.cell("test", protocol, "accepted").value
    session = Stage(protocol).play(LOGINS[protocol]).session
    assert (session.login, session.mechanism) == ("bob", "CRAM-MD5")
    assert metrics.LOGINS.cell("test", protocol, "accepted").value == before + 1


PLAIN = base64.b64encode(b"\0bob\0secret").decode()
ODD = base64.b64encode(b"\0bob\r\nMAIL\0secret").decode()
NAME = base64.b64encode(b"bob").decode()
PASSWORD = base64.b64encode(b"secret").decode()

HELLO = (
    "C> EHLO me\nU< EHLO me\nU> 250-x|250-{0}|250 PIPELINING\nC< 250-x|250-{0}|250-PIPELINING|250 CHUNKING"
)
GREETINGS: dict[Protocol, str] = {
    "smtp": "U> 220 hi\nC< 220 hi\n" + HELLO.format("AUTH PLAIN LOGIN CRAM-MD5"),
    "lmtp": "U> 220 hi\nC< 220 hi\n" + HELLO.format("AUTH PLAIN LOGIN CRAM-MD5").replace("EHLO", "LHLO"),
    "pop3": "U> +OK hi\nC< +OK hi",
    "imap": "U> * OK hi\nC< * OK hi",
}

UPSTREAMS: dict[str, tuple[Protocol, str, str, str | None, str]] = {  # rows, mechanism, name, reply
    "smtp, PLAIN": (
        "smtp",
        f"C> AUTH PLAIN {PLAIN};U< AUTH PLAIN {PLAIN};U> 535 5.7.8 no, bob;C< 535 5.7.8 no, bob",
        "PLAIN",
        "bob",
        "535 5.7.8",
    ),
    "lmtp, not now": (
        "lmtp",
        f"C> AUTH PLAIN {PLAIN};U< AUTH PLAIN {PLAIN};U> 454 later;C< 454 later",
        "PLAIN",
        "bob",
        "454",
    ),
    "smtp, CRAM-MD5": (
        "smtp",
        f"C> AUTH CRAM-MD5;U< AUTH CRAM-MD5;U> 334 PDE+;C< 334 PDE+;C> {CRAM};U< {CRAM};U> 535 no;C< 535 no",
        "CRAM-MD5",
        "bob",
        "535",
    ),
    "smtp, a name that would be a line": (
        "smtp",
        f"C> AUTH PLAIN {ODD};U< AUTH PLAIN {ODD};U> 535 no;C< 535 no",
        "PLAIN",
        "bob MAIL",
        "535",
    ),
    "smtp, what is no response": (
        "smtp",
        "C> AUTH PLAIN secret!;U< AUTH PLAIN secret!;U> 501 no;C< 501 no",
        "PLAIN",
        None,
        "501",
    ),
    "pop3, PASS": (
        "pop3",
        "C> USER bob;U< USER bob;U> +OK;C< +OK;C> PASS secret;U< PASS secret;U> -ERR [AUTH] no;C< -ERR [AUTH] no",
        "USER",
        "bob",
        "-ERR [AUTH]",
    ),
    "pop3, a server in trouble": (
        "pop3",
        f"C> AUTH PLAIN {PLAIN};U< AUTH PLAIN {PLAIN};U> -ERR [SYS/TEMP] x;C< -ERR [SYS/TEMP] x",
        "PLAIN",
        "bob",
        "-ERR [SYS/TEMP]",
    ),
    "pop3, APOP": ("pop3", "C> APOP bob 0f;U< APOP bob 0f;U> -ERR;C< -ERR", "APOP", "bob", "-ERR"),
    "imap, LOGIN": (
        "imap",
        "C> a LOGIN bob secret;U< a LOGIN bob secret;U> a no [authenticationfailed] x;"
        "C< a no [authenticationfailed] x",
        "LOGIN",
        "bob",
        "NO [AUTHENTICATIONFAILED]",
    ),
    "imap, LOGIN by literals": (
        "imap",
        "C> a LOGIN {3+}|bob {6+}|secret;U< a LOGIN {3};U> + x;U< bob {6};U> + x;U< secret;U> a NO x;C< a NO x",
        "LOGIN",
        "bob",
        "NO",
    ),
    "imap, what is no pair of strings": (
        "imap",
        "C> a LOGIN secret;U< a LOGIN secret;U> a BAD x;C< a BAD x",
        "LOGIN",
        None,
        "BAD",
    ),
    "imap, AUTHENTICATE": (
        "imap",
        f"C> a AUTHENTICATE PLAIN {PLAIN};U< a AUTHENTICATE PLAIN {PLAIN};U> a NO x;C< a NO x",
        "PLAIN",
        "bob",
        "NO",
    ),
}


class No:
    """Refuses every login."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    @hookimpl
    def login(self, credentials: Credentials) -> Verdict:
        return self._verdict


def counted(protocol: Protocol) -> dict[str, float]:
    return {
        result: metrics.LOGINS.cell("test", protocol, result).value
        for result in ("accepted", "rejected", "refused")
    }


def played(
    protocol: Protocol, script: str, *plugins: object
) -> tuple[list[MutableMapping[str, Any]], list[str], Stage]:
    """The lines about logins, what was counted, and the stage."""
    plugs = [Plug("doorman", plugin) for plugin in plugins]
    rules = Rules(upstream="server", hostname="weir.example", allow_plaintext=True)
    stage = Stage(protocol, plugs, rules, client=Address("192.0.2.7", 40000))
    before = counted(protocol)
    with capture_logs() as logs:
        stage.play(GREETINGS[protocol])
        stage.play(script.replace(";", "\n"))
    after = counted(protocol)
    for secret in ("secret", PLAIN, PASSWORD, ODD):
        assert secret not in repr(logs)
    lines = [line for line in logs if line["event"] == "login failed"]
    return lines, [result for result in after if after[result] != before[result]], stage


@pytest.mark.parametrize(
    ("protocol", "script", "mechanism", "name", "reply"), UPSTREAMS.values(), ids=UPSTREAMS.keys()
)
def test_upstream_says_no(
    protocol: Protocol, script: str, mechanism: str, name: str | None, reply: str
) -> None:
    lines, results, _ = played(protocol, script)
    wanted = {
        "event": "login failed",
        "log_level": "info",
        "protocol": protocol,
        "client": "192.0.2.7",
        "login": name,
        "mechanism": mechanism,
        "by": "upstream",
        "reply": reply,
    }
    assert lines == [{key: value for key, value in wanted.items() if value is not None}]
    assert results == ["rejected"]


PLUGINS: dict[str, tuple[Protocol, str, str]] = {  # rows up to the secret, mechanism
    "smtp, at once": ("smtp", f"C> AUTH PLAIN {PLAIN}", "PLAIN"),
    "smtp, begun": (
        "smtp",
        f"C> AUTH LOGIN {NAME};U< AUTH LOGIN {NAME};U> 334 x;C< 334 x;C> {PASSWORD};U< *;U> 501 off",
        "LOGIN",
    ),
    "pop3, PASS": ("pop3", "C> USER bob;U< USER bob;U> +OK;C< +OK;C> PASS secret", "USER"),
    "pop3, at once": ("pop3", f"C> AUTH PLAIN {PLAIN}", "PLAIN"),
    "pop3, begun": (
        "pop3",
        f"C> AUTH LOGIN {NAME};U< AUTH LOGIN {NAME};U> + x;C< + x;C> {PASSWORD};U< *;U> -ERR off",
        "LOGIN",
    ),
    "imap, LOGIN": ("imap", "C> a LOGIN bob secret", "LOGIN"),
    "imap, at once": ("imap", f"C> a AUTHENTICATE PLAIN {PLAIN}", "PLAIN"),
    "imap, begun": (
        "imap",
        f"C> a AUTHENTICATE LOGIN {NAME};U< a AUTHENTICATE LOGIN {NAME};U> + x;C< + x;C> {PASSWORD};"
        "U< *;U> a BAD off",
        "LOGIN",
    ),
}
REFUSALS: dict[Protocol, tuple[str, str]] = {
    "smtp": ("535 no (s1)", "454 no (s1)"),
    "pop3": ("-ERR [AUTH] no", "-ERR [SYS/TEMP] no"),
    "imap": ("a NO [AUTHENTICATIONFAILED] no", "a NO [UNAVAILABLE] no"),
}


@pytest.mark.parametrize(("protocol", "script", "mechanism"), PLUGINS.values(), ids=PLUGINS.keys())
@pytest.mark.parametrize("later", [False, True])
def test_a_plugin_says_no(protocol: Protocol, script: str, mechanism: str, later: bool) -> None:
    refusal = REFUSALS[protocol][later]
    verdict = Defer("no") if later else Reject("no")
    lines, results, _ = played(protocol, f"{script};C< {refusal}", No(verdict))
    assert lines == [
        {
            "event": "login failed",
            "log_level": "info",
            "protocol": protocol,
            "client": "192.0.2.7",
            "login": "bob",
            "mechanism": mechanism,
            "by": "doorman",
        }
    ]
    assert results == ["refused"]


CLOSED: dict[Protocol, str] = {
    "smtp": f"C> AUTH PLAIN {PLAIN};C< 421 no (s1);C. closed",
    "pop3": "C> PASS secret;C< -ERR [AUTH] no;C. closed",
    "imap": "C> a LOGIN bob secret;C< * BYE no;C. closed",
}


@pytest.mark.parametrize("protocol", CLOSED)
def test_a_plugin_closes(protocol: Protocol) -> None:
    lines, results, _ = played(protocol, CLOSED[protocol], No(Close("no")))
    assert [line["by"] for line in lines] == ["doorman"]
    assert results == ["refused"]


def test_a_long_name_is_cut() -> None:
    name = "b" * 500
    lines, _, _ = played("imap", f"C> a LOGIN {name} secret;U< a LOGIN {name} secret;U> a NO x;C< a NO x")
    assert lines[0]["login"] == "b" * 120


def test_a_login_that_succeeds_is_no_line() -> None:
    lines, results, _ = played("imap", "C> a LOGIN bob secret;U< a LOGIN bob secret;U> a OK x;C< a OK x")
    assert (lines, results) == ([], ["accepted"])
