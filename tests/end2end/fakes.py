"""Upstream servers that do exactly what a test tells them, and a client's end of a raw connection.

A `Fake` runs one function for each connection, in a thread; what the function raises fails the test when
the fake is stopped. `SmtpFake` is a whole SMTP or LMTP server that misbehaves where it is told to.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Stage = Literal[
    "greeting",
    "EHLO",
    "NOOP",
    "RSET",
    "MAIL",
    "RCPT",
    "DATA",
    "text",
    "BDAT",
    "end",
    "between",
    "QUIT",
]
Fault = Literal[
    "close",
    "reset",
    "hang",
    "421",
    "garbage",
    "half a line",
    "half a reply",
    "endless",
    "3yz",
    "twice",
]
SAID: dict[Fault, bytes] = {
    "421": b"421 4.3.2 going home\r\n",
    "garbage": b"\x16\x03\x01 \xff\0\r\n",
    "half a line": b"25",
    "half a reply": b"250-first\r\n",
    "endless": b"250-more\r\n" * 1000,
    "3yz": b"334 go on\r\n",
    "twice": b"250 ok\r\n250 ok\r\n",
}
"""What is said in place of the reply; then the connection is closed, but for the last three."""


class Gone(Exception):
    """The other end closed or reset the connection."""


class Peer:
    """One end of a connection, read by lines or by octets."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.buffer = b""

    def say(self, octets: bytes) -> None:
        try:
            self.connection.sendall(octets)
        except OSError as error:
            raise Gone(str(error)) from error

    def line(self) -> bytes:
        """The next line with its CRLF."""
        return self.through(b"\n")

    def through(self, end: bytes) -> bytes:
        """Everything up to and including `end`."""
        searched = 0
        while (at := self.buffer.find(end, searched)) < 0:
            searched = max(len(self.buffer) - len(end), 0)
            self.more()
        return self._take(at + len(end))

    def exactly(self, count: int) -> bytes:
        """The next `count` octets."""
        while len(self.buffer) < count:
            self.more()
        return self._take(count)

    def reply(self) -> bytes:
        """An SMTP reply, all its lines."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"".join(lines)

    def rest(self) -> bytes:
        """Everything until the other end is gone."""
        try:
            while True:
                self.more()
        except Gone:
            return self._take(len(self.buffer))

    def more(self) -> None:
        """Wait for more octets; `buffer` has what was not taken yet."""
        try:
            piece = self.connection.recv(1 << 18)
        except TimeoutError:
            raise AssertionError(f"a minute of silence; heard so far: {self.buffer[-200:]!r}") from None
        except OSError as error:
            raise Gone(str(error)) from error
        if not piece:
            raise Gone("closed")
        self.buffer += piece

    def close(self) -> None:
        self.connection.close()

    def reset(self) -> None:
        """End the connection by RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _take(self, count: int) -> bytes:
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken


def connect(port: int, timeout: float = 60) -> Peer:
    """A client's end of a new connection to 127.0.0.1."""
    peer = Peer(socket.create_connection(("127.0.0.1", port), 10))
    peer.connection.settimeout(timeout)
    return peer


class Fake:
    """A server; `talk` is run for each connection and the connection closed behind it. Port 0 is any."""

    def __init__(self, talk: Callable[[Peer], None], port: int = 0) -> None:
        self._talk = talk
        self._socket = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.port = int(self._socket.getsockname()[1])
        self.peers: list[Peer] = []
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def upstream(self) -> dict[str, str]:
        """This server, for `upstreams` of a configuration."""
        return {"address": f"127.0.0.1:{self.port}"}

    def stop(self) -> None:
        """End all connections; raise what a conversation raised."""
        self._stopping = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for peer in self.peers:
            try:
                peer.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(10)
        if self._failures:
            raise self._failures[0]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            peer = Peer(connection)
            self.peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            self._talk(peer)
        except Gone:
            pass
        except BaseException as error:
            if not self._stopping:
                self._failures.append(error)
        finally:
            peer.close()


@dataclass
class Received:
    """One message that an `SmtpFake` has all of; `text` is unstuffed."""

    sender: bytes
    recipients: list[bytes]
    text: bytes
    acknowledged: bool = False


@dataclass
class SmtpFake:
    """SMTP, or LMTP with `lmtp`. `faults` say what happens at a stage instead of the reply.

    At "text" the fault strikes when the first octets of the text are there, at "end" when all of it is, and
    "between" is before the second of LMTP's final replies.
    `messages` are those that came whole, whether they were acknowledged or not. `delay` seconds pass before
    the final reply.
    """

    faults: Mapping[Stage, Fault] = field(default_factory=dict)
    lmtp: bool = False
    offers: tuple[bytes, ...] = (b"PIPELINING", b"8BITMIME", b"CHUNKING", b"ENHANCEDSTATUSCODES")
    delay: float = 0.0
    messages: list[Received] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.fake = Fake(self._talk, self.port)

    @property
    def upstream(self) -> dict[str, str]:
        return self.fake.upstream

    def stop(self) -> None:
        self.fake.stop()

    def _fault(self, peer: Peer, stage: Stage) -> None:
        """Do what is due at a stage. Returns if nothing is."""
        fault = self.faults.get(stage)
        if fault is None:
            return
        peer.say(SAID.get(fault, b""))
        if fault == "reset":
            peer.reset()
        elif fault in ("hang", "3yz", "twice"):
            peer.rest()
        while fault == "endless":  # until the other end has had enough
            peer.say(SAID[fault])
        raise Gone(f"{fault} at {stage}")

    def _talk(self, peer: Peer) -> None:
        self._fault(peer, "greeting")
        peer.say(b"220 fake.example.org %s\r\n" % (b"LMTP" if self.lmtp else b"ESMTP"))
        message = Received(b"", [], b"")
        while True:
            line = peer.line()
            self.said.append(line)
            verb = line[:4].upper()
            if verb in (b"EHLO", b"LHLO", b"HELO"):
                self._fault(peer, "EHLO")
                rows = [b"fake.example.org", *self.offers]
                peer.say(b"".join(b"250-%s\r\n" % row for row in rows[:-1]) + b"250 %s\r\n" % rows[-1])
            elif verb == b"MAIL":
                self._fault(peer, "MAIL")
                message = Received(line[10:].strip(), [], b"")
                peer.say(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                self._fault(peer, "RCPT")
                message.recipients.append(line[8:].strip())
                peer.say(b"250 2.1.5 ok\r\n")
            elif verb == b"DATA":
                self._fault(peer, "DATA")
                peer.say(b"354 go on\r\n")
                while not peer.buffer:
                    peer.more()
                self._fault(peer, "text")
                text = b"\r\n" + peer.through(b".\r\n")
                while not text.endswith(b"\r\n.\r\n"):
                    text += peer.through(b".\r\n")
                message.text = text[2:-3].replace(b"\r\n..", b"\r\n.")
                if message.text.startswith(b".."):
                    message.text = message.text[1:]
                self._complete(peer, message)
            elif verb == b"BDAT":
                words = line.split()
                while not peer.buffer and int(words[1]):
                    peer.more()
                self._fault(peer, "text")
                message.text += peer.exactly(int(words[1]))
                if words[-1].upper() == b"LAST":
                    self._complete(peer, message)
                else:
                    self._fault(peer, "BDAT")
                    peer.say(b"250 2.0.0 ok\r\n")
            elif verb == b"QUIT":
                self._fault(peer, "QUIT")
                peer.say(b"221 2.0.0 bye\r\n")
                return
            else:
                if verb in (b"RSET", b"NOOP"):
                    self._fault(peer, "RSET" if verb == b"RSET" else "NOOP")
                peer.say(b"250 2.0.0 ok\r\n")

    def _complete(self, peer: Peer, message: Received) -> None:
        self.messages.append(message)
        self._fault(peer, "end")
        time.sleep(self.delay)
        message.acknowledged = True
        for place in range(len(message.recipients) if self.lmtp else 1):
            if place:
                self._fault(peer, "between")
            peer.say(b"250 2.0.0 queued as FAKE1\r\n")
