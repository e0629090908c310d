"""Fuzz targets for whole SMTP and LMTP relays: brought into a state, then any octets from either side.

The first octet of an input is who looks (`>> 1`) and whether upstream takes groups (`& 1`), the second the state.
Then come turns: an octet `n`, and `n & 31` octets, said by upstream if `n & 32`; by the client if not.
`n & 64`: time passes before. The accounts of both legs must not contradict each other.
"""

from collections.abc import Callable
from typing import Literal

from structlog.testing import capture_logs

from mailweir.chain.plug import Plug
from mailweir.relay.rules import Rules
from mailweir.spool import Spool
from mailweir.testing.play import TLS, Stage
from relay.smtp.account import Account, Mail
from relay.smtp.peers import Pipe
from relay.smtp.whims import PLUGINS

OFFER = b"250-m\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-AUTH PLAIN LOGIN\r\n"
Script = tuple[tuple[Literal["C", "U"], bytes], ...]

GREETING: Script = (("U", b"220 m\r\n"),)
MAIL: Script = (
    ("C", b"MAIL FROM:<a@b>\r\n"),
    ("U", b"250 ok\r\n"),
    ("C", b"RCPT TO:<c@d>\r\n"),
    ("U", b"250 ok\r\n"),
)
TEXT: Script = (("C", b"DATA\r\n"), ("U", b"354 go\r\n"), ("C", b"A: b\r\n\r\nc"))
STATES: dict[str, Script] = {
    "greeting": (),
    "command": (),
    "mail": MAIL,
    "text": (*MAIL, *TEXT),
    "chunk": (*MAIL, ("C", b"BDAT 20\r\nA: b\r\n\r\n")),
    "last chunk": (*MAIL, ("C", b"BDAT 20 LAST\r\nA: b\r\n\r\n")),
    "auth": (("C", b"AUTH LOGIN\r\n"), ("U", b"334 VXNlcm5hbWU6\r\n")),
    "end": (*MAIL, *TEXT, ("C", b"\r\n.\r\n")),
    "closing": (("C", b"QUIT\r\n"),),
    "starttls": (("C", b"STARTTLS\r\n"),),
}


class Play:
    """One session; `client` and `server` keep account of the two legs."""

    def __init__(self, protocol: Literal["smtp", "lmtp"], plugins: str) -> None:
        rules = Rules(
            upstream="server", starttls=True, allow_plaintext=True, message_size=4096, spool=Spool(memory=16)
        )
        self.stage = Stage(protocol, [Plug("whims", PLUGINS[plugins]())], rules)
        self.edits = plugins in ("reader", "censor")
        each = protocol == "lmtp"
        self.client = Account(each=each)
        self.server = Account(each=each, curt=True)
        self.servers = [self.server]
        self.pipes = {"C": Pipe(), "U": Pipe()}
        self.garbled = False
        self._side = self.stage.upstream
        self.stage.begin()
        self.listen()

    def says(self, who: Literal["C", "U"], octets: bytes) -> None:
        """Octets of one side; what it may not say yet waits, as in `net`."""
        self.pipes[who].put(octets)
        while self._flow():
            pass

    def _flow(self) -> bool:
        stage = self.stage
        self.listen()
        if stage.client.secured:
            stage.client.secured = 0
            self.client.secured()
            stage.relay.client_secured(TLS)
            return True
        moved = self.pipes["C"].flow(stage.client, self._from_client)
        self.listen()
        return self.pipes["U"].flow(stage.upstream, self._from_upstream) or moved

    def _from_client(self, octets: bytes) -> None:
        self.client.said(octets)
        self.stage.relay.client_octets(octets)
        self.listen()

    def _from_upstream(self, octets: bytes) -> None:
        try:
            self.server.replied(octets)
        except ValueError:
            self.garbled = True
        self.stage.relay.upstream_octets(octets)
        self.listen()

    def listen(self) -> None:
        """Take in what the relay has said."""
        stage = self.stage
        if stage.upstream is not self._side:
            self._side = stage.upstream
            self.server = Account(each=self.server.each, curt=True)
            self.servers.append(self.server)
        up, stage.upstream.heard = stage.upstream.heard, b""
        down, stage.client.heard = stage.client.heard, b""
        if not stage.relay.spliced:
            self.server.said(up)
            self.client.replied(down)

    def leaves(self) -> None:
        """Both peers are gone."""
        self.stage.relay.client_gone("")
        self.stage.relay.upstream_gone("")
        self.listen()

    def judge(self) -> None:
        """What must hold at the end."""
        if self.stage.relay.spliced:
            return
        for server in self.servers:
            assert not any(asked.junk for asked in server.asked), "junk went up"
        ended = [mail for server in self.servers for mail in server.mails]
        known = [*self.client.mails, *([self.client.mail] if self.client.mail else [])]
        for mail in self.client.mails:
            if mail.accepted and not self.garbled:
                assert any(theirs.accepted and self._same(theirs, mail) for theirs in ended), f"lost: {mail}"
        said = sum(asked.ends and asked.complete for asked in self.client.asked)
        assert len(ended) <= said, "upstream has more messages than were sent"
        for theirs in ended:
            told = any(self._same(theirs, mail) for mail in known if mail.ended)
            assert told or any(asked.ends for asked in self.client.open), f"unlike what was sent: {theirs}"

    def _same(self, theirs: Mail, ours: Mail) -> bool:
        blank = ours.text[:1] in (b" ", b"\t")
        added = b"X-Seen: " if self.edits and not blank else b""
        return theirs.text.startswith(added) and theirs.text.endswith(ours.text)


def _relay(protocol: Literal["smtp", "lmtp"]) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        if len(data) < 3:
            return
        plugins = sorted(PLUGINS)[(data[0] >> 1) % len(PLUGINS)]
        state = list(STATES)[data[1] % len(STATES)]
        hello = b"LHLO x\r\n" if protocol == "lmtp" else b"EHLO x\r\n"
        last = b"250 PIPELINING\r\n" if data[0] & 1 else b"250 ENHANCEDSTATUSCODES\r\n"
        with capture_logs() as logs:
            play = Play(protocol, plugins)
            opening: Script = (*GREETING, ("C", hello), ("U", OFFER + last)) if state != "greeting" else ()
            for who, octets in (*opening, *STATES[state]):
                if who == "C" or play.server.open:
                    play.says(who, octets)
            at = 2
            while at < len(data):
                turn, octets = data[at], data[at + 1 : at + 1 + (data[at] & 31)]
                at += 1 + (turn & 31)
                if turn & 64:
                    play.stage.clock.pump([10.0] * 3)
                play.says("U" if turn & 32 else "C", octets)
            play.judge()
            play.leaves()
        assert not [line for line in logs if line["event"] == "internal error"], logs
        assert not play.stage.clock.getDelayedCalls() and play.stage.relay.rules.spool.used == 0

    return target


TARGETS = {"smtp_relay": _relay("smtp"), "lmtp_relay": _relay("lmtp")}
