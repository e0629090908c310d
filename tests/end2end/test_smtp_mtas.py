"""Postfix and Exim deliver to other servers: with the same result and the same octets through mailweir.

Both pipeline. Exim sends by BDAT where that is offered, says QUIT with the end of its text and then closes
its half of the connection, while a plugin still thinks.
"""

import re
import smtplib

import pytest

from end2end.dialogues import HEAD, MESSAGE
from end2end.machine import wait_until
from end2end.peers import LIMIT, SENDER, WAYS, Conversation, Door, Peers, Told, Way, domain

pytestmark = pytest.mark.real

PAIRS = [
    (client, server)
    for client in ("postfix", "exim")
    for server in ("postfix", "exim", "opensmtpd", "lmtp")
    if client != server
]

TEXTS = {
    "small": MESSAGE,
    "eight bits": MESSAGE + "Grüße\r\n".encode(),
    "dots": MESSAGE + b".\r\n..\r\n.x\r\n\r\n.\r\n",
    "long": HEAD + (b"x" * 76 + b"\r\n") * (LIMIT // 4 // 78),
    "empty": HEAD,
}


def _by_postfix(peers: Peers, place: str) -> list[str]:
    """What Postfix's log says of each recipient at a domain."""
    fates = re.findall(rf"to=<(\S+)@{place}>, .* (dsn=\S+, status=.*)", peers.postfix.log())
    return [f"{name}: {fate}" for name, fate in fates]


def _by_exim(peers: Peers, place: str) -> list[str]:
    """What Exim's log says of each recipient at a domain, in any order."""
    fates = re.findall(rf" (?:=>|->|\*\*|==) (\S+)@{place} R=\w+ (.*)", peers.exim.log())
    # mailweir offers PIPELINING (L) and CHUNKING (K) where OpenSMTPD doesn't
    ours = r" [LK](?= )" if "opensmtpd" in place else r" L(?= )"
    return [f"{name}: {re.sub(ours, '', fate)}" for name, fate in fates]


FATES = {"postfix": _by_postfix, "exim": _by_exim}


def delivery(peers: Peers, client: str, text: bytes) -> Conversation:
    """Hand `text` to the MTA `client` for two recipients behind a door, and for one who is refused there."""

    def converse(door: Door, token: str) -> Told:
        place = domain(door)
        # Postfix doesn't even try what LMTP refuses
        refused = [] if door.server.protocol == "lmtp" else [f"nobody@{place}"]
        people = [f"{token}a@{place}", *refused, f"{token}b@{place}"]
        before = len(FATES[client](peers, place))
        with smtplib.SMTP("127.0.0.1", peers.doors[client][0].port) as mta:
            mta.ehlo()
            assert mta.sendmail(SENDER, people, text, ["BODY=8BITMIME"]) == {}
        wait_until(f"the fate of {people}", lambda: len(FATES[client](peers, place)) >= before + len(people))
        fates = sorted(FATES[client](peers, place)[before:])
        return Told("".join(f"{fate}\n" for fate in fates), 2)

    return converse


CHUNKED = " K"
"""How Exim logs that it sent BDAT; it stands before the server's answer."""


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_delivery(peers: Peers, client: str, server: str, kind: str) -> None:
    (direct, mail), *through = peers.hold(delivery(peers, client, TEXTS[kind]), peers.doors[server])
    assert [mail.text.partition(b"\r\n\r\n")[2] for mail in mail] == [
        TEXTS[kind].partition(b"\r\n\r\n")[2]
    ] * 2
    for said, also_mail in through:
        assert said.replace(f"{CHUNKED} C=", " C=") == direct.replace(
            f"{CHUNKED} C=", " C="
        )  # we take chunks for any server
        assert also_mail == mail


@pytest.mark.parametrize("way", WAYS)
def test_exim_uses_chunking(peers: Peers, way: Way) -> None:
    door = peers.doors["postfix"][WAYS.index(way)]
    said, _ = peers.hold(delivery(peers, "exim", MESSAGE), [door])[0]
    assert said.count(" K C=") == 2
