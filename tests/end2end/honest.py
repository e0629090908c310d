"""Clients that send many messages and try again as MTAs do, and what they know of each attempt.

An attempt has a name that stands in its text, so what arrived can be told apart from an earlier attempt at
the same message: a client that was told nothing, or that its message's fate is unknown, must send it again.
"""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from end2end.fakes import Gone, Peer, connect

Fate = Literal["accepted", "refused", "unknown", "unanswered"]
"""What the client was told, in the end; the last is a connection lost behind the end of the text."""

UNKNOWN, GOING = b"fate of the message unknown", b"going down"
"""How mailweir says that; and that it has read nothing more."""


@dataclass
class Account:
    """What the clients know: the fate of every attempt, by its name; and how many messages are to be sent.

    `closed` ends it before: clients send no further message then, nor try again.
    """

    seed: int
    messages: int
    fates: dict[str, Fate] = field(default_factory=dict)
    closed: bool = False
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> int | None:
        """The number of the next message to be sent."""
        with self._lock:
            if self.closed or self._next >= self.messages:
                return None
            self._next += 1
            return self._next

    def text(self, name: str) -> bytes:
        """What an attempt sends, without stuffing; always the same."""
        dice = random.Random(f"{self.seed} {name}")
        lines = [b"a line of text", b".", b"..", b".dot", b"", b"x" * 900]
        body = b"".join(dice.choice(lines) + b"\r\n" for _ in range(dice.choice((1, 3, 30, 100))))
        return b"Subject: %s\r\n\r\n%s" % (name.encode(), body)

    def judge(self, arrived: Iterable[bytes]) -> Counter[Fate]:
        """Nothing is lost, doubled, damaged or invented. What was said to the clients of those that came."""
        count: Counter[str] = Counter()
        for text in arrived:
            name = text[9 : text.index(b"\r\n")].decode()
            assert text == self.text(name), f"{name} is damaged"
            count[name] += 1
        for name, times in count.items():
            assert times == 1, f"{name} is there {times} times"
            assert self.fates[name] != "refused", f"{name} is there, and its client was told that it is not"
        for name, fate in self.fates.items():
            assert fate != "accepted" or count[name], f"{name} is lost"
        return Counter(self.fates[name] for name in count)


class Dismissed(Exception):
    """The session ends at the border of a message."""


Steps = list[tuple[bytes, bytes]]
"""What is said, and the first digits of the replies that must come next; the last step ends the text."""

ENVELOPE = [(b"MAIL FROM:<a@example.net>\r\n", b"2"), (b"RCPT TO:<b@example.org>\r\n", b"2")]


def by_data(text: bytes, grouped: bool) -> Steps:
    text = (b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:]
    steps = [*ENVELOPE, (b"DATA\r\n", b"3")]
    half = len(text) // 2
    ends = [(text[:half], b""), (text[half:] + b".\r\n", b"2")]
    return [_group(steps), _group(ends)] if grouped else steps + ends


def by_bdat(text: bytes, grouped: bool) -> Steps:
    half = len(text) // 2
    chunks = [(b"", text[:half]), (b" LAST", text[half:])]
    steps = ENVELOPE + [(b"BDAT %d%s\r\n" % (len(octets), last) + octets, b"2") for last, octets in chunks]
    return [_group(steps)] if grouped else steps


def _group(steps: Steps) -> tuple[bytes, bytes]:
    return b"".join(said for said, _ in steps), b"".join(wanted for _, wanted in steps)


class Client:
    """One sender, with several messages to a session. `port` says where it connects next."""

    def __init__(self, account: Account, port: Callable[[], int], number: int) -> None:
        self._account = account
        self._port = port
        self._dice = random.Random(f"{account.seed} client {number}")
        self._peer: Peer | None = None
        self._left = 0

    def run(self) -> None:
        """Send messages, each until it is accepted."""
        account = self._account
        while (number := account.next()) is not None:
            for attempt in itertools.count(1):
                name = f"{number}-{attempt}"
                account.fates[name] = self._attempt(account.text(name))
                if account.fates[name] == "accepted" or account.closed:
                    break
                time.sleep(self._dice.random() * 0.1)
        self._leave()

    def _attempt(self, text: bytes) -> Fate:
        way = self._dice.choice((by_data, by_bdat))
        *steps, last = way(text, self._dice.random() < 0.5)
        fate: Fate = "refused"
        try:
            peer = self._session()
            for said, wanted in steps:
                replies = self._say(peer, said, wanted)
                if any(reply[0] != digit for reply, digit in zip(replies, wanted, strict=True)):
                    self._give_up(peer, replies[-1])
                    return fate
            fate = "unanswered"
            reply = self._say(peer, *last)[-1]
            fate = "accepted" if reply.startswith(b"250") else "unknown" if UNKNOWN in reply else "refused"
            if fate != "accepted":
                self._give_up(peer, reply)
        except Dismissed:
            self._drop()
            return "refused"
        except (Gone, OSError):
            self._drop()
        return fate

    def _say(self, peer: Peer, said: bytes, wanted: bytes) -> list[bytes]:
        """The replies; `Dismissed` at one after which no more will come."""
        peer.say(said)
        replies = []
        for _ in wanted:
            replies.append(peer.reply())
            if GOING in replies[-1]:
                raise Dismissed
        return replies

    def _session(self) -> Peer:
        """The one that is open if it may have another message, else a new one."""
        if not self._left:
            self._leave()
            self._left = self._dice.randrange(1, 6)
        self._left -= 1
        if self._peer is None:
            self._peer = connect(self._port())
            if not self._peer.reply().startswith(b"220"):
                raise Gone("not served")
            self._say(self._peer, b"EHLO client.example.net\r\n", b"2")
        return self._peer

    def _give_up(self, peer: Peer, reply: bytes) -> None:
        """This attempt has failed; make the session ready for the next if it lasts."""
        if reply.startswith(b"354"):
            peer.say(b".\r\n")
            reply = peer.reply()
        if reply.startswith(b"421"):
            raise Gone("dismissed")
        self._say(peer, b"RSET\r\n", b"2")

    def _leave(self) -> None:
        if self._peer is not None:
            try:
                self._say(self._peer, b"QUIT\r\n", b"2")
            except (Gone, Dismissed):
                pass
        self._drop()

    def _drop(self) -> None:
        self._left = 0
        if self._peer is not None:
            self._peer.close()
            self._peer = None


@contextmanager
def sending(account: Account, ports: Sequence[int], clients: int = 50) -> Iterator[Callable[[], bool]]:
    """So many clients at once, each session by another of the ports; gives whether they are still at it.

    The block ends when they have sent all, and raises what one of them raised.
    """
    turns = itertools.cycle(ports)
    with ThreadPoolExecutor(clients) as pool:
        done = [pool.submit(Client(account, turns.__next__, number).run) for number in range(clients)]
        try:
            yield lambda: not all(future.done() for future in done)
        except BaseException:
            account.closed = True
            raise
        for future in done:
            future.result()
