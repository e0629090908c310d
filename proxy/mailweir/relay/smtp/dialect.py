"""The differences between SMTP and LMTP (RFC 2033), one row each."""

from dataclasses import dataclass

from mailweir.relay.smtp.words import Answer
from mailweir.session import Protocol


@dataclass(frozen=True, slots=True)
class Dialect:
    """`hellos`: the verbs that open the session; the first of them is ours where we are the client.

    `each`: after the text there is one reply for each recipient that was accepted (RFC 2033 4.2).
    """

    stage: Protocol
    hellos: tuple[str, ...]
    each: bool
    no_recipients: Answer


DIALECTS: dict[str, Dialect] = {
    "smtp": Dialect("smtp", ("EHLO", "HELO"), False, Answer(554, "5.5.1", "no valid recipients")),
    "lmtp": Dialect("lmtp", ("LHLO",), True, Answer(503, "5.5.1", "no valid recipients")),
}
