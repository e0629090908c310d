"""Clients that speak another protocol: found out by the first thing they say, answered once, and sent away.

A browser can be made to post lines of its maker's choice to our ports; what looks like commands in them
must not be taken for some (the attack is as old as HTTP forms). And who says TLS to a port in clear would
wait for an answer for as long as we wait for the end of his line.

Memory: the beginning of the first line.
"""

import re
from collections.abc import Callable
from typing import Any

from mailweir.relay.direction import Reader
from mailweir.wire.errors import ProtocolError

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"PRI")
"""RFC 9110 9, RFC 5789, and the beginning of HTTP/2 (RFC 9113 3.4)."""

LOOKED_AT = 1024
"""Octets of the first line that are looked at."""

HANDSHAKE = b"\x16"
"""The type of the record that begins TLS (RFC 8446 5.1)."""

_REQUEST = re.compile(rb"(?:%b) (?:/|https?://|[^ \r\n]+ HTTP/)" % b"|".join(METHODS))


class Stranger(ProtocolError):
    """A client that speaks another protocol; `text` says which."""

    def __init__(self, text: str) -> None:
        super().__init__(text, fatal=True)


def found_out(head: bytes) -> str | None:
    """What the client speaks, from the first octets it said: empty if ours, None if more must be here.

    A method alone doesn't tell: it may well be the tag of an IMAP command.

    >>> found_out(b"GET / HTTP/1.1"), found_out(b"GET NOOP"), found_out(b"GET "), found_out(b"EHLO me")
    ('client speaks HTTP', None, None, '')
    """
    if head.startswith(HANDSHAKE):
        return "client speaks TLS on a clear port"
    if _REQUEST.match(head):
        return "client speaks HTTP"
    word, blank, _ = head.partition(b" ")
    if blank:
        likely = word in METHODS
    else:
        likely = any(method.startswith(word) for method in METHODS)
    return None if likely and b"\n" not in head and len(head) < LOOKED_AT else ""


class FirstLook:
    """A client's reader that gives nothing before it is sure that the client speaks our protocol.

    From then on it is the reader that it was made for. `next` raises `Stranger`.
    """

    __slots__ = ("_head", "_reader", "feed", "next")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._head = b""
        self.feed: Callable[[bytes], None] = self._feed
        self.next: Callable[[], Any] = self._next

    def rest(self) -> bytes:
        return self._reader.rest()

    def _feed(self, data: bytes) -> None:
        self._head += data[: LOOKED_AT - len(self._head)]
        self._reader.feed(data)

    def _next(self) -> Any:
        found = found_out(self._head)
        if found is None:
            return None
        if found:
            raise Stranger(found)
        if not self._head:
            return None
        self._head = b""
        self.feed, self.next = self._reader.feed, self._reader.next
        return self._reader.next()
