"""What we say ourselves, in IMAP's words (RFC 9051 7.1; response codes of RFC 5530 and RFC 7889)."""

from mailweir.session import Outcome
from mailweir.verdict import Close, Decision, Defer, Discard, Quarantine, printable


def tagged(tag: bytes, status: str, text: str) -> bytes:
    """A completion, or, without a tag, what is said of a line that has none."""
    return b"%s %s %s\r\n" % (tag or b"*", status.encode(), _clean(text))


def untagged(status: str, text: str) -> bytes:
    return tagged(b"*", status, text)


def go_on() -> bytes:
    """Old clients want a blank behind `+`."""
    return b"+ OK\r\n"


def verdict(tag: bytes, decision: Decision, session: str, code: str = "CANNOT") -> bytes:
    """A plugin's no to one command; `code` is said where asking again will not help."""
    answer = decision.verdict
    if isinstance(answer, Defer | Quarantine):
        code = "UNAVAILABLE"
    return tagged(tag, "NO", f"[{code}] {_text(decision, session)}")


def farewell(decision: Decision | None, session: str, *, insecure: bool = False) -> bytes:
    """A plugin's no to the session, or, without one, what an unreachable upstream comes to."""
    if decision is None:
        what = "no secure way to the server" if insecure else "server not available"
        return untagged("BYE", f"[UNAVAILABLE] {what}, try again later ({session})")
    code = "[UNAVAILABLE] " if isinstance(decision.verdict, Defer | Quarantine) else ""
    return untagged("BYE", code + _text(decision, session))


def outcome(decision: Decision) -> Outcome:
    """What became of a message that a plugin stopped."""
    if isinstance(decision.verdict, Discard):
        return "discarded"
    return "deferred" if isinstance(decision.verdict, Defer | Quarantine | Close) else "rejected"


def shown(octets: bytes) -> str:
    """A response as logs may show it."""
    return printable(octets.decode("latin-1"))


def closes(decision: Decision) -> bool:
    return isinstance(decision.verdict, Close)


def _text(decision: Decision, session: str) -> str:
    text = printable(decision.verdict.said) or "refused by policy"
    return f"{text} ({session})" if decision.failed else text


def _clean(text: str) -> bytes:
    """Response text is ASCII (RFC 9051 9, `resp-text`) unless UTF-8 was enabled."""
    return printable(text).encode("ascii", "replace")
