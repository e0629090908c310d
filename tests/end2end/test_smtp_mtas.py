"""Postfix and Exim deliver to other servers: with the same result and the same octets through mailweir.

Both pipeline; Exim sends by BDAT where that is offered.
"""

import re
import smtplib
from collections.abc import Callable

import pytest

from end2end.dialogues import HEAD, MESSAGE
from end2end.machine import wait_until
from end2end.peers import LIMIT, SENDER, Conversation, Door, Peers, Told, domain, reconciled

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


def _by_postfix(peers: Peers, token: str) -> list[str]:
    """What Postfix's log says of each recipient."""
    rows = re.findall(rf"to=<({token}|nobody)(\S*)@(\S+)>, .*, (dsn=\S+, status=.*)", peers.postfix.log())
    return [f"{name}{rest}@{where} {fate}" for name, rest, where, fate in rows if where != "example.net"]


def _by_exim(peers: Peers, token: str) -> list[str]:
    """What Exim's log says of each recipient."""
    row = rf"(?:=>|->|\*\*|==) ((?:{token}|nobody)\S*@\S+example\.com .*)"
    return [re.sub(r" (QT|DT)=\S+", "", fate) for fate in re.findall(row, peers.exim.log())]


FATES: dict[str, Callable[[Peers, str], list[str]]] = {"postfix": _by_postfix, "exim": _by_exim}


def delivery(peers: Peers, client: str, text: bytes, refused: bool) -> Conversation:
    """Hand `text` to the MTA `client`, for two recipients behind a door, and for one who is refused there."""

    def converse(door: Door, token: str) -> Told:
        place = domain(door)
        people = [f"{token}a@{place}", f"{token}b@{place}", *([f"nobody@{place}"] if refused else [])]
        with smtplib.SMTP("127.0.0.1", peers.doors[client][0].port) as mta:
            mta.ehlo()
            before = len(FATES[client](peers, token))
            options = ["BODY=8BITMIME"] if text != text.decode("utf-8").encode("ascii", "replace") else []
            assert mta.sendmail(SENDER, people, text, options) == {}
        wait_until("their fate", lambda: len(FATES[client](peers, token)) >= before + len(people))
        told = sorted(fate for fate in FATES[client](peers, token) if place in fate)
        return Told("".join(f"{fate}\n" for fate in told), 2)

    return converse
