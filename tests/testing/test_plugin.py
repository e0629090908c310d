"""What pytest finds by entry point."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path


def test_is_found_by_its_entry_point() -> None:
    assert entry_points(group="pytest11")["mailweir"].value == "mailweir.testing.plugin"


def test_is_lazy() -> None:
    code = "import sys, mailweir.testing.plugin; print(*map(repr, sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for expensive in ("mailweir.testing.weir", "mailweir.relay", "mailweir.chain", "mailweir.wire"):
        assert repr(expensive) not in done.stdout


def test_relative_paths_begin_where_the_test_lies(weir: object) -> None:
    from mailweir.testing.weir import Weir

    assert isinstance(weir, Weir)
    assert weir.folder == Path(__file__).parent
