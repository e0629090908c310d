r"""Recorded conversations pass the real program, its chain empty, octet for octet in both directions.

A file of recorded/ has rows: `C:` the client says, `S:` the server says, each with a CRLF behind; `\` escapes
as in Python's bytes, and a `\` that ends a row takes the place of its CRLF. Rows of one side that follow each
other are one write.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from end2end.fakes import Fake, Peer, connect
from end2end.weir import Start

RECORDED = {path.stem: path for path in sorted(Path(__file__).with_name("recorded").glob("*.txt"))}

CASES = [
    (name, splice)
    for name in RECORDED
    for splice in (("auto", "never") if name in ("imap", "pop3") else ("",))
]


def turns(path: Path) -> list[tuple[str, bytes]]:
    """Who says what, in turn."""
    said: list[tuple[str, bytes]] = []
    for row in path.read_text().splitlines():
        if row.startswith("#"):
            continue
        side, text = row[0], row[3:]
        octets = text.removesuffix("\\").encode()
        octets = re.sub(rb"\\(x..|.)", lambda found: _escape(found[1]), octets)
        octets += b"" if re.search(r"(?<!\\)(\\\\)*\\$", text) else b"\r\n"
        if said and said[-1][0] == side:
            said[-1] = (side, said[-1][1] + octets)
        else:
            said.append((side, octets))
    return said


def _escape(code: bytes) -> bytes:
    if code.startswith(b"x"):
        return bytes([int(code[1:], 16)])
    return {b"r": b"\r", b"n": b"\n", b"\\": b"\\"}[code]


def whole(octets: bytes) -> list[bytes]:
    return [octets]


def octet_by_octet(octets: bytes) -> list[bytes]:
    return [octets[at : at + 1] for at in range(len(octets))]


def cut_anywhere(octets: bytes) -> list[bytes]:
    cuts = sorted(random.Random(len(octets)).sample(range(len(octets) + 1), min(5, len(octets))))
    return [octets[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]


@pytest.mark.parametrize("pieces", [whole, octet_by_octet, cut_anywhere])
@pytest.mark.parametrize(("name", "splice"), CASES)
def test_recorded(start: Start, name: str, splice: str, pieces: Callable[[bytes], list[bytes]]) -> None:
    conversation = turns(RECORDED[name])

    def say(peer: Peer, octets: bytes) -> None:
        for piece in pieces(octets):
            peer.say(piece)

    def server(peer: Peer) -> None:
        for side, octets in conversation:
            if side == "S":
                say(peer, octets)
            else:
                heard = peer.exactly(len(octets))
                assert heard == octets
        if splice != "auto":  # else it is the server who ends the session, as servers do
            assert peer.rest() == b""

    fake = Fake(server)
    protocol = name.partition("-")[0]
    listener = {"protocol": protocol, "upstream": "out"} | ({"splice": splice} if splice else {})
    weir = start({"in": listener}, {"out": fake.upstream})
    client = connect(weir.port, 10)
    for side, octets in conversation:
        if side == "C":
            say(client, octets)
        else:
            heard = client.exactly(len(octets))
            assert heard == octets
    assert client.rest() == b""
    fake.stop()
