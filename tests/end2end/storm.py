"""Many messages at once while everything goes wrong now and then, and the account that is drawn up behind it."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from end2end.fakes import Gone, Peer, SmtpFake, connect
from end2end.loads import MIB
from end2end.machine import resident, wait_until
from end2end.weir import Start

CLIENTS = 20

MOODY = """
import asyncio, random
from mailweir import Defer, Reject, hookimpl

@hookimpl
async def message(message):
    mood = random.random()
    if mood < 0.05:
        raise RuntimeError("a bad day")
    if mood < 0.10:
        return Reject("no")
    if mood < 0.15:
        return Defer("later")
    if mood < 0.30:
        await asyncio.sleep(random.random() / 20)

@hookimpl
def message_head(message):
    message.headers.add("X-Moody", "yes")
"""


class Flaky(SmtpFake):
    """An upstream that now and then closes or resets the connection, at any stage."""

    def _fault(self, peer: Peer, stage: object) -> None:
        chance = random.random()
        if chance < 0.005:
            peer.reset()
        if chance < 0.01:
            raise Gone(str(stage))


Fate = Literal["accepted", "refused", "left", "lost"]


@dataclass
class Account:
    """What the clients know about their messages: the fate of each, by its number."""

    fates: dict[int, Fate] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    next: int = 0

    def begin(self) -> int:
        with self.lock:
            self.next += 1
            return self.next


def storm(start: Start, folder: Path, messages: int, seconds: float) -> Counter[str]:
    """Send so many messages, or for so long, whichever ends first; the fates and how often each came."""
    (folder / "moody.py").write_text(MOODY)
    upstream = Flaky()
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out", "plugins": ["accesslog", "moody"]}},
        {"out": upstream.upstream},
        plugins={"accesslog": {}, "moody": {"use": str(folder / "moody.py")}},
    )
    weir.forgives = "a bad day"
    account = Account()
    end = time.monotonic() + seconds
    warm = min(messages // 4, 2000)
    held: list[int] = []

    def client() -> None:
        while (number := account.begin()) <= messages and time.monotonic() < end:
            if number == warm:
                held.append(resident(weir.pid))
            account.fates[number] = one(weir.port, number)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until("all sessions ended", lambda: weir.metric("mailweir_sessions_active") == 0, 60)
    arrived = {int(message.text.rpartition(b"number ")[2]): message for message in upstream.messages}
    assert len(arrived) == len(upstream.messages), "a message was delivered twice"
    for number, fate in account.fates.items():
        if fate == "accepted":
            assert number in arrived and arrived[number].acknowledged, f"message {number} is lost"
        if fate == "refused":
            assert number not in arrived or not arrived[number].acknowledged, f"message {number} was invented"
    for number, message in arrived.items():
        assert message.text.startswith(b"X-Moody: yes\r\nSubject: storm\r\n\r\n"), (
            f"message {number} is damaged"
        )
        assert message.text.endswith(body(number)), f"message {number} is not whole"
    if held:
        growth = resident(weir.pid) - held[0]
        assert growth < 16 * MIB, f"{growth / MIB:.1f} MiB more than after the first {warm} messages"
    upstream.stop()
    return Counter(account.fates.values())


def body(number: int) -> bytes:
    """The body of a message, which ends in its number."""
    return b"a line of text\r\n" * (number * 7919 % 3000) + b"number %d\r\n" % number


def one(port: int, number: int) -> Fate:
    """Send one message, and perhaps leave on the way."""
    leaves = random.random() < 0.05
    text = b"Subject: storm\r\n\r\n" + body(number)
    steps = [b"EHLO me\r\n", b"MAIL FROM:<a@example.net>\r\n", b"RCPT TO:<b@example.org>\r\n", b"DATA\r\n"]
    client = connect(port)
    try:
        reply = client.reply()
        for step in steps:
            if reply[:1] not in b"23":
                return "refused"
            client.say(step)
            reply = client.reply()
        if reply[:1] != b"3":
            return "refused"
        if leaves:
            client.say(text[: random.randrange(len(text))])
            return "left"
        client.say(text + b".\r\n")
        return "accepted" if client.reply().startswith(b"250") else "refused"
    except Gone:
        return "lost"
    finally:
        client.close()
