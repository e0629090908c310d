"""Greetings, TLS on upstream's leg, and sessions that never begin."""

from collections.abc import Callable

import pytest

from mailweir import Defer, Reject, Verdict, hookimpl
from mailweir.testing.play import Stage

Make = Callable[..., Stage]

BYE = "* BYE [UNAVAILABLE] server not available, try again later (s1)"
INSECURE = "* BYE [UNAVAILABLE] no secure way to the server, try again later (s1)"
PLAYS: dict[str, tuple[dict[str, object], str]] = {
    "greeting": (
        {},
        "U> * OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] hi\nC< * OK [CAPABILITY IMAP4rev1 LITERAL+] hi",
    ),
    "logged in already": (
        {"client": "192.0.2.1", "starttls": True},
        "U> * PREAUTH [CAPABILITY IMAP4rev1] hi\nC< * PREAUTH [CAPABILITY IMAP4rev1 LITERAL+] hi",
    ),
    "logged in already, TLS required": (
        {"require_tls": True},
        f"U> * PREAUTH hi\nC< {INSECURE}\nC. closed\nU. closed",
    ),
    "upstream says BYE": ({}, "U> * BYE too busy\nC< * BYE too busy\nC. closed"),
    "no IMAP": ({}, f"U> 220 smtp\nU. aborted\nC< {BYE}\nC. closed"),
    "upstream closes": ({}, f"U! gone\nC< {BYE}\nC. closed"),
    "upstream is silent": ({"upstream_reply": 60.0}, f"T+ 70\nU. aborted\nC< {BYE}\nC. closed"),
    "unreachable": ({}, f"U! unreachable\nC! x\nC< {BYE}\nC. closed"),
    "STARTTLS upstream": (
        {"upstream_tls": "starttls"},
        """
        U> * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi
        U< mw0 STARTTLS
        U> mw0 OK go
        U. tls
        U< mw0 CAPABILITY
        U> * CAPABILITY IMAP4rev1 LITERAL+ IDLE AUTH=PLAIN|mw0 OK x
        C< * OK [CAPABILITY IMAP4rev1 LITERAL+ IDLE AUTH=PLAIN] hi
        C> a1 NOOP
        U< a1 NOOP
        """,
    ),
    "STARTTLS upstream, nothing listed before": (
        {"upstream_tls": "starttls"},
        """
        U> * OK hi
        U< mw0 STARTTLS
        U> mw0 OK go
        U. tls
        U< mw0 CAPABILITY
        U> * CAPABILITY IMAP4rev1|mw0 OK x
        C< * OK hi
        """,
    ),
    "STARTTLS upstream, nothing listed behind": (
        {"upstream_tls": "starttls"},
        """
        U> * OK [CAPABILITY IMAP4rev1] hi
        U< mw0 STARTTLS
        U> mw0 OK go
        U. tls
        U< mw0 CAPABILITY
        U> mw0 NO x
        C< * OK hi
        """,
    ),
    "STARTTLS upstream, refused": (
        {"upstream_tls": "starttls"},
        f"""
        U> * OK hi
        U< mw0 STARTTLS
        U> mw0 BAD what?
        C< {INSECURE}
        C. closed
        U. closed
        """,
    ),
    "STARTTLS upstream, injection": (
        {"upstream_tls": "starttls"},
        rf"""
        U> * OK hi
        U< mw0 STARTTLS
        U> mw0 OK go|* CAPABILITY IMAP4rev1
        U. aborted
        C< {INSECURE}
        C. closed
        """,
    ),
    "STARTTLS upstream, injection of half a handshake": (
        {"upstream_tls": "starttls"},
        rf"""
        U> * OK hi
        U< mw0 STARTTLS
        U> mw0 OK go|\x16\x03\x03\
        U. aborted
        C< {INSECURE}
        C. closed
        """,
    ),
    "STARTTLS upstream, handshake fails": (
        {"upstream_tls": "starttls"},
        f"""
        U> * OK hi
        U< mw0 STARTTLS
        U> mw0 OK go
        U! TLS: certificate has expired
        C< {INSECURE}
        C. closed
        """,
    ),
    "TLS preferred, in the greeting": (
        {"upstream_tls": "opportunistic"},
        """
        U> * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi
        U< mw0 STARTTLS
        U> mw0 OK go
        U. tls
        U< mw0 CAPABILITY
        U> * CAPABILITY IMAP4rev1 AUTH=PLAIN|mw0 OK x
        C< * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN LITERAL+] hi
        """,
    ),
    "TLS preferred, asked for": (
        {"upstream_tls": "opportunistic"},
        """
        U> * OK hi
        U< mw0 CAPABILITY
        U> * CAPABILITY IMAP4rev1 STARTTLS|mw0 OK x
        U< mw0 STARTTLS
        U> mw0 OK go
        U. tls
        U< mw0 CAPABILITY
        U> * CAPABILITY IMAP4rev1|mw0 OK x
        C< * OK hi
        """,
    ),
    "TLS preferred, not in the greeting": (
        {"upstream_tls": "opportunistic"},
        "U> * OK [CAPABILITY IMAP4rev1] hi\nC< * OK [CAPABILITY IMAP4rev1 LITERAL+] hi",
    ),
    "TLS preferred, not offered": (
        {"upstream_tls": "opportunistic"},
        """
        U> * OK hi
        U< mw0 CAPABILITY
        U> * CAPABILITY IMAP4rev1|mw0 OK x
        C< * OK hi
        """,
    ),
    "TLS preferred, CAPABILITY refused": (
        {"upstream_tls": "opportunistic"},
        "U> * OK hi\nU< mw0 CAPABILITY\nU> mw0 BAD what\nC< * OK hi",
    ),
    "TLS preferred, refused": (
        {"upstream_tls": "opportunistic"},
        f"""
        U> * OK [CAPABILITY IMAP4rev1 STARTTLS] hi
        U< mw0 STARTTLS
        U> mw0 NO not now
        C< {INSECURE}
        C. closed
        U. closed
        """,
    ),
    "TLS preferred, PREAUTH": (
        {"upstream_tls": "opportunistic"},
        "U> * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\nC< * PREAUTH [CAPABILITY IMAP4rev1 LITERAL+] hi",
    ),
    "STARTTLS upstream, PREAUTH": (
        {"upstream_tls": "starttls"},
        f"U> * PREAUTH hi\nC< {INSECURE}\nC. closed\nU. closed",
    ),
    "TLS upstream from the start": ({"upstream_tls": "implicit"}, "U> * PREAUTH hi\nC< * PREAUTH hi"),
}


@pytest.mark.parametrize(("rules", "script"), PLAYS.values(), ids=PLAYS.keys())
def test_opening(imap: Make, rules: dict[str, object], script: str) -> None:
    imap(greeted=False, **rules).play(script.replace("C! x\n", ""))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [(Reject("not you"), "* BYE not you"), (Defer("later"), "* BYE [UNAVAILABLE] later")],
)
def test_client_is_not_wanted(imap: Make, verdict: Verdict, said: str) -> None:
    class Door:
        @hookimpl
        def connected(self) -> Verdict:
            return verdict

    stage = imap(Door(), greeted=False)
    stage.begin()
    stage.play(f"C< {said}\nC. closed")
    assert not stage.dialled
