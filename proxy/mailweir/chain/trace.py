"""MAILWEIR_TRACE=1: each hook call and its answer, one line each, on standard error.

    trace mx noroot rcpt_to(recipient=Recipient(address='root@example.org', ...)) -> Reject(...)

Costs nothing when it is off: functions are wrapped when the chain is made.
"""

import os
import sys
from collections.abc import Awaitable
from dataclasses import replace
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred

from mailweir.chain.links import Link
from mailweir.verdict import printable

VARIABLE = "MAILWEIR_TRACE"
SHOWN = 100
"""Characters of each argument; dots stand for the others."""


def wanted() -> bool:
    """The environment asks for it."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def traced(listener: str, link: Link) -> Link:
    """The same link, talkative."""
    who = f"trace {listener} {link.plug.name} {link.hook}"

    def call(*facts: Any) -> Any:
        asked = f"{who}({', '.join(map(_shown, link.wants, facts))})"
        try:
            answer = link.call(*facts)
        except BaseException as error:
            _say(f"{asked} raised {error!r}")
            raise
        if isinstance(answer, Deferred):
            answer.addBoth(_seen, asked)
        elif isawaitable(answer):
            return _awaited(answer, asked)
        else:
            _say(f"{asked} -> {answer!r}")
        return answer

    return replace(link, call=call)


async def _awaited(answer: Awaitable[Any], asked: str) -> Any:
    try:
        return _seen(await answer, asked)
    except BaseException as error:
        _say(f"{asked} raised {error!r}")
        raise


def _seen(answer: Any, asked: str) -> Any:
    _say(f"{asked} -> {answer!r}")
    return answer


def _shown(name: str, fact: object) -> str:
    text = printable(repr(fact), SHOWN + 1)
    return f"{name}={text if len(text) <= SHOWN else text[:SHOWN] + '...'}"


def _say(text: str) -> None:
    sys.stderr.write(printable(text, 2000) + "\n")
