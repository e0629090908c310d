"""The demo, as a newcomer runs it: in a process of its own; once, and in a terminal."""

import contextlib
import imaplib
import os
import poplib
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "mailweir", "demo"]


def test_every_step_is_as_it_should_be() -> None:
    done = subprocess.run([*DEMO, "--once"], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    for step in (
        "accepted; mailweir said 250 because two MTAs and the mailbox had said it before",
        "the line that begins with a dot is whole",
        "it verifies, after two MTAs and a mailbox",
        "the same octets as by POP3",
        "Trash holds it",
        "Ann's mail program is told: 550",
        "the refused message is counted",
    ):
        assert f"[ok] {step}" in done.stdout
    assert "\033" not in done.stdout


def test_the_mailbox_server_is_an_extra() -> None:
    hidden = "import importlib.util, sys; importlib.util.find_spec = lambda name: None"
    done = subprocess.run(
        [sys.executable, "-c", f"{hidden}; from mailweir.app.demo import main; sys.exit(main(True))"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("The demo could not start: its mailbox server is not installed; ")
    assert "-m pip install pymap" in done.stdout


class Terminal:
    """A demo that stays up because somebody looks."""

    def __init__(self) -> None:
        self.keys, theirs = pty.openpty()
        self.process = subprocess.Popen(DEMO, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.screen = ""
        self.read_until("Ctrl-C ends everything.")

    def read_until(self, text: str) -> None:
        """Read until the text stands on the screen; a minute at most."""
        end = time.monotonic() + 60
        while text not in self.screen and time.monotonic() < end:
            if select.select([self.keys], [], [], 1)[0]:
                with contextlib.suppress(OSError):  # nobody there any more
                    self.screen += os.read(self.keys, 65536).decode()
        assert text in self.screen, self.screen

    def shown(self, pattern: str) -> str:
        """What the screen has in the place of the pattern's group."""
        found = re.search(pattern, self.screen)
        assert found is not None, self.screen
        return found[1]

    @property
    def folder(self) -> Path:
        return Path(self.shown(r"configuration: (\S+)/mailweir\.yaml"))

    def left(self) -> list[str]:
        """Processes whose command line or working directory names the demo's folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(self.folder) in command or str(self.folder) in os.readlink(process / "cwd"):
                    found.append(command)
        return found


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.process.terminate()
    made.process.wait(30)
    with contextlib.suppress(OSError):
        os.close(made.keys)


def test_what_can_be_tried_works(terminal: Terminal) -> None:
    port = int(terminal.shown(r"curl --user bob:weir-demo 'imap://127\.0\.0\.1:(\d+)/Trash;MAILINDEX=1'"))
    with imaplib.IMAP4("127.0.0.1", port) as imap:
        imap.login("bob", "weir-demo")
        imap.select("Trash", readonly=True)
        message = imap.fetch("1", "(BODY[])")[1][0]
        assert isinstance(message, tuple) and b"A message for the weir" in message[1]
        imap.append("INBOX", "", "", b"Subject: one more\r\n\r\n")
    pop = poplib.POP3(
        "127.0.0.1", int(terminal.shown(r"curl --user bob:weir-demo pop3://127\.0\.0\.1:(\d+)/1"))
    )
    pop.apop("bob", "weir-demo")  # as curl does
    assert b"Subject: one more" in pop.retr(1)[1]
    pop.quit()
    program, file = terminal.shown(r"\n +(\S+ plugins \S+)\r").split(" plugins ")
    listed = subprocess.run([program, "plugins", file], capture_output=True, text=True, check=True)
    assert "attachments" in listed.stdout


@pytest.mark.parametrize("end", ["Ctrl-C twice", "closed terminal"])
def test_nothing_stays_behind(terminal: Terminal, end: str) -> None:
    assert len(terminal.left()) == 3  # the proxy, the mailbox, the other servers
    if end == "closed terminal":
        os.close(terminal.keys)
        terminal.process.send_signal(signal.SIGHUP)
    else:
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until("Ending everything.")
        terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(20) == 0
    assert terminal.left() == [] and not terminal.folder.exists()
