"""The fault matrix on real sockets: some of what `tests/relay/smtp/test_faults.py` has all of.

Real are here the ends of connections: resets, closed halves, and that the last words to a client arrive.
"""

import itertools
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from end2end.fakes import Fault, Gone, Peer, SmtpFake, Stage, connect
from end2end.killed import HEAD
from end2end.loads import WHOLE
from end2end.machine import wait_until
from end2end.weir import Mailweir, Start

TEXT = b"Subject: x\r\n\r\n" + b"a line of text\r\n" * 50
FAULTS = [fault for fault in get_args(Fault) if fault != "hang"]
CHAINS = {"none": "", "head": HEAD, "whole": WHOLE}
Way = list[tuple[bytes, int]]
"""What a client says, and how many replies it then waits for."""


def way(protocol: str, bdat: bool) -> Way:
    """A session with one message to two recipients."""
    final = 2 if protocol == "lmtp" else 1
    steps: Way = [
        (b"LHLO me\r\n" if protocol == "lmtp" else b"EHLO me\r\n", 1),
        (b"NOOP\r\n", 1),
        (b"RSET\r\n", 1),
        (b"MAIL FROM:<a@example.net>\r\n", 1),
        (b"RCPT TO:<b@example.org>\r\n", 1),
        (b"RCPT TO:<c@example.org>\r\n", 1),
    ]
    if bdat:
        steps += [(b"BDAT 20\r\n" + TEXT[:20], 1), (b"BDAT %d LAST\r\n" % len(TEXT[20:]) + TEXT[20:], final)]
    else:
        steps += [(b"DATA\r\n", 1), (TEXT[:100], 0), (TEXT[100:] + b".\r\n", final)]
    return [*steps, (b"QUIT\r\n", 1)]


class Row:
    """A proxy with a listener for each chain, before one fake."""

    def __init__(self, start: Start, folder: Path, protocol: str) -> None:
        self.fake = SmtpFake(lmtp=protocol == "lmtp")
        for name, text in CHAINS.items():
            (folder / f"{name}.py").write_text(text)
        self.weir: Mailweir = start(
            {
                name: {"protocol": protocol, "upstream": "out", "plugins": [name] if text else []}
                for name, text in CHAINS.items()
            },
            {"out": self.fake.upstream},
            plugins={name: {"use": str(folder / f"{name}.py")} for name, text in CHAINS.items() if text},
        )

    def idle(self) -> None:
        wait_until("all sessions ended", lambda: self.weir.metric("mailweir_sessions_active") == 0)


@pytest.fixture(params=["smtp", "lmtp"])
def row(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Iterator[Row]:
    row = Row(start, tmp_path, request.param)
    yield row
    row.fake.stop()


def talk(port: int, steps: Way) -> list[str]:
    """The codes that a client hears that says QUIT at the first 4yz or 5yz; the connection ends in order."""
    peer = connect(port)
    codes = [peer.reply()[:3].decode()]
    end = ""
    try:
        for said, wanted in steps:
            if codes[-1][:1] not in "23":
                break
            peer.say(said)
            for _ in range(wanted):
                codes.append(peer.reply()[:3].decode())
        else:
            assert peer.rest() == b""
            return codes
        peer.say(steps[-1][0])
        while True:
            codes.append(peer.reply()[:3].decode())
    except Gone as error:
        end = str(error)
    assert end == "closed", f"{end} after {codes}"
    peer.close()
    return codes


GONE = ("close", "reset", "half a line", "half a reply")
WRONG = ("3yz", "twice")
NO: dict[Stage, tuple[str, str]] = {
    # the first reply that isn't 2yz or 3yz, if upstream is gone, and if we had to cut it off; it may not come
    "greeting": ("421", "421"),
    "EHLO": ("421", "421"),
    "NOOP": ("", "421"),
    "RSET": ("", "421"),
    "MAIL": ("451", "421"),
    "RCPT": ("451", "421"),
    "DATA": ("451", "421"),
    "BDAT": ("451", "421"),
    "text": ("421", "421"),
    "end": ("451", "451"),
    "between": ("451", "451"),
}


def no(stage: Stage, fault: Fault, chain: str) -> set[str]:
    """It, for this fault and chain."""
    if stage == "text":
        return {"421", "451"}  # the end may have gone up with the rest
    if fault == "421" or (stage, fault) == ("between", "twice"):
        return {"421"}
    if stage == "DATA" and chain != "none":
        return {"451" if fault in WRONG else "421"}
    gone, cut = NO[stage]
    return {gone if fault in GONE else cut}


def exists(stage: Stage, fault: Fault, chain: str, protocol: str, bdat: bool) -> bool:
    """There is such a case, and no other is the same."""
    if stage == "between":
        return protocol == "lmtp"
    if stage == "BDAT":
        return bdat and chain == "none"
    if fault == "twice" and (stage == "text" or (stage == "end" and protocol == "lmtp")):
        return False  # on a socket it can't be told from the final replies
    return stage in ("text", "end") or not bdat


def test_upstream_fails_on_a_socket(row: Row) -> None:
    protocol = "lmtp" if row.fake.lmtp else "smtp"
    for chain, stage, fault, bdat in itertools.product(CHAINS, NO, FAULTS, (False, True)):
        if not exists(stage, fault, chain, protocol, bdat):
            continue
        row.fake.faults = {stage: fault}
        row.fake.messages.clear()
        codes = talk(row.weir.ports[chain], way(protocol, bdat))
        where = f"{fault} at {stage} by {'BDAT' if bdat else 'DATA'}, chain {chain}: {codes}"
        if stage == "end" and fault == "twice":
            assert codes.index("421") == len(codes) - 1, where
            assert len(row.fake.messages) == 1, where
        else:
            said = next((code for code in codes if code[0] in "45"), "")
            assert said in no(stage, fault, chain), where
            assert len(row.fake.messages) == (stage in ("end", "between") or not said), where
        row.idle()


LEAVES: dict[str, Callable[[Peer], None]] = {
    "closes": Peer.close,
    "resets": Peer.reset,
    "half-closes": lambda peer: peer.connection.shutdown(socket.SHUT_WR),
}


@pytest.mark.parametrize("how", LEAVES)
def test_client_leaves_on_a_socket(row: Row, how: str) -> None:
    """Behind each thing that it says, and in the middle of it: no message but the complete one gets up."""
    row.fake.faults = {}
    for chain, bdat in itertools.product(CHAINS, (False, True)):
        steps = way("lmtp" if row.fake.lmtp else "smtp", bdat)
        for count, half in itertools.product(range(len(steps)), (False, True)):
            row.fake.messages.clear()
            peer = connect(row.weir.ports[chain])
            peer.reply()
            for said, wanted in steps[:count]:
                peer.say(said)
                for _ in range(wanted):
                    assert peer.reply()[:1] in b"23"
            said, wanted = steps[count]
            peer.say(said[: len(said) // 2] if half else said)
            LEAVES[how](peer)
            where = f"{said[:20]!r} of {chain}, half said: {half}"
            final = len(steps) - 2
            complete = count > final or (count == final and not half)
            if how == "half-closes":
                answer = peer.rest()
                replies = [line for line in answer.splitlines() if line[3:4] != b"-"]
                assert all(line[:1] in b"23" for line in replies), where
                # what is at stake until all of it has gone up isn't owed an answer
                at_stake = said[:4] == b"BDAT" or count == final
                assert len(replies) in ({0, wanted} if at_stake else {wanted}) if not half else not replies, (
                    where
                )
                complete = count > final or (complete and bool(replies))
                peer.close()
            row.idle()
            assert len(row.fake.messages) <= complete, where
            if complete and (count > final or how == "half-closes"):
                assert row.fake.messages[0].acknowledged, where
