"""A plugin's settings, and every mistake in them."""

from pathlib import Path
from typing import Any

import pytest

from mailweir.chain.loader import load
from mailweir.chain.mistakes import PluginError


def problems(use: str, options: dict[str, Any], folder: Path) -> dict[Any, str]:
    with pytest.raises(PluginError) as caught:
        load("x", use, options, folder)
    return dict(caught.value.problems)


def sentence(use: str, options: dict[str, Any], folder: Path) -> str:
    with pytest.raises(PluginError) as caught:
        load("x", use, options, folder)
    return str(caught.value).removeprefix("plugin x: ")


def test_a_class_in_a_file_gets_its_settings(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (conf / "key.pem").write_text("swordfish\n")
    monkeypatch.setenv("WEIR_KEY", "marlin")
    options = {"key": {"file": "key.pem"}, "table": "t/aliases", "hosts": [{"name": "x"}]}
    settings: Any = load("a", "./limit.py:Limit", options, conf).settings  # type: ignore[attr-defined]
    assert settings.per_minute == 60
    assert settings.key.text() == "swordfish"
    assert settings.table == conf / "t/aliases"
    assert settings.hosts[0].port == 11332
    other: Any = load("b", "./limit.py:Limit", {"key": {"env": "WEIR_KEY"}}, conf)
    assert other.settings.key.text() == "marlin"
    assert "swordfish" not in repr(settings) and "marlin" not in repr(other.settings)
    assert load("c", "./limit.py:Bare", {}, conf)


def test_settings_one_by_one(conf: Path) -> None:
    wrong = {
        "per_minit": 3,
        "timout": 4,
        "hosts": [{"name": "a"}, {"nam": "b", "port": "x"}],
        "key": {"file": "none.pem"},
    }
    assert problems("./limit.py:Limit", wrong, conf) == {
        ("per_minit",): "there is no such setting; did you mean per_minute?",
        ("timout",): "there is no such setting; did you mean timeout?",
        ("hosts", 1, "nam"): "there is no such setting; did you mean name?",
        ("hosts", 1, "name"): "is missing",
        ("hosts", 1, "port"): "should be a valid integer, unable to parse string as an integer",
        ("key",): f"can't read {conf / 'none.pem'}: No such file or directory",
    }
    assert "hosts[1].nam: there is no such setting" in sentence("./limit.py:Limit", wrong, conf)


def test_unknown_keys_are_mistakes_though_the_model_is_lax(conf: Path) -> None:
    found = problems("./limit.py:Lax", {"limt": 3}, conf)
    assert found == {("limt",): "there is no such setting; did you mean limit?"}


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("./policy.py", "x is no class and has no settings"),
        ("./limit.py:Bare", "Bare has no Settings, so it has"),
    ],
)
def test_settings_for_one_that_has_none(conf: Path, use: str, says: str) -> None:
    ((path, reason),) = problems(use, {"limit": 3}, conf).items()
    assert path == ("limit",) and reason.startswith(says)


def test_settings_of_the_wrong_kind(conf: Path) -> None:
    assert "Wrong.Settings must be a pydantic model" in sentence("./limit.py:Wrong", {}, conf)


@pytest.mark.parametrize(
    "value", [{"env": "WEIR_NOT_SET"}, {"file": 3}, {}, "", 3, {"env": "A", "file": "b"}]
)
def test_secrets(conf: Path, value: object) -> None:
    ((path, reason),) = problems("./limit.py:Limit", {"key": value}, conf).items()
    assert path == ("key",)
    assert "WEIR_NOT_SET" in reason if value == {"env": "WEIR_NOT_SET"} else "must be a text" in reason


def test_a_wrong_value_is_never_shown(conf: Path) -> None:
    assert "hunter2" not in sentence("./limit.py:Limit", {"per_minute": "hunter2"}, conf)
