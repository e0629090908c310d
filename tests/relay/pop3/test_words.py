"""What verdicts sound like in POP3."""

import pytest

from mailweir.relay.pop3 import words
from mailweir.verdict import Close, Decision, Defer, Discard, Quarantine, Reject, Verdict


@pytest.mark.parametrize(
    ("verdict", "login", "octets"),
    [
        (Reject("no"), False, b"-ERR no\r\n"),
        (Reject("no"), True, b"-ERR [AUTH] no\r\n"),
        (Reject(), False, b"-ERR refused\r\n"),
        (Defer("wait"), False, b"-ERR [SYS/TEMP] wait\r\n"),
        (Defer("wait"), True, b"-ERR [SYS/TEMP] wait\r\n"),
        (Quarantine("a reason for the log"), False, b"-ERR [SYS/TEMP] try again later\r\n"),
        (Discard("a reason for the log"), False, b"-ERR refused\r\n"),
        (Close("bye"), False, b"-ERR bye\r\n"),
        (Reject("a\r\n+OK\0 b"), False, b"-ERR a +OK b\r\n"),
        (Reject("caf\xe9"), False, b"-ERR caf?\r\n"),
    ],
)
def test_refusal(verdict: Verdict, login: bool, octets: bytes) -> None:
    assert words.refusal(Decision(verdict, "plug"), "s1", login=login) == octets


def test_a_failure_names_the_session() -> None:
    decision = Decision(Defer("local error"), "plug", failed=True)
    assert words.refusal(decision, "s1") == b"-ERR [SYS/TEMP] local error (s1)\r\n"


def test_replies_fit_the_line() -> None:
    assert len(words.refusal(Decision(Reject("x" * 9999), "plug"), "s" * 13, login=True)) <= 512
