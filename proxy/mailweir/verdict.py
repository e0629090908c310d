"""What a plugin may answer.

A verdict says what shall happen, not how a protocol says it: each relay has its own words for it. A
plugin that has no opinion returns `None` and the next plugin is asked.

Public text goes to the other side of the conversation, so it should name no file, host or setting of
ours. Control characters in it are taken out where the reply is made. The text of `Discard`, `Quarantine`
and `Accept` is a reason for our log, and never leaves.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

_STATUS = re.compile(r"[245](?:\.\d{1,3}){2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The common part: a text for people, and for SMTP purists an exact reply.

    `code` is a reply code of three digits (RFC 5321 4.2) and `status` an enhanced one ("5.7.1",
    RFC 3463); only SMTP and LMTP use them. One whose first digit is not the verdict's `DIGIT`, or that is
    no status at all, is a `ValueError`, at the plugin. A verdict that derives from one of these is said as
    that one.
    """

    DIGIT: ClassVar[int] = 0
    """With which SMTP says it; 0: it has no reply."""

    PUBLIC: ClassVar[bool] = True
    """`text` is for the other side to read."""

    text: str = ""
    code: int | None = None
    status: str | None = None

    def __post_init__(self) -> None:
        if self.code is not None and self.code // 100 != self.DIGIT:
            raise ValueError(f"{type(self).__name__} can't be said with code {self.code}")
        status = self.status
        if status is not None and not (_STATUS.fullmatch(status) and status[0] == str(self.DIGIT)):
            raise ValueError(f"{type(self).__name__} can't be said with status {printable(status, 40)}")

    @property
    def said(self) -> str:
        """What of `text` may be said to the other side; empty where it is none of its business."""
        return self.text if self.PUBLIC else ""


@dataclass(frozen=True, slots=True)
class Reject(Verdict):
    """No, and asking again will not help: 550, -ERR, NO [CANNOT]."""

    DIGIT = 5


@dataclass(frozen=True, slots=True)
class Defer(Verdict):
    """Not now, try again later: 451, -ERR [SYS/TEMP], NO [UNAVAILABLE]."""

    DIGIT = 4


@dataclass(frozen=True, slots=True)
class Close(Verdict):
    """Say goodbye and close the session: 421, -ERR, BYE."""

    DIGIT = 4


@dataclass(frozen=True, slots=True)
class Discard(Verdict):
    """Tell the client that the message was accepted and drop it. `text` is the reason, for our log.

    At hooks where nothing can be dropped it is a refusal: POP3 has no way to say it, nor has a login.
    """

    DIGIT = 2
    PUBLIC = False


@dataclass(frozen=True, slots=True)
class Quarantine(Verdict):
    """Keep the message aside. Answers as `Defer` where no store is configured. `text` is the reason."""

    DIGIT = 4
    PUBLIC = False


@dataclass(frozen=True, slots=True)
class Accept(Verdict):
    """Go on, and ask no later plugin at this hook (allow-lists). `text` is the reason, for our log."""

    PUBLIC = False


@dataclass(frozen=True, slots=True)
class Route:
    """The answer to `route`: the name of an upstream in the configuration."""

    upstream: str


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
    text = text.strip()
    if len(text) <= limit and text.isprintable() and "  " not in text:
        return text
    clean = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    return " ".join(clean.split())[:limit]
