"""The bench, on both loops, and a log as it is before anybody sets it up."""

from pathlib import Path

import pytest
import structlog

from net.bench import Bench, on_asyncio, on_uvloop


@pytest.fixture(autouse=True)
def plain_log() -> None:
    """What other tests of this process have set up would not go through `capsys`."""
    structlog.reset_defaults()


@pytest.fixture(params=[on_uvloop, on_asyncio], ids=["uvloop", "asyncio"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(request.param, tmp_path)
