"""The reactor, in a process of its own; what is asked of the machine."""

import resource
import subprocess
import sys

import pytest

from mailweir.app.reactor import raise_open_files

SHOW = """
import asyncio, sys
{before}
from mailweir.app.reactor import asyncio_reactor, settle
reactor = asyncio_reactor()
async def main():
    print(type(reactor).__name__, type(asyncio.get_running_loop()).__module__)
    reactor.stop()
reactor.callLater(0, lambda: asyncio.get_running_loop().create_task(main()))
settle()
reactor.run(installSignalHandlers=False)
"""
LOOPS = {"with uvloop": ("", "uvloop"), "without": ("sys.modules['uvloop'] = None", "asyncio.unix_events")}


@pytest.mark.parametrize(("before", "loop"), LOOPS.values(), ids=LOOPS.keys())
def test_the_loop_is_the_fastest_there_is(before: str, loop: str) -> None:
    script = f"import sys; sys.path[:0] = {sys.path}\n" + SHOW.format(before=before)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.stdout == f"AsyncioSelectorReactor {loop}\n", done.stderr


def test_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))
    assert raise_open_files(2016) == ""
    assert raised == [(4096, 4096)]
    warning = raise_open_files(10000)
    assert "4096 open files holds 2016 sessions, limits.sessions is 10000; raise it to 20064" in warning


def test_unlimited_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda which: (unlimited, unlimited))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: pytest.fail("nothing to raise"))
    assert raise_open_files(10**6) == ""
