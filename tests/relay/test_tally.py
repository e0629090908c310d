"""All relays count alike, and know who has logged in alike."""

import base64

import pytest

from mailweir import metrics
from mailweir.session import Protocol
from mailweir.testing.play import Stage

CRAM = base64.b64encode(b"bob 0123456789abcdef").decode()
LOGINS: dict[Protocol, str] = {
    "smtp": f"""
        U> 220 hi
        C< 220 hi
        C> EHLO me
        U< EHLO me
        U> 250-x|250-AUTH CRAM-MD5|250 PIPELINING
        C< 250-x|250-AUTH CRAM-MD5|250 PIPELINING
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
