"""STARTTLS of the client: upstream never hears of it, and nothing said in clear survives it."""

from collections.abc import Callable

import pytest

from mailweir.testing.play import Stage

Make = Callable[..., Stage]

STARTTLS = {
    "in good order": """
        C> a1 STARTTLS
        C< a1 OK begin TLS negotiation now
        C. tls
        C> a2 CAPABILITY
        U< a2 CAPABILITY
        U> * CAPABILITY IMAP4rev1 AUTH=PLAIN STARTTLS|a2 OK x
        C< * CAPABILITY IMAP4rev1 AUTH=PLAIN LITERAL+|a2 OK x
        C> a3 STARTTLS
        C< a3 BAD TLS is not available
        C> a4 LOGIN ann secret
        U< a4 LOGIN ann secret
    """,
    "injection": """
        C> a1 STARTTLS|a2 LOGIN evil evil
        C. aborted
        U. aborted
    """,
    "injection, half a line": r"""
        C> a1 STARTTLS|a2\
        C. aborted
        U. aborted
    """,
    "injection by a bare LF": r"""
        C> a1 STARTTLS\na2 NOOP\n\
        C. aborted
        U. aborted
    """,
    "a literal": r"""
        C> a1 STARTTLS {9+}|a2 NOOP||a3 NOOP
        C< a1 BAD STARTTLS takes no arguments
        U< a3 NOOP
    """,
    "injection behind a command under way": r"""
        C> a1 NOOP|a2 STARTTLS|a3 NOOP
        U< a1 NOOP
        U> a1 OK x
        C< a1 OK x
        C. aborted
        U. aborted
    """,
    "within a response of upstream's": r"""
        U> * 1 FETCH (BODY[] {4}|ab\
        C< * 1 FETCH (BODY[] {4}|ab\
        C> a1 STARTTLS
        C. aborted
        U. aborted
    """,
    "in its turn": """
        C> a1 NOOP|a2 STARTTLS
        U< a1 NOOP
        U> a1 OK x
        C< a1 OK x|a2 OK begin TLS negotiation now
        C. tls
    """,
    "arguments": """
        C> a1 STARTTLS x
        C< a1 BAD STARTTLS takes no arguments
    """,
}


@pytest.mark.parametrize("script", STARTTLS.values(), ids=STARTTLS.keys())
def test_starttls(imap: Make, script: str) -> None:
    imap(client="192.0.2.1", starttls=True, require_tls=True).play(script)
