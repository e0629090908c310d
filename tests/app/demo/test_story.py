"""The demo, as a newcomer runs it: in a process of its own, once."""

import subprocess
import sys


def test_every_step_is_as_it_should_be() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mailweir", "demo", "--once"], capture_output=True, text=True, timeout=90
    )
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
