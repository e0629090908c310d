"""One table of what upstream offers, and what this client may see of it."""

from collections.abc import Callable
from typing import Any

import pytest

from mailweir.hookspecs import hookimpl
from mailweir.testing.play import Stage

Make = Callable[..., Stage]
REMOTE = {"client": "192.0.2.1"}

CASES: dict[str, tuple[dict[str, Any], str, str]] = {  # rules, upstream's lines, the client's lines
    "as it is": ({}, "TOP|UIDL|USER|PIPELINING", "TOP|UIDL|USER|PIPELINING"),
    "pipelining is ours": ({}, "TOP", "TOP|PIPELINING"),
    "nothing": ({}, "", "PIPELINING"),
    "STLS of upstream's is not ours": ({}, "STLS|PIPELINING", "PIPELINING"),
    "STLS of ours": ({"starttls": True}, "TOP|PIPELINING", "TOP|PIPELINING|STLS"),
    "STLS of both stays where it is": ({"starttls": True}, "stls|PIPELINING", "stls|PIPELINING"),
    "USER by TLS only": (REMOTE, "USER|PIPELINING", "PIPELINING"),
    "USER in clear": (REMOTE | {"allow_plaintext": True}, "USER|PIPELINING", "USER|PIPELINING"),
    "USER where TLS is required": ({"require_tls": True}, "USER|PIPELINING", "PIPELINING"),
    "SASL as it is": ({}, "sasl  PLAIN LOGIN|PIPELINING", "sasl  PLAIN LOGIN|PIPELINING"),
    "SASL of a proxy": (
        {},
        "SASL PLAIN EXTERNAL SCRAM-SHA-1-PLUS SCRAM-SHA-1|PIPELINING",
        "SASL PLAIN SCRAM-SHA-1|PIPELINING",
    ),
    "SASL by TLS only": (REMOTE, "SASL PLAIN CRAM-MD5 LOGIN|PIPELINING", "SASL CRAM-MD5|PIPELINING"),
    "SASL with nothing left": (REMOTE, "SASL PLAIN LOGIN|PIPELINING", "PIPELINING"),
    "SASL where TLS is required": ({"require_tls": True}, "SASL CRAM-MD5|PIPELINING", "PIPELINING"),
    "unknown": ({}, "X-OWN a b|UTF8 USER|PIPELINING", "X-OWN a b|UTF8 USER|PIPELINING"),
    "unknown refused": (
        {"refuse_unknown": True},
        "X-OWN a b|UTF8 USER|NEW|LANG|EXPIRE 60|LOGIN-DELAY 900|IMPLEMENTATION x|PIPELINING",
        "UTF8 USER|LANG|EXPIRE 60|LOGIN-DELAY 900|IMPLEMENTATION x|PIPELINING",
    ),
    "never": ({}, "XCLIENT ADDR PORT|PIPELINING", "PIPELINING"),
    "twice": ({"starttls": True}, "STLS|STLS|PIPELINING|PIPELINING", "STLS|PIPELINING"),
    "codes": ({}, "RESP-CODES|AUTH-RESP-CODE|PIPELINING", "RESP-CODES|AUTH-RESP-CODE|PIPELINING"),
}


def lines(text: str) -> str:
    return f"+OK list|{text}|." if text else "+OK list|."


@pytest.mark.parametrize(("rules", "upstream", "client"), CASES.values(), ids=CASES.keys())
def test_capa(pop3: Make, rules: dict[str, Any], upstream: str, client: str) -> None:
    stage = pop3(**rules)
    stage.play(f"C> CAPA\nU< CAPA\nU> {lines(upstream)}\nC< {lines(client)}")
    stage.play("C> CAPA\nU< CAPA")
    for octet in lines(upstream).replace("|", "\r\n").encode() + b"\r\n":
        stage.say("upstream", bytes([octet]))
    stage.play(f"C< {lines(client)}")


def test_it_is_asked_anew_in_each_state(pop3: Make) -> None:
    stage = pop3(starttls=True, client="192.0.2.1")
    stage.play("C> CAPA\nU< CAPA\nU> +OK|USER|PIPELINING|.\nC< +OK|PIPELINING|STLS|.")
    stage.play("C> STLS\nC< +OK begin TLS\nC. tls")
    stage.play("C> CAPA\nU< CAPA\nU> +OK|USER|PIPELINING|.\nC< +OK|USER|PIPELINING|.")


def test_no_stls_after_the_login(pop3: Make) -> None:
    pop3(logged_in=True, starttls=True).play("""
        C> CAPA
        U< CAPA
        U> +OK|TOP|STLS|PIPELINING|.
        C< +OK|TOP|PIPELINING|.
    """)


def test_what_plugins_cant_read_is_not_offered_to_go_round_them(pop3: Make) -> None:
    class Logins:
        @hookimpl
        def login(self) -> None: ...

    pop3(Logins(), refuse_unknown=True).play("""
        C> CAPA
        U< CAPA
        U> +OK|SASL PLAIN CRAM-MD5 SCRAM-SHA-256|PIPELINING|.
        C< +OK|SASL PLAIN|PIPELINING|.
    """)


def test_a_server_without_capa(pop3: Make) -> None:
    pop3(pipelining=True).play("""
        C> CAPA|NOOP|NOOP
        U< CAPA|NOOP|NOOP
        U> -ERR unknown|-ERR|-ERR
        C< -ERR unknown|-ERR|-ERR
        C> NOOP|NOOP
        U< NOOP
        U> -ERR
        C< -ERR
        U< NOOP
        U> -ERR
        C< -ERR
    """)


def test_an_endless_list_is_an_error(pop3: Make) -> None:
    stage = pop3().play("C> CAPA\nU< CAPA")
    stage.say("upstream", b"+OK\r\n" + b"X\r\n" * 30000)
    stage.play("""
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
        U. aborted
    """)
