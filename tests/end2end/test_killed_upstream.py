"""Upstream is killed and started again and again under load: no mail is lost, none doubled or invented.

The only lawful doubt is behind the end of the text (RFC 1047): then the client is told so, or nothing.
"""

import os
from pathlib import Path

from end2end.killed import killed
from end2end.machine import free_port, locate, run
from end2end.postfix import Postfix
from end2end.recorder import Process
from end2end.tls import Papers
from end2end.weir import Start

MESSAGES = int(os.environ.get("KILLED_MESSAGES", 5000))


def test_an_upstream_that_is_killed(start: Start, tmp_path: Path) -> None:
    fates = killed(start, tmp_path, Process(tmp_path / "stored"), MESSAGES)
    assert fates["refused"] and fates["unknown"], "it was never killed when it mattered"


class Keeping(Postfix):
    """A Postfix that keeps what it gets in its queue, and isn't running yet."""

    def __init__(self, folder: Path, papers: Papers) -> None:
        super().__init__(
            folder,
            papers,
            "mx.example.org",
            {"smtp": free_port(), "smtps": free_port()},
            "relay_domains = example.org\nrelay_transport = smtp\ndefer_transports = smtp\n"
            "local_header_rewrite_clients =\nsmtpd_relay_restrictions = permit_auth_destination, reject\n",
        )
        self.kill()

    @property
    def upstream(self) -> dict[str, str]:
        return {"address": f"127.0.0.1:{self.ports['smtp']}"}

    def kill(self) -> None:
        self.stop()

    def stored(self) -> list[bytes]:
        queue = self.folder / "queue"
        files = [path for part in ("incoming", "active", "deferred") for path in (queue / part).rglob("*")]
        # one that is still being written may not be executed
        whole = [path for path in files if path.is_file() and path.stat().st_mode & 0o100]
        texts = [run(locate("postcat"), "-c", self.folder, "-hb", path) for path in whole]
        return [text[text.index("Subject: ") :].replace("\n", "\r\n").encode() for text in texts]


def test_a_postfix_that_is_stopped_and_started(
    start: Start, tmp_path: Path, place: Path, papers: Papers
) -> None:
    folder = place / "stopped"
    folder.mkdir(mode=0o755)
    killed(start, tmp_path, Keeping(folder, papers), 250, clients=10, life=0.5)
