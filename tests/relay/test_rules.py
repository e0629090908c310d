"""What may pass on a client's connection is one rule for all protocols."""

import pytest

from mailweir.relay.rules import Rules
from mailweir.session import Address, Session, Tls

TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")


@pytest.mark.parametrize(
    ("host", "tls", "rules", "secure", "plaintext"),
    [
        ("192.0.2.1", None, Rules(), True, False),
        ("192.0.2.1", None, Rules(allow_plaintext=True), True, True),
        ("192.0.2.1", None, Rules(require_tls=True, allow_plaintext=True), False, False),
        ("192.0.2.1", TLS, Rules(require_tls=True), True, True),
        ("127.0.0.1", None, Rules(), True, True),
        ("127.0.0.1", None, Rules(require_tls=True), False, False),
    ],
)
def test_what_may_pass(host: str, tls: Tls | None, rules: Rules, secure: bool, plaintext: bool) -> None:
    session = Session("s", "l", "imap", Address(host, 1), Address("::", 143), 0.0, client_tls=tls)
    assert (rules.secure(session), rules.plaintext(session)) == (secure, plaintext)
