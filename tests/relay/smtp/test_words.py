"""How verdicts are said."""

import pytest

from mailweir.relay.smtp.words import Answer, greeting, refusal, reply
from mailweir.verdict import Close, Decision, Defer, Discard, Quarantine, Reject, Verdict

SAID: dict[str, tuple[Verdict, str, bool, str]] = {
    "reject": (Reject("no"), "", False, "550 5.7.1 no (s1)"),
    "reject a login": (Reject(), "login", False, "535 5.7.8 authentication refused (s1)"),
    "defer": (Defer("wait"), "", False, "451 4.7.1 wait (s1)"),
    "a failure": (Defer(), "", True, "451 4.3.0 local error (s1)"),
    "a failure that rejects": (Reject(), "", True, "550 5.3.0 local error (s1)"),
    "quarantine": (Quarantine(), "", False, "451 4.7.1 try again later (s1)"),
    "close": (Close(), "", False, "421 4.7.0 closing connection (s1)"),
    "discard": (Discard("why"), "", False, "250 2.0.0 ok"),
    "discard what can't be": (Discard("why"), "login", False, "454 4.7.0 try again later (s1)"),
    "discard a command": (Discard("why"), "command", False, "451 4.7.1 try again later (s1)"),
    "discard a recipient": (Discard("why"), "rcpt_to", False, "250 2.0.0 ok"),
    "a code": (Reject("no", 554, "5.6.0"), "", False, "554 5.6.0 no (s1)"),
    "control characters": (Reject("a\r\n250 b\0"), "", False, "550 5.7.1 a 250 b (s1)"),
    "beyond ASCII": (Reject("ü"), "", False, "550 5.7.1 ? (s1)"),
}


@pytest.mark.parametrize(("verdict", "hook", "failed", "said"), SAID.values(), ids=SAID.keys())
def test_refusal(verdict: Verdict, hook: str, failed: bool, said: str) -> None:
    octets = reply(refusal(Decision(verdict, "x", failed), hook), "s1", enhanced=True)
    assert octets == said.encode() + b"\r\n"


def test_a_reply_is_one_short_line() -> None:
    octets = reply(Answer(550, "5.7.1", "x\r\n" * 9999), "s" * 13, enhanced=True)
    assert len(octets) <= 512 and octets.count(b"\r\n") == 1


def test_enhanced_codes_are_for_those_who_were_offered_them() -> None:
    assert reply(Answer(550, "5.7.1", "no"), "s1", enhanced=False) == b"550 no (s1)\r\n"


def test_greeting() -> None:
    assert greeting(None, "h", "s1") == b"421 h service not available, try again later (s1)\r\n"
    assert greeting(Decision(Reject("no"), "x"), "h", "s1") == b"554 h no (s1)\r\n"
    assert greeting(Decision(Defer(), "x"), "h", "s1") == b"421 h try again later (s1)\r\n"
    assert greeting(Decision(Discard("spam"), "x"), "h", "s1") == b"421 h try again later (s1)\r\n"
