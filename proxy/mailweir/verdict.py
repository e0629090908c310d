"""What a plugin may answer.

A verdict says what shall happen, not how a protocol says it: each relay has its own words for it. A
plugin that has no opinion returns `None` and the next plugin is asked.

Public text goes to the other side of the conversation, so it should name no file, host or setting of
ours. Control characters in it are taken out where the reply is made.
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Verdict:
    """The common part: a text for people, and for SMTP purists an exact reply.

    `code` is a reply code of three digits (RFC 5321 4.2) and `status` an enhanced one ("5.7.1",
    RFC 3463); only SMTP and LMTP use them. A code whose first digit contradicts the verdict is a
    `ValueError`, at the plugin.
    """

    text: str = ""
    code: int | None = None
    status: str | None = None

    def __post_init__(self) -> None:
        kind = CLASSES.get(type(self).__name__)
        if kind and self.code is not None and not (self.code // 100 == kind and 200 <= self.code <= 599):
            raise ValueError(f"{type(self).__name__} can't be said with code {self.code}")
        if kind and self.status is not None and not self.status.startswith(f"{kind}."):
            raise ValueError(f"{type(self).__name__} can't be said with status {self.status}")


@dataclass(frozen=True, slots=True)
class Reject(Verdict):
    """No, and asking again will not help: 550, -ERR, NO [CANNOT]."""


@dataclass(frozen=True, slots=True)
class Defer(Verdict):
    """Not now, try again later: 451, -ERR [SYS/TEMP], NO [UNAVAILABLE]."""


@dataclass(frozen=True, slots=True)
class Close(Verdict):
    """Say goodbye and close the session: 421, -ERR, BYE."""


@dataclass(frozen=True, slots=True)
class Discard(Verdict):
    """Tell the client that the message was accepted and drop it. `text` is the reason, for our log."""


@dataclass(frozen=True, slots=True)
class Quarantine(Verdict):
    """Keep the message aside. Answers as `Defer` where no store is configured."""


@dataclass(frozen=True, slots=True)
class Accept(Verdict):
    """Go on, and ask no later plugin at this hook (allow-lists). `text` is the reason, for our log."""


@dataclass(frozen=True, slots=True)
class Route:
    """The answer to `route`: the name of an upstream in the configuration."""

    upstream: str


CLASSES = {"Reject": 5, "Defer": 4, "Quarantine": 4, "Close": 4, "Discard": 2}
"""The first digit of the reply with which SMTP says a verdict."""


class Decision(NamedTuple):
    """A verdict and whose it is. `failed`: the plugin broke down and the keeper's `on_error` speaks."""

    verdict: Verdict
    plugin: str
    failed: bool = False

    @property
    def passes(self) -> bool:
        """Nothing stands in the way: an `Accept`."""
        return isinstance(self.verdict, Accept)


def printable(text: str, limit: int = 400) -> str:
    """`text` on one line, without control characters, at most `limit` characters long.

    Text out of a message (a file name, a subject) may hold a CR LF that would become a reply of its own;
    every reply and every log line that carries such text passes through here.
    """
    clean = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    return " ".join(clean.split())[:limit]
