"""Signals under load: a message under way finishes, and nobody's mail is lost, doubled or in doubt."""

import random
import socket
import time
from collections import Counter
from pathlib import Path

from end2end.honest import Account, sending
from end2end.killed import front
from end2end.machine import wait_until
from end2end.recorder import Process
from end2end.weir import Start


def test_sigterm_lets_messages_finish(start: Start, tmp_path: Path) -> None:
    """Whoever has begun a message is told its fate, whoever hasn't hears 421, and nobody new gets in."""
    server = Process(tmp_path / "stored")
    server.start()
    weir = front(start, tmp_path, server.upstream, limits={"drain": "10s"})
    account = Account(random.randrange(1 << 32), 1_000_000)
    print(f"seed {account.seed}")
    with sending(account, list(weir.ports.values())):
        wait_until("there is a load", lambda: len(account.fates) > 500)
        weir.stop()
        account.closed = True
    for port in weir.ports.values():
        with socket.socket() as late:
            assert late.connect_ex(("127.0.0.1", port)) != 0
    server.kill()
    account.judge(server.stored())
    fates = Counter(account.fates.values())
    assert not fates["unknown"] and not fates["unanswered"], fates
    (stopped,) = weir.events("stopping")
    assert stopped["sessions"] > 0 and not weir.events("sessions cut off")


def test_sighup_disturbs_nobody(start: Start, tmp_path: Path) -> None:
    """Not one attempt fails, whatever was under way."""
    server = Process(tmp_path / "stored")
    server.start()
    weir = front(start, tmp_path, server.upstream)
    account = Account(random.randrange(1 << 32), 1500)
    print(f"seed {account.seed}")
    reloads = 0
    with sending(account, list(weir.ports.values())) as busy:
        while busy():
            weir.reload()
            reloads += 1
            time.sleep(0.2)
    wait_until("all were read", lambda: len(weir.events("configuration read again")) == reloads)
    assert reloads > 3
    server.kill()
    assert account.judge(server.stored()) == Counter(accepted=1500)
    assert set(account.fates.values()) == {"accepted"}
