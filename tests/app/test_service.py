"""The running program: start, signals, reading the configuration again, the end."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.program import Client, Program, free_port, server
from mailweir import __version__

HEARS = """
from pathlib import Path
import pydantic
from mailweir import hookimpl

class Hears:
    class Settings(pydantic.BaseModel):
        to: Path
        word: str = ""

    def __init__(self, settings):
        self.settings = settings

    def note(self, what):
        with self.settings.to.open("a") as file:
            file.write(f"{what} {self.settings.word}".strip() + "\\n")

    @hookimpl
    def started(self, service):
        self.note("started " + ",".join(service.listeners))

    @hookimpl
    async def stopping(self):
        self.note("stopping")
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path / "mailweir.yaml")
    yield made
    made.kill()


def listeners(upstream: int, **ports: int) -> str:
    """A configuration in which each name listens on its port, and all go to one upstream."""
    lines = ["upstreams:", f"  mta: {{address: '127.0.0.1:{upstream}'}}", "listeners:"]
    for name, port in ports.items():
        lines.append(f"  {name}: {{protocol: smtp, listen: '127.0.0.1:{port}', upstream: mta}}")
    return "\n".join(lines) + "\n"


def test_from_start_to_stop(program: Program, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    (tmp_path / "hears.py").write_text(HEARS)
    with server() as mta:
        port, other = free_port(), free_port()
        program.configure(
            listeners(mta.port, mx=port, mx2=other).replace(
                "upstream: mta", "upstream: mta, plugins: [hears]"
            )
            + f"plugins:\n  hears: {{use: './hears.py:Hears', to: {notes}}}\n"
        )
        program.start()
        assert program.page("ready") == (200, "ready\n")
        client = Client(port)
        assert client.hear() == "220 mta.example.org"
        assert program.metric('mailweir_sessions_active{listener="mx",protocol="smtp"}') == 1
        assert client.say("QUIT") == "221 bye"
        client.close()
        assert program.metric(f'mailweir_build_info{{version="{__version__}"}}') == 1
        program.signal(signal.SIGTERM)
        assert program.end() == (0, "")
        assert program.events()[-2:] == ["stopping", "stopped"]
        assert notes.read_text().splitlines() == ["started mx,mx2", "stopping"]


def test_a_wrong_configuration_does_not_start(program: Program) -> None:
    program.configure("listeners:\n  mx: {protocol: smpt}\n")
    done = subprocess.run(
        [sys.executable, "-m", "mailweir", "run", program.file], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 78 and done.stdout == ""
    assert f"{program.file}:3:" in done.stderr and "smtp" in done.stderr


def test_taken_ports_are_all_named(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken, also = one.getsockname()[1], two.getsockname()[1]
        program.configure(listeners(free_port(), mx=taken, free=free_port(), mx2=also))
        done = subprocess.run(
            [sys.executable, "-m", "mailweir", "run", program.file],
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith(f"{program.file}: listeners.mx: 127.0.0.1:{taken}: port taken: ")
    assert second.startswith(f"{program.file}: listeners.mx2: 127.0.0.1:{also}: port taken: ")


def test_a_message_under_way_is_finished(program: Program) -> None:
    with server() as mta:
        port = free_port()
        program.configure(listeners(mta.port, mx=port))
        program.start()
        client = Client(port)
        client.hear()
        for line in ("EHLO me", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA"):
            said = client.say(line)
        assert said.startswith("354")
        program.signal(signal.SIGTERM)
        program.until("stopping")
        assert program.page("ready") == (503, "stopping\n")
        with pytest.raises(ConnectionRefusedError):
            Client(port)
        assert client.say("hello\r\n.") == "250 queued"
        assert client.hear().startswith("421")
        client.close()
        assert program.end() == (0, "") and mta.messages == 1
        assert "sessions cut off" not in program.events()


@pytest.mark.parametrize("how", ["the bound", "a second signal"])
def test_who_does_not_finish_is_cut_off(program: Program, how: str) -> None:
    with server() as mta:
        port, drain = free_port(), "300ms" if how == "the bound" else "5m"
        program.configure(listeners(mta.port, mx=port) + f"limits: {{drain: {drain}}}\n")
        program.start()
        client = Client(port)
        client.hear()
        for line in ("EHLO me", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA"):
            client.say(line)
        program.signal(signal.SIGTERM)
        program.until("stopping")
        if how == "a second signal":
            program.signal(signal.SIGINT)
        with pytest.raises(ConnectionResetError):
            client.hear()
        assert program.end() == (0, "") and mta.messages == 0
        assert "sessions cut off" in program.events()


STUCK = """
import asyncio, time
from mailweir import hookimpl
from twisted.internet.threads import deferToThread

@hookimpl
async def stopping():
    await {wait}(time.sleep, 100)
"""


@pytest.mark.parametrize("wait", ["asyncio.to_thread", "deferToThread"])
def test_a_thread_of_a_plugin_does_not_keep_the_program(program: Program, tmp_path: Path, wait: str) -> None:
    (tmp_path / "stuck.py").write_text(STUCK.format(wait=wait))
    program.configure(
        listeners(1, mx=free_port()).replace("upstream: mta", "upstream: mta, plugins: [stuck]")
        + "plugins:\n  stuck: {use: ./stuck.py, timeout: 100ms}\n"
    )
    program.start()
    program.signal(signal.SIGTERM)
    assert program.end() == (0, "")
    assert program.events()[-1] == "a plugin's thread does not end; leaving without it"


def test_nobody_reads_the_log(program: Program) -> None:
    """Mail goes on, and so does the end."""
    with server() as mta:
        port = free_port()
        program.configure(
            listeners(mta.port, mx=port).replace("upstream: mta", "upstream: mta, plugins: [accesslog]")
        )
        program.start()
        for _ in range(400):
            client = Client(port)
            client.hear()
            client.say("EHLO me")
            client.say("QUIT")
            client.close()
        program.signal(signal.SIGTERM)
        program.wait()


def test_reading_again(program: Program, tmp_path: Path) -> None:
    with server("one.example.org") as one, server("two.example.org") as two:
        kept, renamed, removed, added = (free_port() for _ in range(4))
        program.configure(listeners(one.port, kept=kept, renamed=renamed, removed=removed))
        program.start()
        old = Client(kept)
        assert old.hear() == "220 one.example.org"

        program.configure("listeners: {kept: {protocol: smpt}}\n")
        program.signal(signal.SIGHUP)
        refused = program.until("configuration refused, nothing has changed")
        assert refused["reason"].startswith(f"{program.file}:2:") and refused["level"] == "error"
        assert program.metric("mailweir_config_last_reload_successful") == 0
        assert Client(removed).hear() == "220 one.example.org"

        program.configure(listeners(two.port, kept=kept, named=renamed, added=added))
        program.signal(signal.SIGHUP)
        assert program.until("configuration read again")["listeners"] == "kept, named, added"
        assert program.metric("mailweir_config_last_reload_successful") == 1
        for port in (kept, renamed, added):
            assert Client(port).hear() == "220 two.example.org"
        with pytest.raises(ConnectionRefusedError):
            Client(removed)
        assert old.say("NOOP") == "250 ok"
        old.close()


def test_an_address_that_can_not_be_had_changes_nothing(program: Program) -> None:
    with server() as mta, socket.create_server(("127.0.0.1", 0)) as taken:
        port, added = free_port(), free_port()
        program.configure(listeners(mta.port, mx=port))
        program.start()
        program.configure(listeners(mta.port, mx2=taken.getsockname()[1], added=added))
        program.signal(signal.SIGHUP)
        reason = program.until("configuration refused, nothing has changed")["reason"]
        assert f"listeners.mx2: 127.0.0.1:{taken.getsockname()[1]}: port taken" in reason
        assert Client(port).hear() == "220 mta.example.org"
        with pytest.raises(ConnectionRefusedError):
            Client(added)


def test_plugins_of_a_replaced_configuration_hear_the_end_after_their_last_session(
    program: Program, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    (tmp_path / "hears.py").write_text(HEARS)
    with server() as mta:
        port = free_port()
        text = listeners(mta.port, mx=port).replace("upstream: mta", "upstream: mta, plugins: [hears]")
        text += f"plugins:\n  hears: {{use: './hears.py:Hears', to: {notes}, word: one}}\n"
        program.configure(text)
        program.start()
        client = Client(port)
        client.hear()
        program.configure(text.replace("word: one", "word: two"))
        program.signal(signal.SIGHUP)
        program.until("configuration read again")
        assert notes.read_text().splitlines() == ["started mx one", "started mx two"]
        client.say("QUIT")
        client.close()
        while len(notes.read_text().splitlines()) < 3:
            program.page("health")
        program.signal(signal.SIGTERM)
        assert program.end() == (0, "")
        assert notes.read_text().splitlines()[2:] == ["stopping one", "stopping two"]


def test_a_certificate_that_can_not_be_used_after_all_changes_nothing(program: Program) -> None:
    with server() as mta:
        port = free_port()
        program.configure(listeners(mta.port, mx=port))
        program.start()
        program.configure(
            listeners(mta.port, mx=port) + "certificates: [{certificate: no.pem, key: no.key}]\n"
        )
        program.signal(signal.SIGHUP)
        assert "no.pem" in program.until("configuration refused, nothing has changed")["reason"]
        assert Client(port).hear() == "220 mta.example.org"
