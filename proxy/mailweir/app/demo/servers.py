"""The demo's mail servers: an MTA that takes submissions, one that delivers, an MDA's LMTP and POP3 ends.

    submission -> MTA -> MTA -> (lmtp_port) ... LMTP sink -> IMAP mailbox <- POP3 server

Run as `python -m mailweir.app.demo.servers LMTP_PORT IMAP_PORT SENDER READER PASSWORD`: the first MTA hands
to the second, the second to LMTP_PORT on loopback, which is mailweir's. SENDER may submit, READER has the
mailbox. The ports of the four servers are printed as one line of JSON. Every 250 is given only after the
next hop gave its own.
"""

import email.utils
import hashlib
import imaplib
import json
import smtplib
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.cred import checkers, portal
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.mail import imap4, pop3, smtp
from twisted.python import log
from zope.interface import implementer

HOST = "127.0.0.1"
Hand = Callable[[str, list[str], bytes], None]
"""Gives a message to the next hop: sender, recipients, octets. Blocks; raises if it was not taken."""


@implementer(smtp.IMessage)
class Arriving:
    """A message that comes in line by line and is handed on at its end."""

    def __init__(self, sender: str, recipient: str, hand: Hand) -> None:
        self.sender = sender
        self.recipient = recipient
        self.lines: list[bytes] = []
        self.hand = hand

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)

    def eomReceived(self) -> "Deferred[Any]":
        octets = b"\r\n".join([*self.lines, b""])
        return deferToThread(self.hand, self.sender, [self.recipient], octets)

    def connectionLost(self) -> None:
        self.lines.clear()


@implementer(smtp.IMessageDelivery)
class Deliverer:
    """Takes any sender and recipient."""

    def __init__(self, name: str, hand: Hand) -> None:
        self.name = name
        self.hand = hand
        self.sender = ""

    def receivedHeader(self, helo: tuple[bytes, bytes], origin: Any, recipients: list[Any]) -> bytes:
        return f"Received: from {helo[0].decode()} by {self.name}; {email.utils.formatdate()}".encode()

    def validateFrom(self, helo: tuple[bytes, bytes], origin: Any) -> Any:
        self.sender = str(origin)
        return origin

    def validateTo(self, user: Any) -> Callable[[], Arriving]:
        return lambda: Arriving(self.sender, str(user.dest), self.hand)


@implementer(portal.IRealm)
class Realm:
    """Who logged in may send."""

    def __init__(self, deliverer: Callable[[], Deliverer]) -> None:
        self.deliverer = deliverer

    def requestAvatar(self, avatar: Any, mind: Any, *interfaces: Any) -> tuple[Any, Any, Any]:
        return smtp.IMessageDelivery, self.deliverer(), lambda: None


class Server(smtp.ESMTP):
    """An ESMTP server that names itself."""

    def __init__(self, name: str, hand: Hand, users: dict[str, str] | None = None) -> None:
        challengers = {b"PLAIN": imap4.PLAINCredentials, b"LOGIN": imap4.LOGINCredentials} if users else {}
        super().__init__(chal=challengers)  # type: ignore[no-untyped-call]
        self.host = name.encode()
        if users:
            checker = checkers.InMemoryUsernamePasswordDatabaseDontUse(
                **{user: password.encode() for user, password in users.items()}
            )
            self.portal = portal.Portal(  # type: ignore[assignment]
                Realm(lambda: Deliverer(name, hand)), [checker]
            )
        else:
            self.delivery = Deliverer(name, hand)


class LmtpServer(Server):
    """The same in LMTP: LHLO, and one recipient a transaction, so that one reply says it all."""

    def do_LHLO(self, rest: bytes) -> None:
        self.do_EHLO(rest)  # type: ignore[no-untyped-call]


class Mailbox:
    """The user's INBOX in the IMAP server, by blocking calls."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.port = port
        self.user = user
        self.password = password

    def append(self, sender: str, recipients: list[str], octets: bytes) -> None:
        with imaplib.IMAP4(HOST, self.port) as imap:
            imap.login(self.user, self.password)
            kind, answer = imap.append("INBOX", "", "", octets)
            if kind != "OK":
                raise smtplib.SMTPException(repr(answer))

    def read(self) -> list[bytes]:
        with imaplib.IMAP4(HOST, self.port) as imap:
            imap.login(self.user, self.password)
            imap.select("INBOX", readonly=True)
            return [part[1] for part in imap.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]


@implementer(pop3.IMailbox)
class Maildrop:
    """What was in the mailbox when the session began."""

    def __init__(self, messages: list[bytes]) -> None:
        self.messages = messages

    def listMessages(self, index: int | None = None) -> Any:
        sizes = [len(octets) for octets in self.messages]
        return sizes if index is None else sizes[index]

    def getMessage(self, index: int) -> BytesIO:
        # the server turns every LF into CRLF on the way out
        return BytesIO(self.messages[index].replace(b"\r\n", b"\n"))

    def getUidl(self, index: int) -> bytes:
        return hashlib.sha256(self.messages[index]).hexdigest()[:16].encode()

    def deleteMessage(self, index: int) -> None:
        raise ValueError("this maildrop is read-only")

    def undeleteMessages(self) -> None: ...

    def sync(self) -> None: ...


class Pop3Server(pop3.POP3):
    """Serves `Maildrop`s to the one user."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    def authenticateUserPASS(self, user: bytes, password: bytes) -> "Deferred[Any]":
        return self._login(user, password == self.mailbox.password.encode())

    def authenticateUserAPOP(self, user: bytes, digest: bytes) -> "Deferred[Any]":
        """RFC 1939 section 7: the greeting has a timestamp, and curl then asks for nothing else."""
        wanted = hashlib.md5((self.magic or b"") + self.mailbox.password.encode()).hexdigest()
        return self._login(user, digest == wanted.encode())

    def _login(self, user: bytes, right: bool) -> "Deferred[Any]":
        def login() -> tuple[Any, Any, Any]:
            if not right or user != self.mailbox.user.encode():
                raise UnauthorizedLogin
            return pop3.IMailbox, Maildrop(self.mailbox.read()), lambda: None

        return deferToThread(login)


def hand_to(client: type[smtplib.SMTP], port: Callable[[], int]) -> Hand:
    """Hand over by a blocking client to a port on loopback."""

    def hand(sender: str, recipients: list[str], octets: bytes) -> None:
        with client(HOST, port()) as next_hop:
            next_hop.sendmail(sender, recipients, octets)

    return hand


def main(lmtp_port: int, imap_port: int, sender: str, reader: str, password: str) -> None:
    """Serve until ended."""
    from twisted.internet import reactor
    from twisted.internet.protocol import Protocol, ServerFactory

    log.startLogging(sys.stderr, setStdout=False)
    mailbox = Mailbox(imap_port, reader, password)
    ports: dict[str, int] = {}

    def serve(name: str, make: Callable[[], Protocol]) -> None:
        factory = ServerFactory()
        factory.protocol = make
        address: Any = reactor.listenTCP(0, factory, interface=HOST).getHost()
        ports[name] = address.port

    to_second = hand_to(smtplib.SMTP, lambda: ports["second"])
    to_delivery = hand_to(smtplib.LMTP, lambda: lmtp_port)
    serve("submission", lambda: Server("mta-one.example", to_second, {sender: password}))
    serve("second", lambda: Server("mta-two.example", to_delivery))
    serve("lmtp", lambda: LmtpServer("mda.example", mailbox.append))
    serve("pop3", lambda: Pop3Server(mailbox))
    print(json.dumps(ports), flush=True)
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6])
