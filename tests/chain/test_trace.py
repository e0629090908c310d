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


def test_a_long_argument_is_cut_visibly(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILWEIR_TRACE", "1")
    chain = bench.chain(bench.plug("a", hooks={"helo": lambda name: None}))
    chain.ask("helo", session=bench.session, name="x" * 98)
    chain.ask("helo", session=bench.session, name="x" * 99)
    assert capsys.readouterr().err.splitlines() == [
        f"trace mx a helo(name='{'x' * 98}') -> None",
        f"trace mx a helo(name='{'x' * 99}...) -> None",
    ]
