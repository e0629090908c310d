"""The pytest fixture `weir`: a chain of plugins without a network. pytest finds it by entry point.

mailweir itself is imported only when a test asks for the fixture: pytest loads this module in every
project of the environment, and before coverage begins to look.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mailweir.testing.weir import Weir


@pytest.fixture
def weir(request: pytest.FixtureRequest) -> "Weir":
    """An empty chain: `weir.plug(...)`, then `weir.ask(...)` or `weir.play(...)`."""
    from mailweir.testing.weir import Weir

    return Weir(request.path.parent)
