"""The switch to TLS on upstream's leg, the same in all protocols: what is behind the answer, and what fails."""

import pytest
from structlog.testing import capture_logs

from mailweir.relay.rules import Rules
from mailweir.session import Protocol
from mailweir.testing.play import Stage

OPENINGS: dict[Protocol, str] = {
    "smtp": "U> 220 x\nU< EHLO weir.example\nU> 250-x|250 STARTTLS\nU< STARTTLS\nU> 220 go",
    "lmtp": "U> 220 x\nU< LHLO weir.example\nU> 250-x|250 STARTTLS\nU< STARTTLS\nU> 220 go",
    "pop3": "U> +OK x\nU< STLS\nU> +OK go",
    "imap": "U> * OK x\nU< mw0 STARTTLS\nU> mw0 OK go",
}
INSECURE: dict[Protocol, str] = {
    "smtp": "421 weir.example no secure way to the server, try again later (s1)",
    "lmtp": "421 weir.example no secure way to the server, try again later (s1)",
    "pop3": "-ERR [SYS/TEMP] no secure way to the server, try again later",
    "imap": "* BYE [UNAVAILABLE] no secure way to the server, try again later (s1)",
}


def stage(protocol: Protocol) -> Stage:
    return Stage(protocol, [], Rules(upstream="mta", upstream_tls="starttls", hostname="weir.example"))


@pytest.mark.parametrize("behind", ["250 injected", "2\\", r"\x16\x03\x03\x00z\x02" + "\\"])
@pytest.mark.parametrize("protocol", OPENINGS)
def test_octets_in_clear_end_the_session(protocol: Protocol, behind: str) -> None:
    """A whole response, the first octet of one, half a ServerHello: no handshake begins, upstream is cut."""
    with capture_logs() as logs:
        played = stage(protocol).play(f"""
            {OPENINGS[protocol]}|{behind}
            C< {INSECURE[protocol]}
            C. closed
            U. aborted
        """)
    assert played.upstream.secured == 0
    word = "STLS" if protocol == "pop3" else "STARTTLS"
    told = [(line["event"], line.get("reason", line.get("error"))) for line in logs]
    assert told == [
        ("protocol error", f"octets in clear behind {word}"),
        ("upstream unreachable", f"upstream sent octets in clear behind {word}"),
    ]


@pytest.mark.parametrize("protocol", OPENINGS)
def test_a_handshake_that_fails_ends_the_session(protocol: Protocol) -> None:
    with capture_logs() as logs:
        played = stage(protocol).play(f"""
            {OPENINGS[protocol]}
            U! TLS: certificate has expired
            C< {INSECURE[protocol]}
            C. closed
        """)
    assert played.session.closed == "TLS: certificate has expired"
    assert [line["reason"] for line in logs] == ["TLS: certificate has expired"]


@pytest.mark.parametrize("protocol", OPENINGS)
def test_a_handshake_that_fails_before_the_greeting(protocol: Protocol) -> None:
    stage(protocol).play(f"""
        U! insecure, certificate has expired
        C< {INSECURE[protocol]}
        C. closed
    """)


@pytest.mark.parametrize("protocol", OPENINGS)
def test_a_client_that_leaves_during_the_handshake(protocol: Protocol) -> None:
    played = stage(protocol).play(f"{OPENINGS[protocol]}\nC! gone\nU! TLS: given up")
    assert played.session.closed == "client closed" and not played.client.heard
