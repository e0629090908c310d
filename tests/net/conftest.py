"""The bench, on both loops."""

from pathlib import Path

import pytest

from net.bench import Bench, on_asyncio, on_uvloop


@pytest.fixture(params=[on_uvloop, on_asyncio], ids=["uvloop", "asyncio"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(request.param, tmp_path)
