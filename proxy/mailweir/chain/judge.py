"""What an answer means, and what a failure means: the keeper's word is applied here and nowhere else.

A verdict is counted, and in shadow mode logged instead of obeyed. A failure - an exception, a time-out, an
answer of the wrong type, a blown fuse - is logged with the plugin's own line first, counted, and answered
with the plugin's `on_error`.
"""

import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import structlog

from mailweir import metrics
from mailweir.chain.call import Late
from mailweir.chain.links import Link
from mailweir.session import Session
from mailweir.verdict import Accept, Close, Decision, Defer, Discard, Quarantine, Reject, Route, printable

Log = structlog.typing.FilteringBoundLogger
Found = Decision | Route | None

SLOW = 0.05
"""Seconds for which a hook may hold the loop; every session of the process waits meanwhile."""

KINDS = (Reject, Defer, Close, Discard, Quarantine, Accept, Route)
ON_ERROR = {"defer": Defer("local error"), "reject": Reject("local error"), "pass": None}


@dataclass(frozen=True, slots=True)
class Judge:
    """For one listener."""

    listener: str
    log: Log

    def weigh(self, link: Link, facts: dict[str, Any], answer: object, now: float) -> Found:
        """What `answer` comes to; `now` is the time in seconds."""
        if answer is None and link.fuse is None:
            return None
        if answer is not None and not isinstance(answer, Route if link.hook == "route" else KINDS[:-1]):
            kind = "Route" if link.hook == "route" else "Verdict"
            wrong = TypeError(f"the answer is {printable(repr(answer), 100)}, not {kind} or None")
            return self.fail(link, facts, "type", wrong, now)
        if link.fuse is not None and link.fuse.worked():
            self.log.info("plugin works again", plugin=link.plug.name, hook=link.hook)
        if answer is None:
            return None
        self._count(link, answer)
        if link.shadow:
            self.log.info("shadow verdict", **self._about(link, facts), verdict=printable(repr(answer)))
            return None
        return answer if isinstance(answer, Route) else Decision(answer, link.plug.name)

    def fail(
        self, link: Link, facts: dict[str, Any], kind: str, error: BaseException | None, now: float
    ) -> Found:
        """The plugin broke down; the keeper said what to answer then."""
        self.broke(link, facts, kind, error)
        if link.fuse is not None and kind != "breaker" and link.fuse.failed(now):
            pause = link.plug.breaker_pause
            self.log.error(
                "plugin not asked for a while",
                **self._about(link, facts),
                failures=link.plug.breaker,
                pause=pause,
            )
        verdict = ON_ERROR[link.plug.on_error]
        if verdict is None or link.shadow:
            return None
        return Decision(verdict, link.plug.name, failed=True)

    def broke(self, link: Link, facts: dict[str, Any], kind: str, error: BaseException | None) -> None:
        """Log and count a failure."""
        metrics.PLUGIN_ERRORS.cell(link.plug.name, link.hook, kind).add()
        if error is None:
            return
        trace = cut(error.__traceback__)
        self.log.error(
            "plugin failed",
            **self._about(link, facts),
            kind=kind,
            error=printable(f"{type(error).__name__}: {error}"),
            at=where(trace),
            exc_info=(type(error), error.with_traceback(trace), trace) if trace else None,
        )

    def singled(self, link: Link, facts: dict[str, Any]) -> None:
        """Verdicts that the plugin has left with single recipients are its own."""
        met = facts["message"].envelope.recipients if "message" in facts else [facts["recipient"]]
        for recipient in met:
            if recipient.verdict is not None and not recipient.decided_by:
                recipient.decided_by = link.plug.name
                self._count(link, recipient.verdict)

    def timed(self, link: Link, facts: dict[str, Any], seconds: float) -> None:
        """A plugin took that long, in which nothing or other things went on."""
        link.seconds.observe(seconds)
        session: Session | None = facts.get("session")
        if session is not None and session.transaction is not None:
            session.transaction.asked += seconds

    def held(self, link: Link, facts: dict[str, Any], seconds: float) -> None:
        """A plugin held the loop for that long, more than `SLOW`."""
        self.log.warning("plugin held the loop", **self._about(link, facts), seconds=round(seconds, 3))

    def _count(self, link: Link, answer: object) -> None:
        cell = link.verdicts.get(type(answer))
        if cell is None:
            kind = next(kind for kind in KINDS if isinstance(answer, kind)).__name__.lower()
            cell = metrics.VERDICTS.cell(self.listener, link.plug.name, link.hook, kind, link.plug.mode)
            link.verdicts[type(answer)] = cell
        cell.add()

    def _about(self, link: Link, facts: dict[str, Any]) -> dict[str, Any]:
        about = {"listener": self.listener, "plugin": link.plug.name, "hook": link.hook}
        if "session" in facts:
            about["session"] = facts["session"].id
        return about


def kind_of(error: BaseException) -> str:
    """The label of a failure."""
    return "timeout" if isinstance(error, Late) else "exception"


def cut(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without our own frames at its beginning: the author sees his line first."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("mailweir.chain."):
        trace = trace.tb_next
    return trace


def where(trace: TracebackType | None) -> str | None:
    """The last line of the plugin's own file, as `file:line`."""
    frames = traceback.extract_tb(trace)
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else None
