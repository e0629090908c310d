"""Which reactor, and what the process asks of the machine before it serves."""

import asyncio
import gc
import resource
from typing import cast

from twisted.internet.asyncioreactor import AsyncioSelectorReactor, install

SPARE = 64
"""Descriptors beside those of sessions: listeners, logs, the loop, plugins' own."""

GARBAGE = 10000
"""Objects that are made and not freed before the garbage collector looks: those of some 50 sessions."""


def asyncio_reactor() -> AsyncioSelectorReactor:
    """Install asyncio's reactor, on uvloop where that is installed. Once a process, before all else."""
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    install(loop)
    from twisted.internet import reactor

    return cast(AsyncioSelectorReactor, reactor)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return cast(asyncio.AbstractEventLoop, uvloop.new_event_loop())


def raise_open_files(sessions: int) -> str:
    """Take as many descriptors as we may have; a warning if they can't hold that many sessions."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = 2 * sessions + SPARE
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return ""
    return (
        f"the limit of {hard} open files holds {max(hard - SPARE, 0) // 2} sessions, limits.sessions is {sessions}; "
        f"raise it to {needed} (LimitNOFILE in a systemd unit, ulimit -Hn in a shell)"
    )


def settle() -> None:
    """What was made to start stays: the garbage collector need not look at it again.

    Nearly all that a message makes is freed by counting references, so it need not look often either.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
