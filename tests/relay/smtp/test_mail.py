"""A transaction and what becomes of it."""

import pytest

from mailweir.envelope import Envelope, Recipient
from mailweir.relay.smtp.mail import REMEMBERED, Mail, outcome
from mailweir.session import Transaction
from mailweir.verdict import Decision, Reject


def begun(parameters: str = "") -> Mail:
    return Mail(Transaction("s1.1", "smtp", 0.0, Envelope("ann@example.org", parameters)))


@pytest.mark.parametrize(
    ("reply", "result"), [(b"250 ok", "accepted"), (b"451 wait", "deferred"), (b"550 no", "rejected")]
)
def test_outcome(reply: bytes, result: str) -> None:
    assert outcome(reply) == result


def test_without_recipients_it_is_aborted() -> None:
    assert begun().outcome() == ("aborted", b"", None)


def test_all_recipients_refused_is_the_outcome() -> None:
    mail, bob, decision = begun(), Recipient("bob@x"), Decision(Reject("no"), "policy")
    mail.transaction.envelope.recipients.append(bob)
    mail.no(bob, b"550 no\r\n", decision)
    assert mail.outcome() == ("rejected", b"550 no\r\n", decision)
    mail.transaction.envelope.recipients.append(Recipient("ann@x", accepted=True))
    assert mail.outcome()[0] == "aborted"


def test_refused_recipients_are_remembered_up_to_a_number() -> None:
    mail = begun()
    for number in range(REMEMBERED + 50):
        recipient = Recipient(f"{number}@x")
        mail.transaction.envelope.recipients.append(recipient)
        mail.no(recipient, b"550 no\r\n")
    assert len(mail.transaction.envelope.recipients) == REMEMBERED


@pytest.mark.parametrize(
    ("parameters", "binary"),
    [("BODY=BINARYMIME", True), ("size=1 body=binaryMime", True), ("BODY=8BITMIME", False)],
)
def test_binary(parameters: str, binary: bool) -> None:
    assert begun(parameters).binary == binary
