"""What the commands print, for people and for programs."""

import io
import json
import re
from pathlib import Path

import pytest

from app.files import ENTRIES, reading, with_line
from mailweir.app import show


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def sound(folder: Path) -> Path:
    text = with_line("plugins: [watch, policy]") + ENTRIES.replace(":Policy'", ":Policy', mode: shadow")
    assert reading(folder, text).mistakes == []
    return folder / "m.yaml"


def test_mistakes_are_plain_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reading(folder, with_line("tsl: [bold]") + "  spare: {address: 'a:1'}\n")
    found = show.reading(str(folder / "m.yaml"))
    assert found.configuration is None
    assert capsys.readouterr() == (
        "",
        f"{folder}/m.yaml:6:5: listeners.mx.tsl: no such key; did you mean tls?\n"
        f"{folder}/m.yaml:10:3: warning: upstreams.spare: no listener names it\n",
    )


def test_control_characters_do_not_reach_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reading(folder, with_line(r'"\e[2J": 1'))
    show.reading(str(folder / "m.yaml"))
    assert capsys.readouterr().err.startswith(f"{folder}/m.yaml:6:5: listeners.mx. [2J: no such key")


def test_summary(folder: Path, sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = sound.read_text().replace(
        "    upstream: mta\n", "    upstream: mta\n    tls: starttls\n    require_tls: yes\n"
    )
    text += "certificates: [{certificate: one.pem, key: one.key}]\nadmin:\n  listen: 127.0.0.1:9180\n"
    found = reading(
        folder, text.replace("mail.example.org:25", "[a:25, b:25]\n    tls: implicit")
    ).configuration
    assert found is not None
    show.summary("m.yaml", found)
    said = [re.split(" {2,}", line.rstrip()) for line in capsys.readouterr().out.splitlines()]
    assert said == [
        ["m.yaml: ok"],
        ["listener", "listens", "TLS", "goes", "through"],
        ["mx", "smtp on 127.0.0.1:2525", "starttls, required", "to mta (a:25, b:25, TLS)", "watch, policy"],
        ["metrics and health on http://127.0.0.1:9180"],
    ]


def test_order(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = show.reading(str(sound))
    assert found.configuration is not None
    show.order(found.configuration, found.plugs, as_json=False)
    rows = [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["mx", "ask", "rcpt_to", "policy (shadow)"],
        ["mx", "tell", "session_closed", "watch"],
    ]


def test_order_for_programs(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = show.reading(str(sound))
    assert found.configuration is not None
    show.order(found.configuration, found.plugs, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "mx": {
            "rcpt_to": [{"plugin": "policy", "mode": "shadow"}],
            "session_closed": [{"plugin": "watch", "mode": "enforce"}],
        }
    }


def test_installed(capsys: pytest.CaptureFixture[str]) -> None:
    show.installed(as_json=False)
    assert "\nhello        mailweir_hello  " in capsys.readouterr().out
    show.installed(as_json=True)
    names = [plugin["name"] for plugin in json.loads(capsys.readouterr().out)]
    assert {"accesslog", "attachments", "dkim", "hello"} <= set(names)


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_at_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    reading(folder, with_line("tsl: none"))
    show.reading(str(folder / "m.yaml"))
    assert ("\x1b[31m" in terminal.getvalue()) is coloured
