"""Loads with a size: small in the tests, for hours in the soak. Each starts what it needs and judges it itself."""

import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from end2end.fakes import Fake, Gone, Peer, SmtpFake, connect
from end2end.machine import peak, reset_peak, resident, wait_until
from end2end.tls import Papers, issue
from end2end.weir import Mailweir, Start

MIB = 1 << 20
GIB = 1 << 30
PIECE = (b"x" * 76 + b"\r\n") * 13443
"""About 1 MiB in lines."""


@contextmanager
def no_growth(weir: Mailweir, limit: int = 16 * MIB) -> Iterator[None]:
    """The program's memory rises by less than `limit`, even for a moment."""
    before = resident(weir.pid)
    reset_peak(weir.pid)
    yield
    growth = peak(weir.pid) - before
    assert growth < limit, f"{growth / MIB:.1f} MiB more than before"


def pour(peer: Peer, size: int) -> int:
    """Send at least `size` octets of lines, or until the other side has had enough; how many went."""
    sent = 0
    try:
        while sent < size:
            peer.say(PIECE)
            sent += len(PIECE)
    except Gone:
        pass
    return sent


def swallow(peer: Peer, end: bytes) -> int:
    """Read and forget everything up to `end`, which must be the last that is sent; how many octets."""
    count = len(peer.buffer)
    tail, peer.buffer = peer.buffer[-len(end) :], b""
    room = bytearray(MIB)
    while tail != end:
        try:
            got = peer.connection.recv_into(room)
        except ConnectionError as error:
            raise Gone(str(error)) from error
        if not got:
            raise Gone("closed before the end")
        count += got
        tail = (tail + bytes(room[max(got - len(end), 0) : got]))[-len(end) :]
    return count


def warm(port: int, text: bytes) -> None:
    """One small session, so that what is loaded once is loaded."""
    peer = connect(port)
    peer.line()
    peer.say(text)
    peer.rest()


def big_data(start: Start, size: int) -> None:
    """A message of `size` octets by DATA."""
    got: list[int] = []

    def server(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        while (line := peer.line())[:4] != b"QUIT":
            peer.say(b"354 go on\r\n" if line[:4] == b"DATA" else b"250 ok\r\n")
            if line[:4] == b"DATA":
                got.append(swallow(peer, b"\r\n.\r\n"))
                peer.say(b"250 ok\r\n")
        peer.say(b"221 bye\r\n")

    fake = Fake(server)
    weir = start({"in": {"protocol": "smtp", "upstream": "out"}}, {"out": fake.upstream})
    warm(weir.port, b"QUIT\r\n")
    client = connect(weir.port)
    client.reply()
    with no_growth(weir):
        for command in (b"EHLO me", b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA"):
            client.say(command + b"\r\n")
            client.reply()
        sent = pour(client, size)
        client.say(b".\r\n")
        assert client.reply().startswith(b"250")
    assert got == [sent + 3]
    fake.stop()


def big_literal(start: Start, size: int) -> None:
    """A message of `size` octets by APPEND."""
    count = -(-size // len(PIECE)) * len(PIECE)
    command = b"a APPEND INBOX {%d}\r\n" % count

    def server(peer: Peer) -> None:
        peer.say(b"* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n")
        line = peer.line()
        if line == command:
            peer.say(b"+ go on\r\n")
            assert swallow(peer, b"\r\n\r\n") == count + 2
            peer.say(b"a OK appended\r\n")
            line = peer.line()
        peer.say(b"* BYE\r\n" + line[:2] + b"OK bye\r\n")

    fake = Fake(server)
    weir = start({"in": {"protocol": "imap", "upstream": "out"}}, {"out": fake.upstream})
    warm(weir.port, b"z LOGOUT\r\n")
    client = connect(weir.port)
    client.line()
    with no_growth(weir):
        client.say(command)
        assert client.line().startswith(b"+")
        assert pour(client, size) == count
        client.say(b"\r\n")
        assert client.line() == b"a OK appended\r\n"
    client.say(b"b LOGOUT\r\n")
    client.rest()
    fake.stop()


GREETINGS = {
    "smtp": b"220 fake ESMTP\r\n",
    "lmtp": b"220 fake LMTP\r\n",
    "pop3": b"+OK ready\r\n",
    "imap": b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
}


def endless_line(start: Start, protocol: str, size: int) -> None:
    """A command line of `size` octets: refused in the protocol's words, or the connection is closed."""
    heard: list[bytes] = []

    def server(peer: Peer) -> None:
        peer.say(GREETINGS[protocol])
        heard.append(peer.rest())

    fake = Fake(server)
    weir = start({"in": {"protocol": protocol, "upstream": "out"}}, {"out": fake.upstream})
    client = connect(weir.port)
    client.line()
    with no_growth(weir):
        piece = b"a" * MIB
        try:
            for _ in range(size // MIB):
                client.say(piece)
            client.say(b"\r\n")
            answer = client.line()
        except Gone:
            answer = b""
    refusals = {"smtp": b"500", "lmtp": b"500", "pop3": b"-ERR", "imap": b"* B"}
    assert answer == b"" or answer.startswith(refusals[protocol]), answer
    client.close()
    wait_until("upstream heard the end", lambda: heard)
    assert sum(map(len, heard)) < 100, "the line went upstream"
    fake.stop()


def pipelined(start: Start, count: int) -> None:
    """So many commands without a look at the replies; then the replies are read, and all there."""

    def server(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        while True:
            lines = peer.through(b"\n")
            at = peer.buffer.rfind(b"\n") + 1
            lines += peer.buffer[:at]
            peer.buffer = peer.buffer[at:]
            peer.say(b"250 2.0.0 a reply that is longer than the command\r\n" * lines.count(b"\n"))

    fake = Fake(server)
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out"}},
        {"out": fake.upstream},
        limits={"idle_commands": "none"},
    )
    client = connect(weir.port)
    client.reply()
    with no_growth(weir):
        sending = threading.Thread(target=client.say, args=(b"NOOP\r\n" * count,))
        sending.start()
        sending.join(2)
        replies, searched = 0, b""
        while replies < count:
            piece = client.connection.recv(MIB)
            assert piece, f"closed after {replies} replies"
            replies += piece.count(b"\n")
            searched = piece
        assert replies == count and searched.endswith(b"\r\n")
        sending.join()
    client.close()
    fake.stop()


def idle_sessions(start: Start, count: int) -> None:
    """So many sessions that say nothing: 50 kB each at most, and they cost nothing when they have left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * count + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(needed, hard)), hard))
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    served: list[socket.socket] = []

    def greet() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            served.append(connection)
            connection.sendall(GREETINGS["imap"])

    threading.Thread(target=greet, daemon=True).start()
    upstream = {"address": f"127.0.0.1:{listener.getsockname()[1]}", "connections": count}
    weir = start({"in": {"protocol": "imap", "upstream": "out"}}, {"out": upstream})
    clients: list[Peer] = []
    with no_growth(weir, count * 50_000):
        for _ in range(count):
            clients.append(connect(weir.port))
        for client in clients:
            greeting = client.line()
            assert greeting.startswith(b"* OK"), greeting
    assert weir.metric("mailweir_sessions_active") == count
    for client in clients:
        client.close()
    for connection in served:
        connection.close()
    wait_until("all sessions ended", lambda: weir.metric("mailweir_sessions_active") == 0, 60)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


WHOLE = """
from mailweir import hookimpl

@hookimpl
def message(message):
    assert sum(map(len, message.body())) > 0
"""


def spooled(start: Start, folder: Path, size: int) -> None:
    """A plugin wants whole messages: memory is the spool's, and a message beyond its total is deferred."""
    (folder / "whole.py").write_text(WHOLE)
    got: list[int] = []

    def server(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        while True:
            line = peer.line()
            peer.say(b"354 go on\r\n" if line[:4] == b"DATA" else b"250 ok\r\n")
            if line[:4] == b"DATA":
                got.append(swallow(peer, b"\r\n.\r\n"))
                peer.say(b"250 ok\r\n")

    fake = Fake(server)
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out", "plugins": ["whole"]}},
        {"out": fake.upstream},
        plugins={"whole": {"use": str(folder / "whole.py"), "timeout": "60s"}},
        spool={"directory": str(folder), "memory": "1MiB", "total": size},
    )
    client = connect(weir.port)
    client.reply()
    with no_growth(weir):
        for share, final in ((0.5, b"250"), (1.5, b"452"), (0.5, b"250")):
            for command in (b"EHLO me", b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA"):
                client.say(command + b"\r\n")
                client.reply()
            sent = 0
            client.say(b"Subject: big\r\n\r\n")
            sent = pour(client, int(share * size))
            client.say(b".\r\n")
            assert client.reply().startswith(final)
            if final == b"250":
                assert got[-1] == sent + 16 + 3
    assert len(got) == 2
    wait_until("the spool is empty", lambda: weir.metric("mailweir_spool_bytes") == 0)
    client.close()
    fake.stop()


def _trusting(papers: Papers) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(papers.authority))


def _polite(port: int, tls: ssl.SSLContext) -> None:
    """One session from the handshake to QUIT."""
    client = Peer(tls.wrap_socket(connect(port).connection, server_hostname="localhost"))
    assert client.reply().startswith(b"220")
    client.say(b"QUIT\r\n")
    assert client.reply().startswith(b"221")
    client.close()


def _secured(start: Start, papers: Papers) -> tuple[Mailweir, SmtpFake]:
    fake = SmtpFake()
    weir = start(
        {"in": {"protocol": "smtp", "tls": "implicit", "upstream": "out"}},
        {"out": fake.upstream},
        certificates=[{"certificate": str(papers.certificate), "key": str(papers.key)}],
    )
    return weir, fake


def _read_again(weir: Mailweir, times: int) -> bool:
    return len(weir.events("configuration read again")) == times


def reloads(start: Start, folder: Path, handshakes: int, renewals: int) -> None:
    """Certificates are renewed, each time with SIGHUP, while clients come and some stay: nobody notices."""
    papers = issue(folder / "tls")
    weir, fake = _secured(start, papers)
    tls = _trusting(papers)
    for _ in range(200):
        _polite(weir.port, tls)
    standing = [
        Peer(tls.wrap_socket(connect(weir.port).connection, server_hostname="localhost")) for _ in range(5)
    ]
    for client in standing:
        client.reply()
    left, failed = iter(range(handshakes)), list[BaseException]()

    def come() -> None:
        for _ in left:
            try:
                _polite(weir.port, tls)
            except BaseException as error:
                failed.append(error)

    clients = [threading.Thread(target=come) for _ in range(4)]
    with no_growth(weir):
        for thread in clients:
            thread.start()
        for renewal in range(1, renewals + 1):
            papers.renew()
            weir.reload()
            wait_until(f"reload {renewal}", partial(_read_again, weir, renewal))
            for client in standing:
                client.say(b"NOOP\r\n")
                assert client.reply().startswith(b"250")
        for thread in clients:
            thread.join()
    for client in standing:
        client.say(b"QUIT\r\n")
        assert client.reply().startswith(b"221")
        client.close()
    assert failed == []
    assert weir.metric("mailweir_tls_handshakes_total", result="ok") == handshakes + 205
    assert weir.metric("mailweir_tls_handshakes_total", result="failed") == 0
    shown = ssl.get_server_certificate(("127.0.0.1", weir.port))
    assert shown.split() == papers.certificate.read_text().split()
    fake.stop()


def slow_handshakes(start: Start, papers: Papers, count: int) -> None:
    """Clients that never finish their handshake cost 50 kB each at most, and others don't wait for them."""
    weir, fake = _secured(start, papers)
    tls = _trusting(papers)
    _polite(weir.port, tls)
    began = time.monotonic()
    for _ in range(10):
        _polite(weir.port, tls)
    alone = time.monotonic() - began
    slow: list[Peer] = []
    with no_growth(weir, 8 * MIB + count * 50_000):
        for _ in range(count):
            slow.append(connect(weir.port))
            slow[-1].say(b"\x16\x03\x01\x02\x00\x01\x00")
        began = time.monotonic()
        for _ in range(10):
            _polite(weir.port, tls)
        assert time.monotonic() - began < 3 * alone + 1
    for client in slow:
        client.close()
    wait_until(
        "all of them are counted",
        lambda: weir.metric("mailweir_tls_handshakes_total", result="failed", reason="closed") == count,
        60,
    )
    fake.stop()
