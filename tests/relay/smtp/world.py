"""One session between a client and a server that both keep account, and the octets between."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailweir.session import Leg
from mailweir.testing.play import TLS, Stage, shown
from relay.smtp import law
from relay.smtp.account import Account, Asked, Mail
from relay.smtp.peers import Cut, Offer, Pipe, Server
from relay.smtp.whims import Whims


class World:
    """`number` is the client's, and stands in every address that it uses.

    `client` is its account; `servers` are the connections to upstream that were made for it, `server` the
    last, which answers by itself as long as it is `obliging`: not at the verb `balks_at`. `logged` is what all sessions have logged. `story` are the rows of what happened, to be played again by `mailweir.testing.play`.
    """

    def __init__(
        self, number: int, stage: Stage, whims: Whims, offer: Offer, logged: Sequence[Mapping[str, Any]]
    ) -> None:
        self.number = number
        self.stage = stage
        self.whims = whims
        self.offer = offer
        self.logged = logged
        self.each = stage.session.protocol == "lmtp"
        self.upstream_each = (stage.relay.rules.smtp.upstream_protocol or stage.session.protocol) == "lmtp"
        self.traces = stage.relay.rules.smtp.trace == "received"
        self.client = Account(each=self.each, lax=stage.relay.rules.smtp.bare_newline != "reject")
        self.pipe = Pipe()
        self.servers: list[Server] = []
        self.sent: dict[int, Asked | None] = {}
        self.story: list[str] = []
        self.dropped: set[Asked] = set()
        self.obliging = True
        self.balks_at = ""
        self.failed = False
        stage.session.id = f"s{number}"
        self.last = 0
        self._side: object = None
        self.ends_at_leave = 0
        stage.begin()
        self.settle()

    @property
    def server(self) -> Server | None:
        return self.servers[-1] if self.servers else None

    @property
    def over(self) -> bool:
        """Both legs have ended."""
        return self.pipe.told and all(server.pipe.told for server in self.servers)

    @property
    def spliced(self) -> bool:
        return bool(self.stage.relay.spliced)

    # What the peers do.

    def says(self, octets: bytes, cut: Cut = "whole") -> None:
        """The client sends this."""
        if self.pipe.end is None:
            self.pipe.put(octets, cut)
        self.settle()

    def answers(self, code: int = 0, text: str = "", cut: Cut = "whole") -> None:
        """The server answers the oldest command, as a strict one would if no code is given."""
        server = self.server
        if server is not None and server.account.open and server.pipe.end is None:
            asked = server.account.open[0]
            if asked is server.account.due or code >= 400:
                honest = server.honest(asked)
                server.pipe.put(server.answer(code or honest[0], text or honest[1]), cut)
        self.settle()

    def blurts(self, octets: bytes) -> None:
        """The server says a reply that may be one too many, or what is none, or half of one."""
        server = self.server
        if server is not None and server.pipe.end is None:
            whole = octets[:3].isdigit() and octets[3:4] == b" " and octets.count(b"\n") == 1
            if not whole:
                server.pipe.put(octets)
            elif server.account.open or not self.stage.upstream.paused:  # else it may meet a later command
                server.pipe.put(server.say(int(octets[:3]), octets[4:-2].decode()))
        self.settle()

    def leaves(self, leg: Leg, reason: str) -> None:
        """A peer ends its connection, behind all that it has said."""
        pipes = [self.pipe] if leg == "client" else [server.pipe for server in self.servers[-1:]]
        for pipe in pipes:
            pipe.end = reason if pipe.end is None else pipe.end
        self.settle()

    def fills(self, leg: Leg) -> None:
        """A peer takes no more, so the other is not read."""
        self._of(leg).full = True
        self._of("upstream" if leg == "client" else "client").pause(f"{leg} full")

    def drains(self, leg: Leg) -> None:
        if self._of(leg).full:
            self._of(leg).full = False
            self._of("upstream" if leg == "client" else "client").resume(f"{leg} full")
            if self._of(leg).state == "open":
                (self.stage.relay.client_drained if leg == "client" else self.stage.relay.upstream_drained)()
        self.settle()

    def _of(self, leg: Leg) -> Any:
        return self.stage.client if leg == "client" else self.stage.upstream

    # How octets flow.

    def settle(self) -> None:
        """Let everything flow that can, and look whether all is well; `AssertionError` with the story if not."""
        try:
            while self._flow():
                self._listen()
            self._listen()
            if self.client.mail is not None and self.has_lost:
                self.client.mail.lost = True
            law.check(self)
        except AssertionError as error:
            self.failed = True
            raise AssertionError("\n".join([*self.story, "", str(error)])) from None

    def _flow(self) -> bool:
        stage, relay = self.stage, self.stage.relay
        self._listen()
        if stage.client.secured and not self.client.open:
            stage.client.secured = 0
            self.client.secured()
            relay.client_secured(TLS)
            return True
        moved = not stage.client.secured and self.pipe.flow(stage.client, self._from_client)
        self._listen()
        server = self.server
        if server is not None:
            moved = server.pipe.flow(stage.upstream, self._from_server) or moved
            account = server.account
            if account.due is not None and account.due.verb == self.balks_at:
                self.obliging, self.balks_at = False, ""
            obliges = self.obliging and server.pipe.end is None and stage.upstream.state == "open"
            if obliges and account.due is not None and not self.spliced:
                server.pipe.put(server.answer(*server.honest(account.due)))
                moved = True
        return self._part() or moved

    def _from_server(self, octets: bytes) -> None:
        self._tell("U> ", octets)
        self.stage.relay.upstream_octets(octets)
        self._listen()

    def _from_client(self, octets: bytes) -> None:
        self._tell("C> ", octets)
        self.client.said(octets)
        self.stage.relay.client_octets(octets)
        self._listen()

    def _tell(self, who: str, octets: bytes) -> None:
        if self.story and self.story[-1].startswith(who) and self.story[-1].endswith("\\"):
            self.story[-1] = self.story[-1][:-1] + shown(octets)
        elif octets:
            self.story.append(who + shown(octets)[:400])

    def _part(self) -> bool:
        """Tell the relay of an end, once: the peer's own behind its octets, or that ours was done."""
        stage, relay = self.stage, self.stage.relay
        server = self.server
        if server is not None and not server.pipe.told and self._over(server.pipe, stage.upstream.state):
            server.pipe.told = True
            self.story.append(f"U! {server.pipe.end or 'gone'}")
            relay.upstream_gone(server.pipe.end or "")
            return True
        if not self.pipe.told and self._over(self.pipe, stage.client.state):
            if self.pipe.end == "" and stage.client.state == "open" and relay.owes_answer():
                return False
            self.pipe.told = True
            self.story.append(f"C! {self.pipe.end or 'gone'}")
            self.ends_at_leave = self.ends
            relay.client_gone(self.pipe.end or "")
            return True
        return False

    def _over(self, pipe: Pipe, state: str) -> bool:
        return state != "open" or (pipe.end is not None and not pipe.pieces)

    def _listen(self) -> None:
        """Take in what the relay has said."""
        stage = self.stage
        if stage.dialled and stage.upstream is not self._side and not stage.unreachable:
            self._side = stage.upstream
            first = self.server.number if self.server else 1000 * self.number
            self.servers.append(Server(first, self.offer, each=self.upstream_each))
        up, stage.upstream.heard = stage.upstream.heard, b""
        self._tell("U< ", up)
        if up and self.server is not None and not self.spliced:
            self.server.hear(up)
            self.sent.update(self.server.sent)
        down, stage.client.heard = stage.client.heard, b""
        self._tell("C< ", down)
        if down and not self.spliced:
            if self.server is not None:
                self.sent.update(self.server.sent)
            for asked, raw in self.client.replied(down):
                law.heard(self, asked, raw)

    # What is known of messages.

    def kept(self, mail: Mail) -> list[Asked]:
        """The client's recipients who shall get it."""
        removed = self.whims.edits.removed.get(mail.sender, set())
        return [
            one for at, one in enumerate(mail.recipients) if one not in self.dropped and at not in removed
        ]

    def has_dropped(self, mail: Mail) -> bool:
        """A plugin wanted the message, or one of its recipients, to vanish."""
        return mail.sender in self.whims.discarded or self.kept(mail) != mail.recipients

    @property
    def has_lost(self) -> bool:
        """There is no upstream now."""
        server = self.server
        return server is None or server.pipe.told or self.stage.upstream.state != "open"

    @property
    def ends(self) -> int:
        """How many texts upstream has seen the end of."""
        asked = [one for server in self.servers for one in server.account.asked]
        return sum(one.ends and one.complete for one in asked)

    @property
    def texts(self) -> list[Mail]:
        """All messages that upstream has the whole text of."""
        return [mail for server in self.servers for mail in server.account.mails]

    @property
    def quiet(self) -> bool:
        """Nothing is under way that somebody else must end."""
        server, stage = self.server, self.stage
        return (
            server is not None
            and not server.account.open
            and server.pipe.empty
            and server.pipe.end is None
            and self.pipe.end is None
            and not self.pipe.pieces
            and not self.whims.thinking
            and stage.client.state == stage.upstream.state == "open"
            and not stage.client.full
            and not stage.upstream.full
            and not stage.client.secured
        )

    def finish(self) -> None:
        """Both peers leave: nothing is left behind, and every message's fate was told once."""
        self.drains("client")
        self.drains("upstream")
        stage = self.stage
        for pipe in (self.pipe, *(server.pipe for server in self.servers[-1:])):
            pipe.pieces.clear()
            pipe.end = "reset"
        self.settle()
        assert self.whims.closed.count(stage.session.id) == 1
        fates = [
            self.whims.done.get(f"{stage.session.id}.{n + 1}", []) for n in range(stage.session.transactions)
        ]
        assert all(len(fate) == 1 for fate in fates), fates
