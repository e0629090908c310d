"""The verbs of POP3 and how each is answered (RFC 1939, 2449, 2595, 5034, 6856; withdrawn: 1081, 1225).

A reply is one line, or a line and a text; which of the two depends on the verb, on whether it has
arguments, and on `+OK`. A verb that is not here is unknown, and nobody knows the shape of its reply.
"""

from dataclasses import dataclass
from enum import Enum


class Framing(Enum):
    """What follows `+OK`. Behind `-ERR` there is never anything."""

    SINGLE = "nothing"
    MULTI = "a text"
    UNKNOWN = "nobody knows"


@dataclass(frozen=True, slots=True)
class Verb:
    """`bare`: without arguments, `given`: with some. `barrier`: what comes behind must wait for the reply."""

    bare: Framing = Framing.SINGLE
    given: Framing = Framing.SINGLE
    barrier: bool = False

    def framing(self, arguments: bytes) -> Framing:
        """Trailing blanks are no arguments: to Dovecot `LIST ` is `LIST`."""
        return self.given if arguments.strip() else self.bare


ONE = Verb()
TEXT = Verb(Framing.MULTI, Framing.MULTI)
EITHER = Verb(Framing.MULTI, Framing.SINGLE)
BARRIER = Verb(barrier=True)
UNKNOWN = Verb(Framing.UNKNOWN, Framing.UNKNOWN, barrier=True)

VERBS = {
    "USER": ONE,
    "PASS": ONE,
    "APOP": ONE,
    "AUTH": Verb(Framing.MULTI, Framing.SINGLE, barrier=True),
    "CAPA": TEXT,
    "STLS": BARRIER,
    "UTF8": BARRIER,
    "LANG": EITHER,
    "STAT": ONE,
    "LIST": EITHER,
    "UIDL": EITHER,
    "RETR": TEXT,
    "TOP": TEXT,
    "DELE": ONE,
    "NOOP": ONE,
    "RSET": ONE,
    "LAST": ONE,
    "QUIT": BARRIER,
    "XTND": UNKNOWN,  # RFC 1082; XMIT has a form of its own, of the others servers differ
}

NEVER = frozenset({"XCLIENT", "RPOP"})
"""Believed, or allowed, because of who says it, and upstream would hear us say it. RPOP: RFC 1081."""
