"""Five servers that nobody here wrote, each with three doors: its own, and two of mailweir in front of it.

A conversation goes through every door of a server, and is told the same and leaves the same behind. What
the MTAs take they send on at once to one recording server, so that envelope and text can be compared as
they left; Dovecot's LMTP stores.
"""

import itertools
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from end2end.clients import delivered
from end2end.exim import Exim
from end2end.fakes import SmtpFake
from end2end.machine import free_port, wait_until
from end2end.opensmtpd import OpenSmtpd
from end2end.postfix import Postfix
from end2end.submission import submission
from end2end.tls import Papers
from end2end.weir import Mailweir

LIMIT = 1 << 20
"""Octets that a server takes in one message."""

USER = "ann"
"""Who may log in at every server."""

SENDER = "writer@example.net"
OFFERS = (b"PIPELINING", b"SIZE", b"8BITMIME", b"SMTPUTF8", b"DSN", b"CHUNKING", b"ENHANCEDSTATUSCODES")
"""Of the recording server."""

UNKNOWN = "nobody@example.org"
"""A recipient that every server refuses, but Dovecot's LMTP: it knows everybody who can be a user."""

REFUSED = r"^nobody@(example\.org|[a-z]+\.{name}\.example\.com)"
"""What an MTA refuses, as a regular expression: `UNKNOWN`, and nobody at each of its own doors."""

LOOK = """
import asyncio
from mailweir import hookimpl


@hookimpl
async def message(message):
    assert sum(map(len, message.body())) <= message.size
    await asyncio.sleep(0.05)
"""
"""A plugin that looks at whole messages for a while and leaves them alone."""

Way = Literal["direct", "plain", "whole"]
WAYS: tuple[Way, ...] = ("direct", "plain", "whole")
"""At the server; through mailweir without plugins; through mailweir with one that looks at whole messages."""

MAIN = """
message_size_limit = {limit}
mynetworks = 127.0.0.0/8
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{sasl}
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access regexp:{{ {{ /{unknown}/ 550 5.1.1 no such user here }} }}
relayhost = [127.0.0.1]:{sink}
transport_maps = inline:{{ {transports} }}
minimal_backoff_time = 1s
queue_run_delay = 1s
"""


@dataclass(frozen=True)
class Server:
    """What a conversation must know of a server."""

    name: str
    port: int
    protocol: str = "smtp"
    unknown: str = UNKNOWN
    """A recipient that it refuses."""
    must_log_in: bool = False


@dataclass(frozen=True)
class Door:
    """Where a conversation begins: 127.0.0.1, `port`."""

    way: Way
    server: Server
    port: int
    papers: Papers


@dataclass(frozen=True, order=True)
class Mail:
    """One message for one recipient as it left a server; parameters stand behind the addresses."""

    sender: str
    recipient: str
    text: bytes


@dataclass(frozen=True)
class Told:
    """What a client was told, and how many recipients' mail was accepted."""

    said: str
    mail: int


Conversation = Callable[[Door, str], Told]
"""Holds a conversation at a door. All its recipients' names begin with the token, the second argument."""

SERVERS = ("postfix", "exim", "opensmtpd", "submission", "lmtp")


def domain(door: Door) -> str:
    """Whose mail Postfix and Exim deliver through a door (of another server than themselves)."""
    return f"{door.way}.{door.server.name}.example.com"


class Peers:
    """The running servers and the mailweir in front of them; `doors` by the name of a server, in `WAYS`' order."""

    def __init__(self, folder: Path, papers: Papers) -> None:
        with ExitStack() as running:
            ports = {name: {way: free_port() for way in WAYS} for name in SERVERS}
            own = {name: doors["direct"] for name, doors in ports.items()}
            self._tokens = (f"t{number:05}" for number in itertools.count())
            self.sink = SmtpFake(offers=OFFERS)
            running.callback(self.sink.stop)
            sink = self.sink.fake.port
            self.dovecot = submission(
                _made(folder / "dovecot"), papers, LIMIT, own["postfix"], own["submission"]
            )
            running.callback(self.dovecot.stop)
            own["lmtp"] = ports["lmtp"]["direct"] = self.dovecot.ports["lmtp"]
            self.opensmtpd = OpenSmtpd(
                _made(folder / "opensmtpd"), own["opensmtpd"], LIMIT, sink, REFUSED.format(name="opensmtpd")
            )
            running.callback(self.opensmtpd.stop)
            onward = {
                f"{way}.{name}.example.com": ("lmtp" if name == "lmtp" else "smtp", port)
                for name, doors in ports.items()
                for way, port in doors.items()
                if name != "submission"
            }
            self.exim = Exim(
                _made(folder / "exim"),
                papers,
                own["exim"],
                LIMIT,
                sink,
                REFUSED.format(name="exim"),
                _without("exim", onward),
            )
            running.callback(self.exim.stop)
            transports = [
                f"{{ {domain} = {protocol}:[127.0.0.1]:{port} }}"
                for domain, (protocol, port) in _without("postfix", onward).items()
            ]
            self.postfix = Postfix(
                _made(folder / "postfix"),
                papers,
                "postfix.example.net",
                {"smtp": own["postfix"], "smtps": free_port()},
                MAIN.format(
                    limit=LIMIT,
                    sasl=self.dovecot.ports["sasl"],
                    unknown=REFUSED.format(name="postfix"),
                    sink=sink,
                    transports=", ".join(transports),
                ),
            )
            running.callback(self.postfix.stop)
            servers = [
                Server("postfix", own["postfix"]),
                Server("exim", own["exim"]),
                Server("opensmtpd", own["opensmtpd"]),
                Server("submission", own["submission"], must_log_in=True),
                Server("lmtp", own["lmtp"], "lmtp", unknown="no%body@example.org"),
            ]
            self.mailweir = _mailweir(_made(folder / "mailweir"), papers, servers, ports)
            running.callback(self.mailweir.stop)
            self.doors = {
                server.name: [Door(way, server, ports[server.name][way], papers) for way in WAYS]
                for server in servers
            }
            self._running = running.pop_all()

    def hold(self, conversation: Conversation, doors: Iterable[Door]) -> list[tuple[str, list[Mail]]]:
        """What a conversation is told, and what mail comes of it, at each door; alike for all, one hopes."""
        named = [(door, next(self._tokens)) for door in doors]
        told = [(door, token, conversation(door, token)) for door, token in named]
        return [
            (plain(heard.said, door, token), self._mail(door, token, heard.mail))
            for door, token, heard in told
        ]

    def _mail(self, door: Door, token: str, count: int) -> list[Mail]:
        """What left for recipients whose names begin with `token`, once it is `count`."""
        read = self._stored if door.server.protocol == "lmtp" else self._sent
        try:
            wait_until(f"{count} messages for {token}", lambda: len(read(token)) >= count)
        except AssertionError as error:
            logs = [server.log()[-2000:] for server in (self.postfix, self.exim, self.opensmtpd)]
            raise AssertionError("\n".join([str(error), *logs])) from None
        assert len(read(token)) == count
        return sorted(
            Mail(plain(mail.sender, door, token), plain(mail.recipient, door, token), mail.text)
            for mail in read(token)
        )

    def _sent(self, token: str) -> list[Mail]:
        return [
            Mail(message.sender.decode(), recipient.decode(), delivered(message.text))
            for message in list(self.sink.messages)
            for recipient in message.recipients
            if recipient.startswith(b"<%s" % token.encode())
        ]

    def _stored(self, token: str) -> list[Mail]:
        found = []
        for home in (self.dovecot.folder / "homes").glob(f"{token}*"):
            for text in self.dovecot.messages(home.name):
                sender = text.partition(b"\n")[0].decode().removeprefix("Return-Path: ")
                found.append(Mail(sender, home.name, delivered(text)))
        return found

    def stop(self) -> None:
        """End everything; the proxy first, so that it sees nobody vanish."""
        self._running.close()


def _without(name: str, onward: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """All ways but those to an MTA itself."""
    return {domain: way for domain, way in onward.items() if f".{name}." not in domain}


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o755, parents=True)
    return folder


def _mailweir(
    folder: Path, papers: Papers, servers: list[Server], ports: dict[str, dict[Way, int]]
) -> Mailweir:
    (folder / "look.py").write_text(LOOK)
    return Mailweir(
        folder,
        {
            f"{server.name}-{way}": {
                "protocol": server.protocol,
                "listen": f"127.0.0.1:{ports[server.name][way]}",
                "tls": "starttls",
                "upstream": server.name,
                "plugins": ["look"] if way == "whole" else [],
            }
            for server in servers
            for way in WAYS
            if way != "direct"
        },
        {server.name: {"address": f"127.0.0.1:{server.port}"} for server in servers},
        {"MAILWEIR_TRACE": "1"},
        certificates=[{"certificate": str(papers.certificate), "key": str(papers.key)}],
        plugins={"look": {"use": "./look.py"}},
        log={"level": "debug"},
    )


_OWN = re.compile(r"(\d)\d\d .* \(0[0-9a-z]{12}\)|(2)50 .*octets received|(3)54 end data with .*")
"""What mailweir says itself: a refusal, or in place of the server when a plugin wants to see the message."""


def reconciled(said: str, direct: str) -> str:
    """`said`, but with the server's reply wherever mailweir's own is of the same class."""
    ours, theirs = _replies(said), _replies(direct)
    for number, (our, their) in enumerate(zip(ours, theirs, strict=False)):
        own = _OWN.search(our)
        code = re.search(r"\d", their)
        if own is not None and code is not None and code[0] in own.groups():
            ours[number] = their
    return "".join(ours)


def _replies(said: str) -> list[str]:
    """The lines of a conversation; a reply of many lines is one."""
    return re.findall(r"(?:\W*\d{3}-.*\n)*.*\n|.+$", said)


_VARIES = [
    (re.compile(pattern), to)
    for pattern, to in (
        (r"(\d+ bytes )?queued as \w+", "queued as ID"),
        (r"\bid=[\w-]+", "id=ID"),
        (r"\b[0-9a-f]{8} Message accepted", "ID Message accepted"),
        (r"> \S{22,} Saved", "> ID Saved"),
        (r"\w{3}, \d+ \w{3} \d{4} [\d:]{8} \+0000", "DATE"),
        (r" SIZE=\d+", ""),
        (r"\b\d+ byte chunk", "N byte chunk"),
        (r"334 \S+", "334 CHALLENGE"),
    )
]


def plain(text: str, door: Door, token: str) -> str:
    """`text` without what differs from one conversation to the next: names of the recipients, ids, the port."""
    text = text.replace(token, "TOKEN").replace(str(door.port), "PORT").replace(f"{door.way}.", "WAY.")
    for pattern, to in _VARIES:
        text = pattern.sub(to, text)
    return text
