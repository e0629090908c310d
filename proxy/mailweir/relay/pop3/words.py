"""What we say ourselves, in the words of RFC 1939, 2449 8 and 3206."""

import re

from mailweir.session import Outcome
from mailweir.verdict import Close, Decision, Defer, Quarantine, printable

BEGIN_TLS = b"+OK begin TLS\r\n"
TOP = b"+OK\r\n"
LOST = b"-ERR [SYS/TEMP] upstream server lost, try again later\r\n"
UNREACHABLE = b"-ERR [SYS/TEMP] upstream server not available, try again later\r\n"
NO_TLS_UPSTREAM = b"-ERR [SYS/TEMP] no secure way to the server, try again later\r\n"
SHUTDOWN = b"-ERR [SYS/TEMP] shutting down, try again later\r\n"
LOCAL = b"-ERR [SYS/TEMP] local error, try again later\r\n"
UNKNOWN = b"-ERR unknown command\r\n"
SYNTAX = b"-ERR syntax error in arguments\r\n"
NO_USER = b"-ERR say USER first\r\n"
NO_STLS = b"-ERR TLS is not available here\r\n"
NEED_TLS = b"-ERR [AUTH] no logins without TLS, say STLS first\r\n"
MECHANISM = b"-ERR [AUTH] mechanism not available\r\n"
MALFORMED = b"-ERR [AUTH] malformed response\r\n"


def error(text: str) -> bytes:
    """A client's mistake, said to him."""
    return f"-ERR {text}\r\n".encode()


def refusal(decision: Decision, session_id: str, *, login: bool = False) -> bytes:
    """A plugin's verdict. `Discard` means nothing to those who read mail, and is a refusal like others.

    The session id is for the keeper, who will be asked what a plugin's failure was about.
    """
    verdict = decision.verdict
    temporary = isinstance(verdict, (Defer, Quarantine))
    text = printable(verdict.said) or ("try again later" if temporary else "refused")
    if decision.failed:
        text += f" ({session_id})"
    code = "[SYS/TEMP] " if temporary else "[AUTH] " if login else ""
    return f"-ERR {code}{text}\r\n".encode("ascii", "replace")


_TEMPORARY = re.compile(rb"-ERR \[(?:SYS/TEMP|IN-USE)[]/]", re.IGNORECASE)
"""Asking again may help (RFC 2449 8.1.2, RFC 3206 4)."""


def outcome_of(reply: bytes) -> Outcome:
    """What became of a message that upstream answered with this `-ERR`."""
    return "deferred" if _TEMPORARY.match(reply) else "rejected"


def outcome(decision: Decision) -> Outcome:
    """What became of a message that was refused so."""
    return "deferred" if isinstance(decision.verdict, (Defer, Quarantine, Close)) else "rejected"


def reply(octets: bytes) -> str:
    """A reply's line as logs may show it."""
    return printable(octets.decode("latin-1"))
