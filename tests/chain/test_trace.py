"""MAILWEIR_TRACE=1."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir import Reject

NO = Reject("no")


def test_trace_prints_each_call(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILWEIR_TRACE", "1")

    async def later() -> Reject:
        return NO

    bench.ask(bench.helo("a"), bench.helo("b", later))
    fired: Deferred[Reject] = Deferred()
    fired.callback(NO)
    bench.ask(bench.helo("c", lambda: fired))
    bench.ask(bench.helo("d", ValueError("broken")))
    bench.chain(bench.plug("e", hooks={"helo": lambda name: None})).ask(
        "helo", session=bench.session, name="a\nb"
    )
    assert capsys.readouterr().err.splitlines() == [
        "trace mx a helo() -> None",
        "trace mx b helo() -> Reject(text='no', code=None, status=None)",
        "trace mx c helo() -> Reject(text='no', code=None, status=None)",
        "trace mx d helo() raised ValueError('broken')",
        "trace mx e helo(name='a\\nb') -> None",
    ]
