"""What one session may do to us, counted and timed: who passes a limit is told so once, and sent away.

What takes time is looked at every half minute (`patience.TICK`), or as often as the shortest limit asks,
and not at every octet; so a limit of seconds is kept to within a look.
"""

from structlog.typing import FilteringBoundLogger

from mailweir.relay import tally
from mailweir.relay.patience import TICK
from mailweir.relay.rules import SmtpRules
from mailweir.session import Session

WINDOW = 60.0
"""Seconds over which the pace of a text is measured."""

IDLERS = frozenset(("NOOP", "RSET", "VRFY", "EXPN", "HELP", "ETRN", "EHLO", "HELO", "LHLO"))
"""Commands that do nothing for a message."""

NONSENSE = range(500, 505)
"""Our replies to commands that make no sense: not understood, not there, not now."""


class Limits:
    """Of one session. `lines` counts what the client said that had a line of its own.

    The methods that return True say that a limit has been reached, which they have counted and logged.
    """

    __slots__ = (
        "_bad",
        "_idle",
        "_log",
        "_logged",
        "_rules",
        "_session",
        "_text",
        "_unfinished",
        "expired",
        "lines",
    )

    def __init__(self, session: Session, rules: SmtpRules, log: FilteringBoundLogger) -> None:
        self._session = session
        self._rules = rules
        self._log = log
        self._logged: set[str] = set()
        self._bad = 0
        self._idle = 0
        self._unfinished = (0, 0.0)
        self._text: tuple[object, float, int] | None = None
        self.lines = 0
        self.expired = False

    @property
    def tick(self) -> float:
        """Seconds between two looks."""
        return min(TICK, self._rules.command_time or TICK, self._rules.session_time or TICK)

    def reached(self, limit: str) -> bool:
        """Count that a limit was reached, by its key in the configuration; the log hears of it once."""
        tally.limited(self._session, limit)
        if limit not in self._logged:
            self._logged.add(limit)
            self._log.info("limit reached", limit=limit, client=self._session.client.host)
        return True

    def bad(self, code: int) -> bool:
        """A command was refused by us with `code`."""
        if code not in NONSENSE:
            return False
        self._bad += 1
        return 0 < self._rules.bad_commands < self._bad and self.reached("bad_commands")

    def idle(self) -> bool:
        """A command that does nothing for a message."""
        self._idle += 1
        return 0 < self._rules.idle_commands < self._idle and self.reached("idle_commands")

    def busy(self) -> None:
        """A message comes."""
        self._idle = 0

    def lasts(self, now: float) -> None:
        """`expired` is True once the session has lasted too long; it may finish what it is at."""
        limit = self._rules.session_time
        if limit and not self.expired and now - self._session.opened >= limit:
            self.expired = self.reached("session_time")

    def line_late(self, now: float, *, begun: bool) -> bool:
        """`begun`: a part of a line is here; the same one as at the last look if no line has ended since."""
        line, since = self._unfinished
        if not begun or line != self.lines or not since:
            self._unfinished = (self.lines, now if begun else 0.0)
            return False
        limit = self._rules.command_time
        return 0 < limit <= now - since and self.reached("command_time")

    def text_late(self, now: float, text: object) -> bool:
        """`text` is the one that the client could send more of now, if it can: None starts anew."""
        rate, octets = self._rules.text_rate, self._session.octets_from_client
        if not rate:
            return False
        if self._text is None or self._text[0] != text:
            self._text = None if text is None else (text, now, octets)
            return False
        _, since, before = self._text
        if now - since < WINDOW:
            return False
        self._text = (text, now, octets)
        return octets - before < rate * (now - since) and self.reached("text_rate")

    def hindered(self) -> None:
        """It was upstream that did not take more: what was measured so far says nothing of the client."""
        self._text = None
