"""Secrets and paths of settings."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from mailweir import ConfigPath, Secret


class Settings(BaseModel):
    key: Secret | None = None
    path: ConfigPath = Path("default")


def read(folder: Path, **values: object) -> Settings:
    return Settings.model_validate(values, context={"folder": folder})


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"swordfish\r\n")
    key = read(tmp_path, key={"file": "key"}).key
    assert key is not None
    assert key.octets() == b"swordfish\r\n"
    assert key.text() == "swordfish"
    assert read(tmp_path, key={"file": str(tmp_path / "key")}).key


def test_a_secret_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_SECRET", "märlin")
    key = read(tmp_path, key={"env": "WEIR_SECRET"}).key
    assert key is not None
    assert key.text() == "märlin"


def test_a_secret_as_it_stands(tmp_path: Path) -> None:
    key = read(tmp_path, key="swordfish").key
    assert key is not None
    assert key.text() == "swordfish"
    assert read(tmp_path, key=key).key is key


def test_a_secret_is_never_printed(tmp_path: Path) -> None:
    settings = read(tmp_path, key="swordfish")
    assert str(settings.key) == "Secret(text)"
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "swordfish" not in text


@pytest.mark.parametrize(
    "value", ["", 3, {}, {"file": "no"}, {"env": "WEIR_NO"}, {"env": "A", "file": "b"}, {"x": "y"}]
)
def test_what_is_no_secret(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValidationError):
        read(tmp_path, key=value)


def test_paths_begin_in_the_folder(tmp_path: Path) -> None:
    assert read(tmp_path, path="a/b").path == tmp_path / "a/b"
    assert read(tmp_path, path="/a/b").path == Path("/a/b")
    assert Settings.model_validate({"path": "a"}).path == Path("a")


@pytest.mark.parametrize("value", ["", 3, None, ["a"]])
def test_what_is_no_path(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValidationError, match="must be a path"):
        read(tmp_path, path=value)
