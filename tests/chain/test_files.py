"""Plugins that are a file: run once, and again when they changed."""

import sys
from pathlib import Path
from typing import Any

import pytest

from mailweir import metrics
from mailweir.chain.files import is_path, module_at, not_imported


@pytest.mark.parametrize(
    "use", ["./policy.py", "policy.py", "/etc/x.py", "../x.py:Class", "x.py:Class", "./x"]
)
def test_is_path(use: str) -> None:
    assert is_path(use)


@pytest.mark.parametrize("use", ["dkim", "my-plugin", "a.b"])
def test_is_a_name(use: str) -> None:
    assert not is_path(use)


def test_a_file_is_read_again_when_it_changed(conf: Path, noroot: str) -> None:
    source = noroot + "from mailweir import Counter\nSEEN = Counter('weir_test_seen_total', 'Seen.')\n"
    (conf / "policy.py").write_text(source)
    first: Any = module_at(conf / "policy.py")
    assert module_at(conf / "policy.py") is first
    (conf / "policy.py").write_text(source.replace("no mail", "No mail"))
    second: Any = module_at(conf / "policy.py")
    assert second is not first
    assert metrics.FAMILIES["weir_test_seen_total"] is second.SEEN
    (conf / "policy.py").write_text(
        source + "Counter('weir_test_more_total', 'More.')\nraise ValueError('x')\n"
    )
    with pytest.raises(ValueError, match="x"):
        module_at(conf / "policy.py")
    assert metrics.FAMILIES["weir_test_seen_total"] is second.SEEN
    assert "weir_test_more_total" not in metrics.FAMILIES
    assert sys.modules[second.__name__] is second


def test_why_it_could_not_be_imported(conf: Path) -> None:
    (conf / "policy.py").write_text("x = 1\nint('x')\n")
    with pytest.raises(ValueError, match="invalid literal") as caught:
        module_at(conf / "policy.py")
    place = f"({conf.resolve() / 'policy.py'}:2)"
    says = not_imported(caught.value)
    assert says.startswith("could not be imported: ValueError: invalid literal")
    assert says.endswith(place)
    assert not_imported(KeyError("x")) == "could not be imported: KeyError: 'x'"
