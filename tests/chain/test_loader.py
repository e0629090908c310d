"""Loading: installed plugins, files, settings, and the sentence for each mistake."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailweir import Decision, Reject
from mailweir.chain.chain import Chain, Plug
from mailweir.chain.loader import Installed, installed, load
from mailweir.chain.mistakes import PluginError


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a distribution of one module, as pip would leave it."""
    monkeypatch.syspath_prepend(tmp_path / "site")

    def install(name: str, source: str, points: str, version: str = "1.2") -> None:
        folder = tmp_path / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(f"[mailweir]\n{points}\n")
        (folder.parent / f"{name.replace('-', '_')}.py").write_text(source)

    return install


def sentence(name: str, use: str | None, options: dict[str, Any], folder: Path) -> str:
    with pytest.raises(PluginError) as caught:
        load(name, use, options, folder)
    text = str(caught.value)
    assert text.startswith(f"plugin {name}: ")
    assert "\n" not in text
    return text.removeprefix(f"plugin {name}: ")


def test_a_foreign_distribution(noroot: str, limit: str, site: Any, tmp_path: Path) -> None:
    site("weir-noroot-a", noroot, "noroot_a = weir_noroot_a")
    site("weir-limit-a", limit, "limit_a = weir_limit_a:Limit")
    assert Installed("noroot_a", "weir_noroot_a", "weir-noroot-a", "1.2") in installed()
    assert "weir_noroot_a" not in sys.modules, "listing must not import"
    mine = load("mine", "limit_a", {"per_minute": 7}, tmp_path)
    chain = Chain("mx", [Plug("noroot_a", load("noroot_a", None, {}, tmp_path)), Plug("mine", mine)])
    assert chain.order() == {"helo": ["mine"], "rcpt_to": ["noroot_a"]}
    assert chain.ask("helo", session=_session(), name="me") == Decision(Reject("7"), "mine")


def test_what_is_installed_but_not_listed_is_not_imported(noroot: str, site: Any, tmp_path: Path) -> None:
    site("weir-noroot-b", noroot, "noroot_b = weir_noroot_b")
    site("weir-boom-b", "raise SystemError", "boom_b = weir_boom_b")
    load("noroot_b", None, {}, tmp_path)
    assert "weir_boom_b" not in sys.modules


def test_a_file_beside_the_configuration(conf: Path) -> None:
    assert load("a", "./policy.py", {}, conf).__file__ == str(conf / "policy.py")  # type: ignore[attr-defined]
    assert load("b", "policy.py", {}, conf) is load("a", str(conf / "policy.py"), {}, conf)
    assert not (conf / "__pycache__").exists()


class TestMistakes:
    def test_not_installed(self, noroot: str, site: Any, conf: Path) -> None:
        site("weir-greylist-c", noroot, "greylist_c = weir_greylist_c")
        assert sentence("x", "greylst_c", {}, conf) == (
            "no plugin greylst_c is installed; did you mean greylist_c? `mailweir plugins` lists what is, "
            f"and `{sys.executable} -m pip install mailweir-greylst_c` may install it"
        )

    def test_two_offer_it(self, noroot: str, site: Any, conf: Path) -> None:
        site("weir-one-d", noroot, "same_d = weir_one_d")
        site("weir-two-d", noroot, "same_d = weir_two_d")
        text = sentence("x", "same_d", {}, conf)
        assert "weir-one-d" in text and "weir-two-d" in text and "both offer a plugin same_d" in text

    def test_import_error(self, site: Any, conf: Path, tmp_path: Path) -> None:
        site("weir-redis-e", "x = 1\nimport reddis_e\n", "redis_e = weir_redis_e")
        assert sentence("redis_e", None, {}, conf) == (
            "weir_redis_e could not be imported: ModuleNotFoundError: No module named 'reddis_e' "
            f"({tmp_path / 'site' / 'weir_redis_e.py'}:2)"
        )

    def test_attribute_missing_in_the_entry_point(self, noroot: str, site: Any, conf: Path) -> None:
        site("weir-gone-f", noroot, "gone_f = weir_gone_f:Gone")
        assert "weir_gone_f:Gone could not be imported: AttributeError" in sentence("gone_f", None, {}, conf)

    def test_no_file(self, conf: Path) -> None:
        assert sentence("x", "./polcy.py", {}, conf) == f"there is no file {conf / 'polcy.py'}"

    def test_not_python(self, conf: Path) -> None:
        (conf / "bad.py").write_text("\ndef x(:\n")
        assert sentence("x", "./bad.py", {}, conf) == (
            f"{conf / 'bad.py'} is not Python: invalid syntax (line 2)"
        )

    def test_ends_the_program(self, conf: Path) -> None:
        """Not ours, though: a configuration is read again while mail is under way."""
        (conf / "policy.py").write_text("import sys\nsys.exit('set POLICY_KEY first')\n")
        assert "set POLICY_KEY first" in sentence("policy", "./policy.py", {}, conf)

    def test_no_such_class(self, conf: Path) -> None:
        text = sentence("x", "./limit.py:Limits", {}, conf)
        assert text == f"there is no Limits in {conf / 'limit.py'}; did you mean Limit?"

    def test_the_class_was_not_named(self, conf: Path) -> None:
        assert "its class" in sentence("x", "./limit.py", {}, conf)

    def test_hook(self, noroot: str, conf: Path) -> None:
        (conf / "policy.py").write_text(noroot.replace("rcpt_to", "rcpt_too"))
        where = f"({(conf / 'policy.py').resolve()}:4)"
        assert sentence("x", "./policy.py", {}, conf) == (
            f"there is no hook rcpt_too; did you mean rcpt_to? {where}"
        )

    def test_the_plugin_itself_says_no(self, conf: Path) -> None:
        where = f"({(conf / 'limit.py').resolve()})"
        assert sentence("x", "./limit.py:Limit", {"per_minute": 13}, conf) == f"13 brings bad luck {where}"
        assert sentence("x", "./limit.py:Limit", {"per_minute": 14}, conf) == (
            f"Limit could not be made: KeyError: 'oh' {where}"
        )


def test_mailweirs_own_plugins_are_found_like_anybody_elses() -> None:
    code = "from mailweir.chain.loader import installed; print(*(plugin.name for plugin in installed()))"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert {"accesslog", "attachments", "dkim", "hello"} <= set(done.stdout.split())


def _session() -> Any:
    from mailweir import Address, Session

    return Session("s", "mx", "smtp", Address("::1", 1), Address("::1", 2), 0.0)
