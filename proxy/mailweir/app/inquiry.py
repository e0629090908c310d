"""A conversation with a server on our own account, up to what it offers: for `probe`.

A relay without a client. It speaks in lines, one command at a time, and believes a server no more than the
relays do: what is required and not offered, or comes in clear behind the answer to STARTTLS, ends it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from mailweir.app.config import UpstreamTls
from mailweir.relay.side import Side
from mailweir.session import Address, Protocol, Session, Tls
from mailweir.verdict import printable

HEARD = 64 * 1024
"""Octets of an answer at most."""

NOT_OFFERED = (
    "it offers no STARTTLS; if it has a port for TLS use that with tls: implicit, else let it be set up"
)


class Refused(Exception):
    """Why no session can begin there, and what to do."""


class Inquirer:
    """The relay of one connection. `warnings` are what only the dialogue can tell."""

    def __init__(self, protocol: Protocol) -> None:
        nowhere = Address("")
        self.session = Session("probe", "", protocol, nowhere, nowhere, 0.0)
        self.tls: Tls | None = None
        self.warnings: list[str] = []
        self._side: Side | None = None
        self._heard = bytearray()
        self._over = ""
        self._news = asyncio.Event()

    # What `net` calls.

    def upstream_ready(self, side: Side, tls: Tls | None) -> None:
        self._side, self.tls = side, tls

    def upstream_failed(self, reason: str, *, insecure: bool = False) -> None:
        self._end(reason)

    def upstream_octets(self, data: bytes) -> None:
        self._heard += data
        self._news.set()

    def upstream_secured(self, tls: Tls) -> None:
        self.tls = tls
        self._news.set()

    def upstream_gone(self, reason: str) -> None:
        self._end(reason or "it closed the connection")

    def upstream_drained(self) -> None:
        """We say less than any buffer holds."""

    def arrived(self) -> None:
        raise AssertionError("nobody arrives")

    def client_octets(self, data: bytes) -> None:
        raise AssertionError("nobody is there")

    def client_drained(self) -> None:
        raise AssertionError("nobody is there")

    def client_secured(self, tls: Tls) -> None:
        raise AssertionError("nobody is there")

    def client_gone(self, reason: str) -> None:
        raise AssertionError("nobody is there")

    def owes_answer(self) -> bool:
        return False

    def retire(self) -> None:
        self.leave()

    # What dialogues use.

    def say(self, line: str) -> None:
        if self._side is not None:
            self._side.write(f"{line}\r\n".encode())

    async def line(self) -> str:
        """The next line, without its end."""
        while self._heard.find(b"\n", 0, HEARD) < 0:
            if len(self._heard) >= HEARD:
                raise Refused("it sends a line without end")
            await self._wait()
        raw, _, rest = self._heard.partition(b"\n")
        self._heard = rest
        return printable(raw.decode("latin-1"))

    async def secure(self) -> None:
        """It has agreed to TLS."""
        if self._heard:
            raise Refused("it sent octets in clear behind its answer to STARTTLS: somebody sits in between")
        assert self._side is not None
        self._side.start_tls()
        while self.tls is None:
            await self._wait()

    def leave(self) -> None:
        if self._side is not None:
            self._side.close()

    async def _wait(self) -> None:
        if self._over:
            raise Refused(self._over)
        self._news.clear()
        await self._news.wait()

    def _end(self, reason: str) -> None:
        self._over = self._over or reason
        self._news.set()


async def _smtp(inquirer: Inquirer, wanted: UpstreamTls) -> list[str]:
    return await _mail(inquirer, wanted, "EHLO")


async def _lmtp(inquirer: Inquirer, wanted: UpstreamTls) -> list[str]:
    return await _mail(inquirer, wanted, "LHLO")


async def _mail(inquirer: Inquirer, wanted: UpstreamTls, hello: str) -> list[str]:
    """RFC 5321 4.1.1.1, RFC 2033 4.1, RFC 3207."""

    async def reply() -> tuple[str, list[str]]:
        """The code, and what stands behind it in each line."""
        texts = []
        while True:
            line = await inquirer.line()
            texts.append(line[4:].upper())
            if not line[:3].isdecimal() or len(texts) > HEARD // 10:
                raise Refused(f"it does not speak {inquirer.session.protocol.upper()}: {line}")
            if line[3:4] != "-":
                return line, texts

    async def offers() -> list[str]:
        inquirer.say(f"{hello} {socket.gethostname()}")
        line, texts = await reply()
        return texts[1:] if line.startswith("2") else []

    greeting, _ = await reply()
    if not greeting.startswith("2"):
        raise Refused(f"it refuses us in its greeting: {greeting}")
    offered = await offers()
    if _asks(inquirer, wanted, "STARTTLS" in offered):
        inquirer.say("STARTTLS")
        line, _ = await reply()
        await _secured(inquirer, line, line.startswith("220"))
        offered = await offers()
    inquirer.say("QUIT")
    return offered


async def _pop3(inquirer: Inquirer, wanted: UpstreamTls) -> list[str]:
    """RFC 1939 4, RFC 2449 5, RFC 2595 4."""

    async def offers() -> list[str]:
        inquirer.say("CAPA")
        found: list[str] = []
        if (await inquirer.line()).upper().startswith("+OK"):
            while (line := await inquirer.line()) != "." and len(found) < HEARD // 10:
                found.append(line.upper())
        return found

    greeting = await inquirer.line()
    if not greeting.upper().startswith("+OK"):
        refuses = greeting.upper().startswith("-ERR")
        raise Refused(f"it {'refuses us in its greeting' if refuses else 'does not speak POP3'}: {greeting}")
    offered = await offers()
    if _asks(inquirer, wanted, "STLS" in offered):
        inquirer.say("STLS")
        line = await inquirer.line()
        await _secured(inquirer, line, line.upper().startswith("+OK"))
        offered = await offers()
    inquirer.say("QUIT")
    return offered


async def _imap(inquirer: Inquirer, wanted: UpstreamTls) -> list[str]:
    """RFC 9051 6.1.1, 6.2.1, 7.1.4."""

    async def ask(command: str) -> tuple[str, list[str]]:
        """The completion, without its tag, and what CAPABILITY listed before it."""
        inquirer.say(f"mw0 {command}")
        found: list[str] = []
        while True:
            line = await inquirer.line()
            if line.startswith("mw0 "):
                return line[4:], found
            if line.upper().startswith("* CAPABILITY "):
                found = line.upper().split()[2:]

    greeting = await inquirer.line()
    kind = " ".join(greeting.upper().split()[:2])
    if kind not in ("* OK", "* PREAUTH"):
        says = "refuses us in its greeting" if kind == "* BYE" else "does not speak IMAP"
        raise Refused(f"it {says}: {greeting}")
    preauth = kind == "* PREAUTH"
    if preauth and wanted == "starttls":
        raise Refused(
            "it greets with PREAUTH, which rules STARTTLS out; let it ask for logins, or use tls: implicit"
        )
    if preauth:
        inquirer.warnings.append(
            "it greets with PREAUTH: whoever reaches us reads that mailbox without a login"
        )
    _, offered = await ask("CAPABILITY")
    if not preauth and _asks(inquirer, wanted, "STARTTLS" in offered):
        line, _ = await ask("STARTTLS")
        await _secured(inquirer, line, line.upper().startswith("OK"))
        _, offered = await ask("CAPABILITY")
    inquirer.say("mw0 LOGOUT")
    return offered


def _asks(inquirer: Inquirer, wanted: UpstreamTls, offered: bool) -> bool:
    """Whether TLS is to be brought about; `Refused` if it must be and can't."""
    if wanted == "starttls" and not offered:
        raise Refused(NOT_OFFERED)
    return offered and wanted in ("starttls", "opportunistic")


async def _secured(inquirer: Inquirer, line: str, agreed: bool) -> None:
    if not agreed:
        raise Refused(f"it offers STARTTLS and refuses it: {line}")
    await inquirer.secure()


INQUIRIES: dict[Protocol, Callable[[Inquirer, UpstreamTls], Awaitable[list[str]]]] = {
    "smtp": _smtp,
    "lmtp": _lmtp,
    "pop3": _pop3,
    "imap": _imap,
}
"""By protocol: greet, secure if that is wanted, and give what is offered then, in capitals."""
