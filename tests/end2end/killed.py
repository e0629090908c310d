"""A load through the program to a server that is killed at random, and the account drawn up behind it."""

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from end2end.honest import Account, Fate, sending
from end2end.loads import WHOLE
from end2end.machine import wait_until
from end2end.weir import Mailweir, Start

HEAD = """
from mailweir import hookimpl

@hookimpl
def message_head(message):
    assert message.headers.get("Subject")
"""
CHAINS = {"none": "", "head": HEAD, "whole": WHOLE}


class Victim(Protocol):
    """A mail server that can be ended and started, and keeps what it has acknowledged."""

    @property
    def upstream(self) -> dict[str, str]: ...

    def start(self) -> None:
        """It serves when this returns."""

    def kill(self) -> None:
        """It is gone when this returns."""

    def stored(self) -> list[bytes]:
        """The texts that it has got."""


def front(start: Start, folder: Path, upstream: dict[str, str], **rest: Any) -> Mailweir:
    """A proxy with a listener for each of the `CHAINS`."""
    for name, text in CHAINS.items():
        (folder / f"{name}.py").write_text(text)
    return start(
        {
            name: {"protocol": "smtp", "upstream": "out", "plugins": [name] if text else []}
            for name, text in CHAINS.items()
        },
        {"out": upstream},
        plugins={name: {"use": str(folder / f"{name}.py")} for name, text in CHAINS.items() if text},
        **rest,
    )


def killed(
    start: Start, folder: Path, victim: Victim, messages: int, clients: int = 50, life: float = 1.0
) -> Counter[Fate]:
    """Send so many messages to a server that is not running yet; the fates of all attempts.

    It lives for `life` seconds at most, and is then dead for a fifth of that besides the time that it needs.
    """
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    weir = front(start, folder, victim.upstream)
    account, dice, kills = Account(seed, messages), random.Random(seed), 0
    victim.start()
    try:
        with sending(account, list(weir.ports.values()), clients) as busy:
            while busy():
                time.sleep(dice.random() * life)
                victim.kill()
                kills += 1
                time.sleep(dice.random() * life / 5)
                victim.start()
    finally:
        victim.kill()
    wait_until("all sessions ended", lambda: weir.metric("mailweir_sessions_active") == 0, 60)
    arrived = account.judge(victim.stored())
    fates = Counter(account.fates.values())
    print(f"killed {kills} times; attempts {dict(fates)}, arrived {dict(arrived)}")
    assert fates["accepted"] == messages
    return fates
