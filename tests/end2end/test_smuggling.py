"""No client makes two messages of one, through the real program and before real servers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from end2end import floods
from end2end.fakes import Fake, Gone, Peer, connect
from end2end.house import House
from end2end.machine import wait_until
from end2end.sloppy import END, FEW, Sloppy, two_in_one
from end2end.weir import Mailweir, Start


def attempt(port: int, hello: bytes, recipient: bytes, text: bytes, *, bdat: bool, dripped: bool) -> bool:
    """One session; whether the client was told that the message was accepted."""
    peer = connect(port)
    reply = peer.reply()
    steps = [hello + b" me", b"MAIL FROM:<ann@example.net>", b"RCPT TO:<" + recipient + b">"]
    for step in steps if bdat else [*steps, b"DATA"]:
        peer.say(step + b"\r\n")
        reply = peer.reply()
        assert reply[:1] in b"23", reply
    said = b"BDAT %d LAST\r\n" % len(text) + text if bdat else text + END[2:]
    at = said.index(b"MAIL FROM")
    pieces = [said[: at - 8], *(said[n : n + 1] for n in range(at - 8, at + 4)), said[at + 4 :]]
    try:
        for piece in pieces if dripped else [said]:
            peer.say(piece)
        reply = peer.reply()
        peer.say(b"QUIT\r\n")
        peer.rest()
    except Gone:
        pass
    peer.close()
    return reply.startswith(b"250")


WAYS = [(False, False), (False, True), (True, False)]


def chained(chain: str, folder: Path) -> dict[str, Any]:
    """What of a configuration brings this chain."""
    plugin = floods.CHAINS[chain]
    (folder / "plugin.py").write_text(plugin or "")
    return {"plugins": {"plugin": {"use": str(folder / "plugin.py")}}} if plugin else {}


@pytest.mark.parametrize("chain", floods.CHAINS)
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_before_the_sloppiest_server(start: Start, tmp_path: Path, protocol: str, chain: str) -> None:
    servers: list[Sloppy] = []

    def server(peer: Peer) -> None:
        servers.append(Sloppy(lmtp=protocol == "lmtp"))
        servers[-1].serve(peer)

    fake = Fake(server)
    rest = chained(chain, tmp_path)
    listener = {"protocol": protocol, "upstream": "out", "plugins": list(rest.get("plugins", {}))}
    weir = start({"in": listener}, {"out": fake.upstream}, **rest)
    for name, form in FEW.items():
        for bdat, dripped in WAYS:
            before = len(servers)
            hello = b"LHLO" if protocol == "lmtp" else b"EHLO"
            text = two_in_one(form)
            accepted = attempt(weir.port, hello, b"bob@example.org", text, bdat=bdat, dripped=dripped)
            (sloppy,) = servers[before:]
            senders = [message.sender for message in sloppy.messages]
            assert senders == ([b"ann@example.net"] if accepted else []), (name, bdat, dripped)
            assert b"evil" not in b"".join(sloppy.commands)
    fake.stop()


@pytest.mark.parametrize("server", ["postfix", "dovecot"])
def test_they_would_fall_for_it(house: House, users: Iterator[str], server: str) -> None:
    """Else the next test would show nothing."""
    victim = next(users)
    attack(server, ports(house)[server], next(users), victim, b"\n.\n", bdat=False, dripped=False)
    house.wait_for_mail(victim)


@pytest.mark.parametrize("chain", floods.CHAINS)
@pytest.mark.parametrize("server", ["postfix", "dovecot"])
def test_before_real_servers(
    start: Start, house: House, users: Iterator[str], tmp_path: Path, server: str, chain: str
) -> None:
    rest = chained(chain, tmp_path)
    protocol = "lmtp" if server == "dovecot" else "smtp"
    weir: Mailweir = start(
        {"in": {"protocol": protocol, "upstream": "out", "plugins": list(rest.get("plugins", {}))}},
        {"out": {"address": f"127.0.0.1:{ports(house)[server]}"}},
        **rest,
    )
    user, victim = next(users), next(users)
    accepted = 0
    for form in FEW.values():
        for bdat, dripped in WAYS:
            accepted += attack(server, weir.port, user, victim, form, bdat=bdat, dripped=dripped)
    assert accepted > 10
    house.wait_for_mail(user, accepted)
    wait_until("the queue is empty", lambda: house.mx.queued() == 0)
    assert len(house.dovecot.messages(user)) == accepted
    assert house.dovecot.messages(victim) == []


def ports(house: House) -> dict[str, int]:
    return {"postfix": house.mx.ports["smtp"], "dovecot": house.dovecot.ports["lmtp"]}


def attack(server: str, port: int, user: str, victim: str, form: bytes, *, bdat: bool, dripped: bool) -> bool:
    domain = b"@direct.example.org"
    hello = b"LHLO" if server == "dovecot" else b"EHLO"
    text = two_in_one(form, victim.encode() + domain)
    return attempt(port, hello, user.encode() + domain, text, bdat=bdat, dripped=dripped)
