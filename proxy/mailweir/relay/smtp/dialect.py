"""The differences between SMTP and LMTP (RFC 2033), one row each.

The client may speak the one and upstream the other. What follows from that is here and in `ending`: the verb
of the hello, and how many replies a text has.
"""

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

    def hello(self, verb: str, raw: bytes) -> bytes:
        """The hello of a client, as a server of this dialect wants it."""
        return raw if verb in self.hellos else self.hellos[0].encode() + raw[len(verb) :]


DIALECTS: dict[str, Dialect] = {
    "smtp": Dialect("smtp", ("EHLO", "HELO"), False, Answer(554, "5.5.1", "no valid recipients")),
    "lmtp": Dialect("lmtp", ("LHLO",), True, Answer(503, "5.5.1", "no valid recipients")),
}


def one_line(reply: bytes) -> bytes:
    """The first line of a reply as the whole of it: what HELO gets where a longer hello was answered."""
    first = reply.partition(b"\r\n")[0]
    return first[:3] + b" " + first[4:] + b"\r\n"
