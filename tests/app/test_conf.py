"""What lies in conf/: the example shows every key with its default, all examples are sound, the unit holds."""

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from pydantic import BaseModel

from mailweir.app.config import (
    Admin,
    Limits,
    Listener,
    Log,
    PluginEntry,
    SpoolRoom,
    Upstream,
)
from mailweir.app.document import Document
from mailweir.app.reading import read

CONF = Path(__file__).resolve().parents[2] / "conf"
EXAMPLES = sorted(CONF.glob("*.yaml"))


def in_force(text: str) -> str:
    """The text with all its commented-out settings."""
    return re.sub(r"(?m)^( *)#(?=\S)", r"\1", text)


@pytest.fixture
def everything(folder: Path, pems: dict[str, bytes]) -> Path:
    """The example with all its settings in force, in a folder that has what it names."""
    text = in_force((CONF / "mailweir.yaml").read_text())
    (folder / "mailweir.yaml").write_text(text.replace("/var/spool/mailweir", "."))
    return furnished(folder, pems) / "mailweir.yaml"


def furnished(folder: Path, pems: dict[str, bytes]) -> Path:
    """The folder with the files that the examples name."""
    for name in ("fullchain.pem", "internal-ca.pem"):
        (folder / name).write_bytes(pems["one.pem"])
    (folder / "privkey.pem").write_bytes(pems["one.key"])
    (folder / "dkim.pem").write_bytes(pems["rsa.key"])
    return folder


def test_the_example_is_valid_as_it_stands() -> None:
    found = read(CONF / "mailweir.yaml")
    assert found.mistakes == [] and found.configuration is not None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example(example: Path, folder: Path, pems: dict[str, bytes]) -> None:
    text = example.read_text().replace("/run/mailweir/", "./")
    (furnished(folder, pems) / example.name).write_text(text)
    found = read(folder / example.name)
    assert [str(mistake) for mistake in found.mistakes] == []


def test_the_example_is_valid_with_everything_in_force(everything: Path) -> None:
    said = [str(mistake) for mistake in read(everything).mistakes]
    assert [line.partition("warning: ")[2] for line in said] == ["plugins.dkim: no listener lists it"]
    everything.write_text(everything.read_text().replace("attachments]  ", "attachments, dkim]  "))
    assert read(everything).mistakes == []


def bundled() -> dict[str, type[BaseModel]]:
    """The settings of our own plugins that have any, by name."""
    points = metadata.entry_points(group="mailweir")
    ours = {point.name: point.load() for point in points if point.dist and point.dist.name == "mailweir"}
    return {name: plugin.Settings for name, plugin in ours.items() if hasattr(plugin, "Settings")}


@pytest.mark.parametrize("name", ["accesslog", "attachments", "dkim"])
def test_every_setting_of_our_plugins_is_shown(everything: Path, name: str) -> None:
    entry = Document(everything).data["plugins"][name]
    assert [key for key in bundled()[name].model_fields if key not in entry] == []
    for key, field in bundled()[name].model_fields.items():
        if not field.is_required() and field.default is not None:
            assert entry[key] == field.default, key


def test_no_plugin_of_ours_is_forgotten() -> None:
    assert set(bundled()) == {"accesslog", "attachments", "dkim"}


EXAMPLE_ONLY = {"use", "plugins", "directory", "client_ca", "name", "sni", "certificate", "key"}
"""Keys whose default is nothing, or depends on where they stand."""


def test_what_is_shown_is_the_default(everything: Path) -> None:
    everything.write_text(everything.read_text().replace("attachments]  ", "attachments, dkim]  "))
    found = read(everything).configuration
    assert found is not None
    shown: list[BaseModel] = [
        *[*found.listeners.values(), *found.upstreams.values(), found.plugins["accesslog"]],
        *[found.limits, found.log, found.spool],
    ]
    assert found.admin is not None
    for model in [*shown, found.admin]:
        for key, field in type(model).model_fields.items():
            if not field.is_required() and key not in EXAMPLE_ONLY:
                assert getattr(model, key) == field.default, f"{type(model).__name__}.{key}"
    kinds = {type(model) for model in shown}
    assert kinds == {Listener, Upstream, PluginEntry, Limits, Log, SpoolRoom} and Admin().listen


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The systemd unit, with a program that this machine has."""
    text = (CONF / "mailweir.service").read_text()
    (tmp_path / "mailweir.service").write_text(text.replace("/usr/local/bin/mailweir", sys.executable))
    return tmp_path / "mailweir.service"


@pytest.mark.real
def test_systemd_accepts_the_unit(unit: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze, "make test installs systemd"
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.real
def test_systemd_finds_the_unit_hardened(unit: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze, "make test installs systemd"
    security = [analyze, "security", "--offline=true", "--no-pager"]
    done = subprocess.run([*security, "--threshold=25", unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_unit_may_bind_ports_and_nothing_else(unit: Path) -> None:
    text = unit.read_text()
    assert re.findall(r"(?m)^\w*Capabilit\w*=(.*)", text) == ["CAP_NET_BIND_SERVICE"] * 2
    assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in text


def test_the_unit_waits_longer_than_messages_drain(unit: Path) -> None:
    (seconds,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", unit.read_text())
    assert int(seconds) > Limits().drain


def test_the_unit_has_descriptors_for_all_sessions(unit: Path) -> None:
    (files,) = re.findall(r"(?m)^LimitNOFILE=(\d+)$", unit.read_text())
    assert int(files) > 2 * Limits().sessions


def test_the_unit_leaves_openssl_its_memory(unit: Path) -> None:
    """OpenSSL's callbacks into Python need memory that can be written and executed; TLS fails without."""
    assert not re.search(r"(?m)^MemoryDenyWriteExecute=", unit.read_text())
