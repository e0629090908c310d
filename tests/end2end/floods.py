"""Too much of everything, from a client and from a server, while honest mail goes on beside it.

Each flood has a size: small in the tests, a gibibyte in the soak.
"""

import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from end2end.fakes import Fake, Gone, Peer, SmtpFake, connect
from end2end.loads import MIB, WHOLE, no_growth, swallow
from end2end.machine import wait_until
from end2end.weir import Mailweir, Start

PATIENCE = 5.0
"""Seconds that a message of somebody else may take while a flood is on."""

HEAD = """
from mailweir import hookimpl

@hookimpl
def message_head(message):
    assert message.headers is not None
"""

END = WHOLE.replace("@hookimpl", "@hookimpl(edits=False)")

CHAINS = {"none": None, "head": HEAD, "end": END, "whole": WHOLE}


@dataclass
class Flood:
    """A proxy, and the client that floods it; `took` are the seconds that honest mail beside it took."""

    weir: Mailweir
    client: Peer
    took: list[float] = field(default_factory=list)

    def ask(self, *commands: bytes) -> bytes:
        """Say these one by one; the last reply."""
        for command in commands:
            self.client.say(command + b"\r\n")
            reply = self.client.reply()
        return reply

    def pour(self, piece: bytes, size: int) -> int:
        """Send this again and again, up to `size` octets or until nobody takes them; how many went."""
        sent = 0
        try:
            while sent < size:
                self.client.say(piece)
                sent += len(piece)
        except Gone:
            pass
        return sent


MAIL = (b"EHLO me", b"MAIL FROM:<ann@example.org>", b"RCPT TO:<bob@example.net>")


@contextmanager
def flooded(
    start: Start,
    folder: Path,
    talk: Callable[[Peer], None],
    chain: str = "none",
    growth: int = 16 * MIB,
    connections: int = 10,
    **rest: Any,
) -> Iterator[Flood]:
    """A proxy before a server that does `talk`, watched: its memory rises by less than `growth`, and the
    honest mail beside takes less than `PATIENCE`.
    """
    plugin = CHAINS[chain]
    if plugin is not None:
        (folder / "plugin.py").write_text(plugin)
        rest["plugins"] = {"plugin": {"use": str(folder / "plugin.py"), "timeout": "60s"}}
    server, honest = Fake(talk), SmtpFake()
    listener = {"protocol": "smtp", "plugins": ["plugin"] if plugin else []}
    weir = start(
        {"in": {**listener, "upstream": "out"}, "mail": {**listener, "upstream": "honest"}},
        {"out": {**server.upstream, "connections": connections}, "honest": honest.upstream},
        **rest,
    )
    send(weir.ports["mail"])
    flood = Flood(weir, connect(weir.ports["in"]))
    with no_growth(weir, growth), mail_beside(weir.ports["mail"], flood.took):
        yield flood
    flood.client.close()
    wait_until("all sessions ended", lambda: weir.metric("mailweir_sessions_active") == 0, 60)
    assert flood.took and max(flood.took) < PATIENCE, flood.took
    assert len(honest.messages) == len(flood.took) + 1
    server.stop()
    honest.stop()


@contextmanager
def mail_beside(port: int, took: list[float]) -> Iterator[None]:
    """Somebody else sends message after message; how long each took, in seconds."""
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            took.append(send(port))
            over.wait(0.1)

    thread = threading.Thread(target=client)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def send(port: int) -> float:
    """One message; the seconds that it took."""
    began = time.monotonic()
    client = connect(port)
    reply = client.reply()
    for step in (*MAIL, b"DATA", b"Subject: honest\r\n\r\nhi\r\n.", b"QUIT"):
        assert reply[:1] in b"23", reply
        client.say(step + b"\r\n")
        reply = client.reply()
    client.close()
    return time.monotonic() - began


LINES = (b"x" * 62 + b"\r\n") * (MIB // 64)


def obliging(peer: Peer) -> None:
    """A server that takes everything and keeps nothing."""
    peer.say(b"220 fake ESMTP\r\n")
    while (line := peer.line()) != b"QUIT\r\n":
        verb = line[:4].upper()
        if verb == b"EHLO":
            peer.say(b"250-fake\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 CHUNKING\r\n")
        elif verb == b"DATA":
            peer.say(b"354 go on\r\n")
            swallow(peer, b"\r\n.\r\n")
            peer.say(b"250 ok\r\n")
        elif verb == b"BDAT":
            left = int(line.split()[1])
            while left:
                left -= len(peer.exactly(min(left, MIB)))
            peer.say(b"250 ok\r\n")
        else:
            peer.say({b"AUTH": b"334 \r\n", b"*\r\n": b"501 cancelled\r\n"}.get(verb, b"250 ok\r\n"))
    peer.say(b"221 bye\r\n")


# What a client does.


def long_chunk(start: Start, folder: Path, size: int, chain: str) -> None:
    """One chunk of so many octets: passed, or kept in the spool."""
    spool = {"directory": str(folder), "total": 2 * size}
    with flooded(start, folder, obliging, chain, spool=spool) as flood:
        flood.client.reply()
        flood.ask(*MAIL)
        flood.client.say(b"BDAT %d LAST\r\nSubject: big\r\n\r\n" % (size + 16))
        assert flood.pour(LINES, size) == size
        assert flood.client.reply().startswith(b"250")


def long_header(start: Start, folder: Path, size: int, piece: bytes, chain: str) -> None:
    """A header of so many octets: passed, or refused where somebody would look at it."""
    with flooded(start, folder, obliging, chain, spool={"directory": str(folder)}) as flood:
        flood.client.reply()
        assert flood.ask(*MAIL, b"DATA").startswith(b"354")
        flood.client.say(b"Subject: big\r\nX: ")
        assert flood.pour(piece * (MIB // len(piece)), size) >= size
        assert flood.ask(b"\r\n\r\nhi\r\n.").startswith(b"250" if chain == "none" else b"552")
        assert flood.ask(b"NOOP").startswith(b"250")


def long_response(start: Start, folder: Path, size: int) -> None:
    """A line of SASL of so many octets: refused, and the session goes on."""
    with flooded(start, folder, obliging) as flood:
        flood.client.reply()
        assert flood.ask(b"EHLO me", b"AUTH PLAIN").startswith(b"334")
        flood.pour(b"A" * MIB, size)
        assert flood.ask(b"").startswith(b"500 ")
        assert flood.ask(b"NOOP").startswith(b"250")


def many_recipients(start: Start, folder: Path, count: int, limit: int | None) -> None:
    """So many recipients of one message, of which the proxy takes `limit`: 500 octets each at most."""
    growth = 16 * MIB + 500 * (limit or count)
    limits = {"recipients": limit or "none"}
    with flooded(start, folder, obliging, growth=growth, limits=limits) as flood:
        flood.client.reply()
        flood.ask(*MAIL[:2])
        commands = b"".join(b"RCPT TO:<user%d@example.net>\r\n" % number for number in range(count))
        sending = threading.Thread(target=flood.client.say, args=(commands,))
        sending.start()
        codes = Counter(flood.client.reply()[:3] for _ in range(count))
        sending.join()
        assert codes == Counter({b"250": limit or count, b"452": count - (limit or count)})
        assert flood.ask(b"DATA", b"hi\r\n.").startswith(b"250")


def deaf_client(start: Start, folder: Path, size: int) -> None:
    """A client that sends commands and reads no reply."""

    def talkative(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        while peer.line():
            peer.say(b"250 " + b"x" * 1000 + b"\r\n")

    with flooded(start, folder, talkative, limits={"idle_commands": "none"}) as flood:
        flood.client.connection.settimeout(2)
        assert flood.pour(b"NOOP\r\n" * 10_000, size) < 32 * MIB


# What a server does.


def deaf_server(start: Start, folder: Path, size: int, chain: str) -> None:
    """A server that asks for the text and reads no more: the client has to wait, or hears that it is lost."""

    def deaf(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        while peer.line() != b"DATA\r\n":
            peer.say(b"250 ok\r\n")
        peer.say(b"354 go on\r\n")
        heard.wait(60)

    heard = threading.Event()
    spool = {"directory": str(folder), "total": 2 * size}
    with flooded(start, folder, deaf, chain, spool=spool, limits={"upstream_reply": "3s"}) as flood:
        flood.client.reply()
        assert flood.ask(*MAIL, b"DATA").startswith(b"354")
        flood.client.say(b"Subject: big\r\n\r\n")
        if chain == "whole":
            assert flood.pour(LINES, size) == size
            assert flood.ask(b".").startswith(b"4")
        else:
            flood.client.connection.settimeout(2)
            assert flood.pour(LINES, size) < 32 * MIB
        heard.set()


STAGES = {"greeting": 0, "EHLO": 1, "MAIL": 2, "DATA": 4, "end": 5}
"""After how many commands a server begins to rave."""


def raving_server(start: Start, folder: Path, size: int, stage: str, begin: bytes, piece: bytes) -> None:
    """A reply of so many octets, of one line or many: the client hears one of ours."""

    def rave(peer: Peer) -> None:
        for _ in range(STAGES[stage]):
            peer.say(b"354 go on\r\n" if stage == "end" and _ == 4 else b"250 ok\r\n")
            peer.line()
        peer.say(begin)
        try:
            for _ in range(size // len(piece)):
                peer.say(piece)
        except Gone:
            cut.set()
        cut.wait(1)

    cut = threading.Event()
    with flooded(start, folder, rave) as flood:
        replies = []
        steps = [*MAIL, b"DATA", b"hi\r\n."]
        try:
            for step in [b"", *steps][: STAGES[stage] + 1]:
                flood.client.say(step + b"\r\n" if step else b"")
                replies.append(flood.client.reply())
            flood.client.more()
        except Gone:
            replies.append(b"")
        assert cut.wait(10), "upstream was heard to the end"
        assert replies[-2][:1] == b"4" and replies[-1] == b"", replies


# Many clients at once.

DRIPPED = {
    "idle": ([], b""),
    "a command": ([], b"NOOP " + b"x" * 100),
    "a text": ([*MAIL, b"DATA"], b"Subject: drip drip drip"),
    "a chunk": ([*MAIL, b"BDAT 1000"], b"drip drip drip"),
}
"""What a client has said before it slows down, and what it then says octet by octet."""


def many_sessions(start: Start, folder: Path, count: int, rounds: int) -> None:
    """So many sessions that say nothing, or an octet now and then: 50 kB each at most."""
    growth = 16 * MIB + 50_000 * count
    with descriptors(4 * count + 500):
        clients: list[tuple[Peer, bytes]] = []
        with flooded(start, folder, obliging, growth=growth, connections=count + 1) as flood:
            for number in range(count):
                before, drips = list(DRIPPED.values())[number % len(DRIPPED)]
                client = connect(flood.weir.ports["in"])
                client.reply()
                for command in before:
                    client.say(command + b"\r\n")
                    if not command.startswith(b"BDAT"):
                        client.reply()
                clients.append((client, drips))
            assert flood.weir.metric("mailweir_sessions_active") >= count
            for at in range(rounds):
                for client, drips in clients:
                    client.say(drips[at : at + 1])
            for client, _ in clients:
                client.close()


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Room for so many open connections, here and in what is started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
