"""Commands, exit codes, and that nothing is loaded that is not needed."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mailweir.app
from app.files import SOUND
from mailweir.app.cli import main
from mailweir.version import VERSION


@pytest.fixture
def sound(folder: Path) -> str:
    (folder / "m.yaml").write_text(SOUND)
    return str(folder / "m.yaml")


def code(*arguments: str) -> int:
    """How a command ends."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_check(sound: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("check", sound) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{sound}: ok\n") and not err
    Path(sound).write_text(SOUND + "lgo: {}\n")
    assert code("check", sound) == 78
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{sound}:9:1: lgo: no such key; did you mean log?\n")


def test_check_of_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("check", str(tmp_path / "no.yaml")) == 78
    assert capsys.readouterr().err == f"{tmp_path}/no.yaml:1:1: can't be read: No such file or directory\n"


def test_plugins(sound: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("plugins") == 0
    assert "mailweir_hello" in capsys.readouterr().out
    Path(sound).write_text(SOUND.replace("upstream: mta\n", "upstream: mta\n    plugins: [hello]\n"))
    assert code("plugins", sound) == 0
    assert capsys.readouterr().out.split()[-4:] == ["mx", "ask", "message_head", "hello"]
    assert code("plugins", "--json", sound) == 0
    assert '"message_head"' in capsys.readouterr().out
    Path(sound).write_text("")
    assert code("plugins", sound) == 78


@pytest.mark.parametrize("ends", [0, 1, 78])
def test_run(monkeypatch: pytest.MonkeyPatch, ends: int) -> None:
    asked: list[str] = []

    def serve(file: str) -> int:
        asked.append(file)
        return ends

    service = ModuleType("mailweir.app.service")
    vars(service)["run"] = serve
    monkeypatch.setitem(sys.modules, "mailweir.app.service", service)
    monkeypatch.setattr(mailweir.app, "service", service, raising=False)
    assert code("run", "m.yaml") == ends
    assert asked == ["m.yaml"]


@pytest.mark.parametrize(("arguments", "once"), [(("demo",), False), (("demo", "--once"), True)])
def test_demo(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], once: bool) -> None:
    asked: list[bool] = []

    def tell(once: bool) -> int:
        asked.append(once)
        return 1

    demo = ModuleType("mailweir.app.demo")
    vars(demo)["main"] = tell
    monkeypatch.setitem(sys.modules, "mailweir.app.demo", demo)
    monkeypatch.setattr(mailweir.app, "demo", demo, raising=False)
    assert code(*arguments) == 1
    assert asked == [once]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("--version") == 0
    assert capsys.readouterr().out == f"mailweir {VERSION}\n"
    for flag in ("--help", "-h"):
        assert code(flag) == 0
        assert "check " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage: mailweir"),
        (("rum", "m.yaml"), "No such command 'rum'"),
        (("check",), "Missing argument 'FILE'"),
        (("check", "--prob", "m.yaml"), "No such option"),
        (("run", "a", "b"), "unexpected extra argument"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code(*arguments) == 64
    assert said in capsys.readouterr().err


def test_interrupted(monkeypatch: pytest.MonkeyPatch, sound: str) -> None:
    def interrupt(file: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mailweir.app.show.reading", interrupt)
    assert code("check", sound) == 1


def test_a_reader_that_left_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "mailweir", "plugins"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", ["check", "plugins"])
def test_no_reactor_without_need(sound: str, command: str) -> None:
    program = (
        "import sys\nfrom mailweir.app.cli import main\n"
        f"try: main(['{command}', '{sound}'])\n"
        "finally: assert 'twisted.internet.reactor' not in sys.modules and 'uvloop' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
