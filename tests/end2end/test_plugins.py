"""Plugins of others in the running program: installed, wrong, broken, slow. Nothing is lost by any of them."""

import re
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from end2end.fakes import Peer, SmtpFake, connect
from end2end.machine import run, wait_until
from end2end.packaging import build_wheel, wheel_of
from end2end.weir import Start, once

ROBOT = """
import pydantic
from mailweir import Reject, hookimpl


class NoRoot:
    class Settings(pydantic.BaseModel):
        names: list[str] = ["root"]

    def __init__(self, settings):
        self.names = settings.names

    @hookimpl
    def rcpt_to(self, recipient):
        if recipient.local in self.names:
            return Reject(f"no mail for {recipient.local}")

    @hookimpl
    def message_head(self, message):
        message.headers.add("X-No-Root", "looked")
"""

SETUP = """
[metadata]
name = mailweir-noroot
version = 1.0

[options]
py_modules = mailweir_noroot

[options.entry_points]
mailweir =
    noroot = mailweir_noroot:NoRoot
"""


@pytest.fixture(scope="module")
def elsewhere(place: Path) -> Path:
    """A Python that has mailweir from its wheel and a plugin of somebody else, and not this checkout."""
    folder = place / "elsewhere"
    folder.mkdir()
    foreign = folder / "mailweir-noroot"
    foreign.mkdir()
    (foreign / "mailweir_noroot.py").write_text(ROBOT)
    (foreign / "setup.cfg").write_text(SETUP)
    (foreign / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    wheels = [build_wheel(folder), wheel_of(foreign, folder)]
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    run(
        *[sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"],
        *["--no-index", "--disable-pip-version-check", *map(str, wheels)],
    )
    # the libraries that both need are those of the environment that runs the tests
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n")
    return python


@pytest.fixture
def fake() -> Iterator[SmtpFake]:
    fake = SmtpFake()
    yield fake
    fake.stop()


def begin(port: int) -> Peer:
    """A session up to the point where RCPT is due."""
    client = connect(port)
    client.reply()
    for command in (b"EHLO me\r\n", b"MAIL FROM:<a@example.net>\r\n"):
        client.say(command)
        assert client.reply().startswith(b"250")
    return client


def rcpt(client: Peer, address: bytes) -> bytes:
    client.say(b"RCPT TO:<%s>\r\n" % address)
    return client.reply()


def text(client: Peer) -> bytes:
    """DATA and a small message; the final reply."""
    client.say(b"DATA\r\n")
    reply = client.reply()
    if reply.startswith(b"354"):
        client.say(b"Subject: x\r\n\r\nhello\r\n.\r\n")
        reply = client.reply()
    return reply


def test_a_third_party_plugin_acts_on_mail(elsewhere: Path, start: Start, fake: SmtpFake) -> None:
    where = run(elsewhere, "-c", "import mailweir; print(mailweir.__file__)")
    assert where.startswith(str(elsewhere.parents[1])), where
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out", "plugins": ["noroot"]}},
        {"out": fake.upstream},
        plugins={"noroot": {"names": ["root", "admin"]}},
        command=[str(elsewhere.with_name("mailweir"))],
    )
    client = begin(weir.port)
    assert rcpt(client, b"admin@example.org").startswith(b"550 5.7.1 no mail for admin")
    assert rcpt(client, b"ann@example.org").startswith(b"250")
    assert text(client).startswith(b"250")
    (message,) = fake.messages
    assert message.recipients == [b"<ann@example.org>"]
    assert message.text == b"X-No-Root: looked\r\nSubject: x\r\n\r\nhello\r\n"


def test_installed_plugins_are_listed(elsewhere: Path) -> None:
    listed = run(elsewhere.with_name("mailweir"), "plugins")
    assert re.search(r"\bnoroot\b.*\bmailweir-noroot +1\.0\b", listed), listed
    assert re.search(r"\bdkim\b", listed)


WRONG = {  # name: (source, settings, the sentence)
    "misspelt hook": (
        "@hookimpl\ndef rcpt_too(recipient): ...",
        "",
        r"plugins\.policy\.use: there is no hook rcpt_too; did you mean rcpt_to\? \({file}:\d+\)",
    ),
    "unknown argument": (
        "@hookimpl\ndef rcpt_to(recipent): ...",
        "",
        r"plugins\.policy\.use: hook rcpt_to has no argument recipent; did you mean recipient\? \({file}:\d+\)",
    ),
    "settings for a module": (
        "@hookimpl\ndef rcpt_to(recipient): ...",
        ", per_minute: 3",
        r"plugins\.policy\.per_minute: policy is no class and has no settings",
    ),
    "bad settings": (
        "import pydantic\nclass Policy:\n    class Settings(pydantic.BaseModel):\n        per_minute: int = 1\n"
        "    def __init__(self, settings): ...\n    @hookimpl\n    def rcpt_to(self): ...",
        ", per_minute: often",
        r"plugins\.policy\.per_minute: .*valid integer.*",
    ),
    "misspelt setting": (
        "import pydantic\nclass Policy:\n    class Settings(pydantic.BaseModel):\n        per_minute: int = 1\n"
        "    def __init__(self, settings): ...\n    @hookimpl\n    def rcpt_to(self): ...",
        ", per_minite: 3",
        r"plugins\.policy\.per_minite: there is no such setting; did you mean per_minute\?",
    ),
    "not Python": ("def (", "", r"plugins\.policy\.use: {file} is not Python: .* \(line 3\)"),
    "no hook": (
        "answer = 42",
        "",
        r"plugins\.policy\.use: it has no hook, so it is not a plugin; .* \({file}\)",
    ),
}


@pytest.mark.parametrize(("source", "settings", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_plugin_stops_the_start(tmp_path: Path, source: str, settings: str, sentence: str) -> None:
    file = tmp_path / "policy.py"
    file.write_text(f"from mailweir import hookimpl\n\n{source}\n")
    cls = ":Policy" if "class Policy" in source else ""
    (tmp_path / "mailweir.yaml").write_text(
        "listeners:\n  in: {protocol: smtp, listen: '127.0.0.1:0', upstream: out, plugins: [policy]}\n"
        "upstreams: {out: {address: '127.0.0.1:1'}}\n"
        f"plugins:\n  policy: {{use: ./policy.py{cls}{settings}}}\n"
    )
    code, output = once("run", tmp_path / "mailweir.yaml")
    assert code == 78
    (line,) = output.strip().splitlines()
    wanted = sentence.replace("{file}", re.escape(str(file)))
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/mailweir\.yaml:5:\d+: {wanted}", line), line


def test_a_missing_plugin_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "mailweir.yaml").write_text(
        "listeners:\n  in: {protocol: smtp, listen: '127.0.0.1:0', upstream: out, plugins: [spam]}\n"
        "upstreams: {out: {address: '127.0.0.1:1'}}\nplugins:\n  spam: {use: spamblock}\n"
    )
    code, output = once("run", tmp_path / "mailweir.yaml")
    assert code == 78
    (line,) = output.strip().splitlines()
    assert "mailweir.yaml:5:" in line and "plugins.spam.use: no plugin spamblock is installed" in line


BROKEN = {
    "raises": "@hookimpl\ndef message(message): raise RuntimeError('out of luck')",
    "raises later": (
        "import asyncio\n@hookimpl\nasync def message(message):\n"
        "    await asyncio.sleep(0.01)\n    raise RuntimeError('out of luck')"
    ),
    "hangs": "import asyncio\n@hookimpl\nasync def message(message): await asyncio.sleep(3600)",
    "hangs on a Deferred": (
        "from twisted.internet.defer import Deferred\n@hookimpl\ndef message(message): return Deferred()"
    ),
    "answers nonsense": "@hookimpl\ndef message(message): return 42",
    "answers nonsense later": "@hookimpl\nasync def message(message): return 'yes'",
    "edits nonsense": "@hookimpl\ndef message_head(message): message.headers.add('X', 'a\\r\\nBcc: b')",
    "wants to leave": "import sys\n@hookimpl\ndef message(message): sys.exit(3)",
}
ANSWERS = {
    "defer": rb"451 4\.3\.0 .*",
    "reject": rb"550 5\.\d\.\d .*",
    "pass": rb"250 2\.0\.0 queued as FAKE1\r\n",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_plugin_is_answered_as_the_keeper_said(
    start: Start, fake: SmtpFake, tmp_path: Path, broken: str
) -> None:
    (tmp_path / "policy.py").write_text(f"from mailweir import hookimpl\n{BROKEN[broken]}\n")
    weir = start(
        {name: {"protocol": "smtp", "upstream": "out", "plugins": [name]} for name in ANSWERS},
        {"out": fake.upstream},
        plugins={
            name: {"use": str(tmp_path / "policy.py"), "on_error": name, "timeout": "200ms"}
            for name in ANSWERS
        },
    )
    weir.forgives = "policy.py|asyncio"
    for name, answer in ANSWERS.items():
        client = begin(weir.ports[name])
        assert rcpt(client, b"ann@example.org").startswith(b"250")
        reply = text(client)
        assert re.match(answer, reply, re.DOTALL), reply
        assert b"luck" not in reply and b"policy.py" not in reply, "what broke is not the client's business"
        client.say(b"NOOP\r\n")
        assert client.reply().startswith(b"250")
        assert weir.metric("mailweir_plugin_errors_total", plugin=name) == 1
    assert [message.text for message in fake.messages] == [b"Subject: x\r\n\r\nhello\r\n"]


SLOW = """
import asyncio
from mailweir import hookimpl

@hookimpl
async def message(message):
    await asyncio.sleep(1)
"""


def test_a_slow_plugin_holds_nobody_else(start: Start, fake: SmtpFake, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out", "plugins": ["slow"]}},
        {"out": fake.upstream},
        plugins={"slow": {"use": str(tmp_path / "slow.py")}},
    )
    waiting = [begin(weir.port) for _ in range(5)]
    for client in waiting:
        rcpt(client, b"ann@example.org")
        client.say(b"DATA\r\n")
        client.reply()
    began = time.monotonic()
    for client in waiting:
        client.say(b"Subject: x\r\n\r\nhello\r\n.\r\n")
    other = begin(weir.port)
    assert rcpt(other, b"ann@example.org").startswith(b"250")
    assert time.monotonic() - began < 0.5, "a session had to wait for another one's plugin"
    assert all(client.reply().startswith(b"250") for client in waiting)
    assert 1.0 <= time.monotonic() - began < 3.0, "five messages waited one after the other"
    assert weir.metric("mailweir_plugin_hook_duration_seconds_count", plugin="slow", hook="message") == 5
    assert weir.metric("mailweir_plugin_hook_duration_seconds_sum", plugin="slow", hook="message") >= 5


BLOCKING = """
import time
from mailweir import hookimpl

@hookimpl
def message(message):
    time.sleep(0.2)
"""


def test_who_blocks_the_loop_is_named(start: Start, fake: SmtpFake, tmp_path: Path) -> None:
    (tmp_path / "blocking.py").write_text(BLOCKING)
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out", "plugins": ["blocking"]}},
        {"out": fake.upstream},
        plugins={"blocking": {"use": str(tmp_path / "blocking.py")}},
    )
    client = begin(weir.port)
    rcpt(client, b"ann@example.org")
    assert text(client).startswith(b"250")
    wait_until(
        "a warning that names the plugin",
        lambda: [
            line
            for line in weir.events()
            if line.get("level") == "warning" and line.get("plugin") == "blocking"
        ],
    )


@pytest.mark.parametrize("leave", [Peer.close, Peer.reset])
def test_client_leaves_while_a_plugin_thinks(
    start: Start, fake: SmtpFake, tmp_path: Path, leave: Callable[[Peer], None]
) -> None:
    (tmp_path / "slow.py").write_text(SLOW.replace("sleep(1)", "sleep(5)"))
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out", "plugins": ["slow"]}},
        {"out": fake.upstream},
        plugins={"slow": {"use": str(tmp_path / "slow.py")}},
    )
    client = begin(weir.port)
    rcpt(client, b"ann@example.org")
    client.say(b"DATA\r\n")
    client.reply()
    client.say(b"Subject: x\r\n\r\nhello\r\n.\r\n")
    time.sleep(0.2)
    leave(client)
    wait_until("the session ended", lambda: weir.metric("mailweir_sessions_active") == 0, 3)
    assert fake.messages == []
    assert weir.metric("mailweir_plugin_errors_total") == 0


def test_no_plugin_writes_beside_its_source(tmp_path: Path) -> None:
    (tmp_path / "policy.py").write_text("from mailweir import hookimpl\n@hookimpl\ndef rcpt_to(): ...\n")
    (tmp_path / "mailweir.yaml").write_text(
        "listeners:\n  in: {protocol: smtp, listen: '127.0.0.1:0', upstream: out, plugins: [policy]}\n"
        "upstreams: {out: {address: '127.0.0.1:1'}}\nplugins: {policy: {use: ./policy.py}}\n"
    )
    done = subprocess.run([sys.executable, "-m", "mailweir", "check", str(tmp_path / "mailweir.yaml")])
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mailweir.yaml", "policy.py"]
