"""What a user installs: the wheel, built from a copy of the tree."""

import shutil
import subprocess
import sys
from pathlib import Path

from end2end.machine import ROOT

SOURCES = ("proxy", "plugins", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def build_wheel(folder: Path) -> Path:
    """Build mailweir's wheel; nothing is left behind in the checkout."""
    tree = folder / "tree"
    tree.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    return wheel_of(tree, folder)


def wheel_of(tree: Path, folder: Path) -> Path:
    """Build the wheel of any distribution, with the setuptools that is here."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(tree)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return Path(max(folder.glob("*.whl"), key=lambda wheel: wheel.stat().st_mtime_ns))
