"""The two who talk through a relay in the state machine test, and the pipes between."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mailweir.testing.sides import HeardSide
from relay.smtp.account import HELLOS, Account, Asked

Cut = Literal["whole", "octets", "halves", "held"]
CUTS: tuple[Cut, ...] = ("whole", "octets", "halves", "held")


class Pipe:
    """Octets on their way to one side of the relay, in pieces; as `net`, it waits while the side is paused.

    A piece that was `held` waits for the next one. `end` is why the peer has left, behind its octets; None
    if it has not.
    """

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.end: str | None = None
        self.told = False
        self._held = b""

    def put(self, octets: bytes, cut: Cut = "whole") -> None:
        octets, self._held = self._held + octets, b""
        if cut == "held":
            at = len(octets) - min(2, len(octets) - 1) if octets else 0
            octets, self._held = octets[:at], octets[at:]
        size = {"octets": 1, "halves": (len(octets) + 1) // 2}.get(cut) or len(octets) or 1
        self.pieces.extend(octets[at : at + size] for at in range(0, len(octets), size))

    @property
    def empty(self) -> bool:
        return not self.pieces and not self._held

    def flow(self, side: HeardSide, take: Callable[[bytes], None]) -> bool:
        """Give the side what it takes; tell whether it took any. One that we have ended hears nothing."""
        moved = False
        while self.pieces and side.state == "open" and not side.paused:
            take(self.pieces.popleft())
            moved = True
        if side.state != "open":
            self.pieces.clear()
            self._held = b""
        return moved


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server announces."""

    pipelining: bool = True
    chunking: bool = True
    binary: bool = False
    size: bool = False

    @property
    def lines(self) -> list[bytes]:
        lines = [b"8BITMIME", b"ENHANCEDSTATUSCODES", b"AUTH PLAIN LOGIN"]
        lines += [b"PIPELINING"] * self.pipelining + [b"CHUNKING"] * self.chunking
        return lines + [b"BINARYMIME"] * self.binary + [b"SIZE 100000"] * self.size


class Server:
    """One connection to upstream: a strict server, unless it is told otherwise.

    Every reply bears a number of its own; `sent` says what the reply of that number answered.
    """

    def __init__(self, first: int, offer: Offer, *, each: bool) -> None:
        self.account = Account(each=each, curt=True)
        self.pipe = Pipe()
        self.octets = b""
        self.sent: dict[int, Asked | None] = {}
        self.number = first
        self.outgrouped = False
        self._offer = offer

    def hear(self, octets: bytes) -> None:
        """The relay said this."""
        account = self.account
        for octet in range(len(octets)):
            before = len(account.asked)
            account.said(octets[octet : octet + 1])
            if len(account.asked) > before and len(account.open) > 1 and not self._pipelines:
                self.outgrouped = True
        self.octets += octets

    @property
    def _pipelines(self) -> bool:
        return "PIPELINING" in self.account.keywords

    def honest(self, asked: Asked) -> tuple[int, str]:
        """Code and text that a strict server gives when it has nothing against the message."""
        mail = self.account.mail
        verb = asked.verb
        if asked.junk:
            return 500, "5.5.2 what?"
        if verb == "MAIL":
            return (503, "5.5.1 nested MAIL") if mail else (250, "2.1.0 ok")
        if verb == "RCPT":
            return (250, "2.1.5 ok") if mail else (503, "5.5.1 need MAIL")
        if verb in ("DATA", "BDAT") and (mail is None or mail.dead or (verb == "DATA" and mail.text)):
            return 503, "5.5.1 out of sequence"
        if verb in ("DATA", "BDAT") and mail is not None and not mail.recipients:
            return 554, "5.5.1 no valid recipients"
        if verb == "AUTH":
            if asked.response == b"*":
                return 501, "5.7.0 cancelled"
            return (334, "UGFzc3dvcmQ6") if asked.response is None else (235, "2.7.0 welcome")
        return {"greeting": 220, "DATA": 354, "QUIT": 221}.get(verb, 250), "2.0.0 ok"

    def say(self, code: int, text: str, lines: int = 1) -> bytes:
        """A reply by hand; what it answers is what is open now."""
        self.number += 1
        numbered = f"{text} u{self.number}."
        raw = b"".join(f"{code}-{numbered}\r\n".encode() for _ in range(lines - 1))
        raw += f"{code} {numbered}\r\n".encode()
        self._keep(raw)
        return raw

    def answer(self, code: int, text: str) -> bytes:
        """The reply to the oldest open command; a hello that is accepted says what is offered."""
        asked = self.account.open[0]
        if asked.verb not in HELLOS or code != 250 or asked.verb == "HELO":
            return self.say(code, text)
        self.number += 1
        lines = [f"mail.example u{self.number}.".encode(), *self._offer.lines]
        raw = b"".join(b"250-%s\r\n" % line for line in lines[:-1]) + b"250 %s\r\n" % lines[-1]
        self._keep(raw)
        return raw

    def _keep(self, raw: bytes) -> None:
        account = self.account
        text = Asked("end", mail=account.mail) if account.mode == "text" and not account.open else None
        [(asked, _)] = account.replied(raw)
        self.sent[self.number] = asked or text  # who says no before the end of the text answers it
