"""What we say ourselves, and what verdicts sound like in IMAP."""

import pytest

from mailweir.relay.imap import words
from mailweir.verdict import Close, Decision, Defer, Discard, Quarantine, Reject, Verdict


@pytest.mark.parametrize(
    ("verdict", "octets"),
    [
        (Reject("no"), b"a NO [CANNOT] no\r\n"),
        (Reject(), b"a NO [CANNOT] refused by policy\r\n"),
        (Defer("wait"), b"a NO [UNAVAILABLE] wait\r\n"),
        (Reject("a\r\nb OK\0 x"), b"a NO [CANNOT] a b OK x\r\n"),
        (Reject("caf\xe9"), b"a NO [CANNOT] caf?\r\n"),
    ],
)
def test_verdict(verdict: Verdict, octets: bytes) -> None:
    assert words.verdict(b"a", Decision(verdict, "plug"), "s1") == octets


def test_a_failure_names_the_session() -> None:
    decision = Decision(Defer("local error"), "plug", failed=True)
    assert words.verdict(b"a", decision, "s1") == b"a NO [UNAVAILABLE] local error (s1)\r\n"


def test_a_line_without_a_tag_is_answered_untagged() -> None:
    assert words.tagged(b"", "BAD", "invalid tag") == words.untagged("BAD", "invalid tag")


@pytest.mark.parametrize(
    ("verdict", "octets"),
    [(Reject("not you"), b"* BYE not you\r\n"), (Defer("later"), b"* BYE [UNAVAILABLE] later\r\n")],
)
def test_farewell(verdict: Verdict, octets: bytes) -> None:
    assert words.farewell(Decision(verdict, "plug"), "s1") == octets


def test_what_became_of_a_message_that_was_stopped() -> None:
    verdicts: list[Verdict] = [Reject(""), Defer(""), Quarantine(""), Close(""), Discard("")]
    outcomes = [words.outcome(Decision(verdict, "plug")) for verdict in verdicts]
    assert outcomes == ["rejected", "deferred", "deferred", "deferred", "discarded"]
