"""Whatever goes wrong, wherever: what is then said to the client, what upstream has got, and what is counted.

The whole product of faults, moments, chains, protocols and manners. In a table `421.` means that the client
hears a 421 and then its connection ends, `451+` that it hears a 451 and may then send its message by the same
session; `451*` is one 451 for each reply that is still due, which in LMTP are as many as recipients (RFC 2033
4.2). Only where answers come twice, of equal ones in a row one is written down.
"""

import itertools
from typing import Any, Literal, NamedTuple

import pytest
from structlog.testing import capture_logs

from mailweir.chain.chain import Plug
from mailweir.hookspecs import hookimpl
from mailweir.metrics import UPSTREAM_LOST
from mailweir.relay.rules import Rules
from mailweir.session import Address, Transaction
from mailweir.testing.play import Stage
from relay.smtp.acting import UNSTUFFED, Client, Deed, Server, Step, again, groups, login, mail

WAITS = {"DATA": 120, "end": 600, "between": 600, "LAST": 600, "text": 180, "chunk": 180}
"""Seconds that upstream may take at a moment (RFC 5321 4.5.3.2); 300 at all others."""


class Told:
    """Hears of every message's fate."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.outcomes.append(transaction.outcome)


class Head(Told):
    @hookimpl
    def message_head(self) -> None: ...


class Whole(Told):
    @hookimpl
    def message(self) -> None: ...


PROTOCOLS: tuple[Literal["smtp", "lmtp"], ...] = ("smtp", "lmtp")
CHAINS: dict[str, type[Told]] = {"none": Told, "head": Head, "whole": Whole}
MANNERS = ("one by one", "in groups", "in groups that upstream can't take")


class Setting(NamedTuple):
    """One way in which the same fault is met."""

    protocol: Literal["smtp", "lmtp"]
    chain: str
    manner: str


SETTINGS = [Setting(*words) for words in itertools.product(PROTOCOLS, CHAINS, MANNERS)]


# What upstream does in place of its answer.


def close(server: Server, due: bytes) -> int:
    server.leave()
    return 0


def reset(server: Server, due: bytes) -> int:
    server.leave("reset")
    return 0


def hang(server: Server, due: bytes) -> int:
    """Not a word more. A little before the time is up nothing has happened."""
    server.silent = True
    clock, client = server.stage.clock, server.stage.client
    borne = WAITS.get(server.moment, 300)
    clock.pump([10.0] * (borne // 10 - 1))
    assert not client.heard and client.state == server.side.state == "open", "too early"
    clock.pump([10.0] * 4)
    assert server.side.state == "aborted", "too late"
    return 0


def dismiss(server: Server, due: bytes) -> int:
    server.silent = True
    server.say(b"421 4.3.2 going down\r\n")
    return 0


def babble(server: Server, due: bytes) -> int:
    server.silent = True
    server.say(b"\x16\x03\x01 \xff\0\r\n")
    return 0


def half_a_line(server: Server, due: bytes) -> int:
    server.say(due[:2] or b"25")
    return close(server, due)


def half_a_reply(server: Server, due: bytes) -> int:
    server.say((due[:3] or b"250") + b"-first\r\n")
    return close(server, due)


def half_a_line_and_hang(server: Server, due: bytes) -> int:
    server.say(due[:2] or b"25")
    return hang(server, due)


def endless(server: Server, due: bytes) -> int:
    server.silent = True
    for _ in range(100):
        server.say(((due[:3] or b"250") + b"-more\r\n") * 100)
    assert server.stage.upstream.state == "aborted", "a reply of ten thousand lines is borne"
    return 0


def more_is_wanted(server: Server, due: bytes) -> int:
    """3yz where none may be, or not this one (RFC 5321 4.2.1)."""
    server.silent = True
    server.say(b"334 go on\r\n" if due.startswith(b"354") else b"354 go on\r\n")
    return 0


def twice(server: Server, due: bytes) -> int:
    server.say((due or b"250 ok\r\n") * 2)
    return 2


GONE: dict[str, tuple[Deed, str]] = {  # and why the session ended, if it did
    "closes": (close, "upstream closed"),
    "resets": (reset, "reset"),
    "says half a line and closes": (half_a_line, "upstream closed"),
    "says half a reply and closes": (half_a_reply, "upstream closed"),
}
CUT: dict[str, tuple[Deed, str]] = {  # it is we who end the connection
    "hangs": (hang, "upstream silent"),
    "says half a line and hangs": (half_a_line_and_hang, "upstream silent"),
    "says garbage": (babble, "upstream broke the rules: not a reply"),
    "never ends its reply": (endless, "upstream broke the rules: a reply without end"),
}
OTHERS: dict[str, tuple[Deed, str]] = {
    "says 421": (dismiss, "upstream said goodbye"),
    "says 3yz": (more_is_wanted, ""),
    "says it twice": (twice, ""),
}
FAULTS = {**GONE, **CUT, **OTHERS}


class Row(NamedTuple):
    """What the client hears if upstream is gone, whichever way, and if we had to cut it off; after a 421; and
    after a 3yz and two answers, where that isn't the same as `cut`.
    """

    gone: str = "421."
    cut: str = "421."
    dismissed: str = "421."
    more: str = ""
    twice: str = ""

    def hears(self, fault: str) -> str:
        if fault in GONE:
            return self.gone
        others = {"says 421": self.dismissed, "says 3yz": self.more, "says it twice": self.twice}
        return others.get(fault, "") or self.cut


LOGIN: dict[str, Row] = {
    "AUTH": Row(twice="334 421."),
    "response": Row(twice="334 421."),
}
MAIL: dict[str, Row] = {
    "greeting": Row(twice="220 421."),
    "EHLO": Row(twice="250 421."),
    "NOOP": Row("250+", twice="250 421."),
    "idle": Row("+"),
    "MAIL": Row("451+", twice="250 421."),
    "RSET": Row("250+", twice="250 421."),
    "RCPT": Row("451+", twice="250 421."),
    "in mail": Row("451+"),
    "DATA": Row("451+", twice="354 421."),
    "text": Row(),
    "end": Row("451*+", "451*.", "421 451*.", twice="250 421."),
    "between": Row("451+", "451.", twice="250 421."),
    "chunk": Row(twice="250 421."),
    "BDAT": Row("451+", twice="250 421."),
    "LAST": Row("451*+", "451*.", "421 451*.", twice="250 421."),
    "QUIT": Row("221.", "221."),
}
JUDGED: dict[tuple[str, str], Row] = {  # where a text is taken in first, and then offered
    ("DATA", "head"): Row(more="451*+"),
    ("DATA", "whole"): Row(more="451*+", twice="451*."),
    ("chunk", "whole"): Row(),
}
GROUPED: dict[tuple[str, str, str], Row] = {  # where the end of the message has gone up in the same group
    ("BDAT", "smtp", "none"): Row("451 451+", "451."),
}
ENDS = ("end", "between", "LAST")
"""Moments at which upstream has a whole message that it has not acknowledged."""
MAILLESS = ("greeting", "EHLO", "STARTTLS", "handshake", "NOOP", "idle", "RSET", "QUIT", *LOGIN)
"""Moments at which no message is under way."""
TLS: dict[str, Row] = {moment: Row() for moment in ("greeting", "EHLO", "STARTTLS")}
"""Where upstream must be brought to TLS before the client is greeted."""


class Play:
    """One session to its end, in which upstream or the client does something at one moment."""

    def __init__(self, setting: Setting, moment: str, deed: Deed, steps: list[Step], **rules: Any) -> None:
        protocol, chain, manner = setting
        self.told = CHAINS[chain]()
        known = Rules(**{"upstream": "server", "hostname": "weir.example", **rules})
        self.stage = Stage(protocol, [Plug("told", self.told)], known, client=Address("127.0.0.1", 40000))
        offer = ["AUTH LOGIN", "CHUNKING", "ENHANCEDSTATUSCODES", "STARTTLS"]
        if manner != "in groups that upstream can't take":
            offer.append("PIPELINING")
        self.server = Server(self.stage, offer, moment, self._strike)
        self.client = Client(self.stage, self.server)
        self.before = self.known = 0
        self.lost = -UPSTREAM_LOST.cell("server").value
        self._deed = deed
        self._steps = groups(steps, moment, hasty=manner != "one by one")

    def run(self) -> "Play":
        with capture_logs() as self.logs:
            self.stage.begin()
            self.server.greet()
            self.client.listen()
            if self.stage.client.state == "open":
                self.client.act(self._steps)
            self._ends()
        self.lost += UPSTREAM_LOST.cell("server").value
        return self

    def _ends(self) -> None:
        """Both connections end, as they do when we have closed them. Until then the client goes on."""
        if self.stage.client.state == "open":
            self.client.act([[step] for step in again(self.stage.session.protocol)])
        self.client.listen()
        self.stage.relay.client_gone("")
        if not self.server.gone:
            self.server.leave()

    def _strike(self, server: Server, due: bytes) -> int:
        self.client.hear()
        self.before = len(self.client.replies)
        self.known = len(self.told.outcomes)
        return self._deed(server, due)

    @property
    def heard(self) -> str:
        """The replies since the moment, as a table writes them."""
        codes = [reply.splitlines()[-1][:3].decode() for reply in self.client.replies[self.before :]]
        return " ".join(codes) + "."

    @property
    def accepted(self) -> int:
        """The messages that the client was told are."""
        return self.told.outcomes.count("accepted")

    @property
    def servers(self) -> list[Server]:
        """Both that there were."""
        return [server for server in (self.server, self.client.successor) if server is not None]

    def judge(self) -> None:
        """What holds after every fault."""
        stage, server = self.stage, self.server
        assert not [entry for entry in self.logs if entry["log_level"] == "error"]
        assert stage.session.closed and stage.session.transaction is None
        assert len(self.told.outcomes) == stage.session.transactions, "each message's fate is told once"
        assert stage.relay.rules.spool.used == 0
        assert all(text == UNSTUFFED for one in self.servers for text in one.texts), (
            "what is complete is whole"
        )
        began = server.began.replace(b"\r\n..", b"\r\n.")
        assert UNSTUFFED.startswith(began), "what isn't holds nothing else"
        assert not (server.half and began) or server.side.state == "aborted", "nor can be taken for complete"
        served = sum(one.served for one in self.servers)
        assert self.accepted <= served, "nobody is told of a 250 that upstream did not say"


def wanted(row: str, due: int) -> str:
    """A row of a table where so many replies are still due."""
    words = row[:-1].split()
    if row[-2:-1] == "*":
        words[-1:] = [words[-1][:-1]] * (due - len(words) + 1)
    return " ".join(words) + row[-1]


def once(heard: str) -> str:
    """Of equal replies in a row, one."""
    return " ".join(code for code, _ in itertools.groupby(heard[:-1].split())) + heard[-1]


UNASKED = {"idle", "in mail", "text"}
"""Moments at which we wait for nothing, but for what is said below."""


def exists(moment: str, fault: str, setting: Setting) -> bool:
    """There is such a moment in this setting, and for a fault that is a silence we wait for upstream then."""
    judged = setting.chain != "none"
    if moment == "between":
        return setting.protocol == "lmtp"
    if moment == "BDAT":
        return not judged  # a text that is judged goes up in one chunk
    if moment == "chunk" and (setting.chain == "head" or (not judged and setting.manner != "one by one")):
        return False  # all of it goes up at once
    if "hangs" not in fault:
        return True
    if moment == "chunk":
        return judged
    return moment not in UNASKED or (moment == "text" and setting.chain == "whole")


def check(play: Play, row: Row, fault: str, setting: Setting) -> None:
    moment, outcomes = play.server.moment, play.told.outcomes[play.known :]
    hears = wanted(row.hears(fault), 2 if setting.protocol == "lmtp" else 1)
    try:
        assert play.server.struck, "the moment never came"
        play.judge()
        if hears.endswith("+"):
            assert play.heard.startswith(hears[:-1]) and play.heard.endswith("221.")
            assert play.stage.session.closed == "client quit"
            assert play.client.successor is not None and play.client.successor.texts
        elif fault == "says it twice":
            # in a group the second can't be told from the answer to the next command
            assert once(play.heard) == once(hears) or setting.manner != "one by one"
        else:
            assert play.heard == hears
            assert (FAULTS[fault][1] or play.stage.session.closed) == play.stage.session.closed
        if fault in (*GONE, *CUT):
            assert play.lost == 1, "a lost upstream is counted once"
        if fault in (*GONE, *CUT) and moment not in MAILLESS:
            fate = "accepted" if moment == "between" else "deferred" if "451" in hears else "aborted"
            assert outcomes[0] == fate
        if fault != "says it twice":
            # in a group, LAST is up and unanswered where BDAT is the last that was answered
            lawful = "451" in hears or moment in ENDS or (moment == "BDAT" and setting.manner == "in groups")
            doubtful = sum(len(server.texts) for server in play.servers) - play.accepted
            assert doubtful <= lawful, "upstream has got what the client was told it has not"
    except AssertionError as error:
        raise AssertionError(f"{setting}: {error}") from None


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("moment", MAIL)
def test_upstream_fails(moment: str, fault: str) -> None:
    for setting in SETTINGS:
        if exists(moment, fault, setting):
            play = Play(setting, moment, FAULTS[fault][0], mail(setting.protocol)).run()
            row = JUDGED.get((moment, setting.chain), MAIL[moment])
            if setting.manner == "in groups":
                row = GROUPED.get((moment, setting.protocol, setting.chain), row)
            check(play, row, fault, setting)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("moment", LOGIN)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_upstream_fails_at_a_login(protocol: Literal["smtp", "lmtp"], moment: str, fault: str) -> None:
    setting = Setting(protocol, "none", "one by one")
    check(Play(setting, moment, FAULTS[fault][0], login(protocol)).run(), LOGIN[moment], fault, setting)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("moment", [moment for moment in MAIL if moment not in ("greeting", "EHLO")])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_upstream_fails_behind_a_login(protocol: Literal["smtp", "lmtp"], moment: str, fault: str) -> None:
    """No other connection can take its place."""
    setting = Setting(protocol, "none", "one by one")
    if exists(moment, fault, setting):
        steps = login(protocol)[:-1] + mail(protocol)[1:]
        play = Play(setting, moment, FAULTS[fault][0], steps).run()
        check(play, MAIL[moment]._replace(gone=MAIL[moment].cut), fault, setting)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("moment", TLS)
def test_upstream_fails_before_it_is_secured(moment: str, fault: str) -> None:
    setting = Setting("smtp", "none", "one by one")
    play = Play(setting, moment, FAULTS[fault][0], [], upstream_tls="starttls").run()
    check(play, TLS[moment], fault, setting)


@pytest.mark.parametrize("fault", ["closes", "resets", "hangs"])
def test_upstream_fails_in_the_handshake(fault: str) -> None:
    setting = Setting("smtp", "none", "one by one")
    play = Play(setting, "handshake", FAULTS[fault][0], [], upstream_tls="starttls").run()
    check(play, Row(), fault, setting)


# What the client does, when it has said something that upstream has not answered yet.


class Leaving(NamedTuple):
    """What becomes of upstream's side if the client closes or resets its connection at a moment.

    `half` is what a client hears that only closed its half; `texts`, how many messages upstream got whole.
    """

    upstream: Literal["QUIT", "closed", "aborted"]
    half: str
    texts: int = 0


LEAVING: dict[str, Leaving] = {
    "greeting": Leaving("closed", "."),
    "EHLO": Leaving("closed", "250."),
    "NOOP": Leaving("closed", "250."),
    "idle": Leaving("QUIT", "."),
    "MAIL": Leaving("closed", "250."),
    "RSET": Leaving("closed", "250."),
    "RCPT": Leaving("closed", "250."),
    "in mail": Leaving("QUIT", "."),
    "DATA": Leaving("closed", "354."),
    "text": Leaving("aborted", "."),
    "end": Leaving("closed", "250*.", 1),
    "between": Leaving("closed", "250.", 1),
    "chunk": Leaving("aborted", ".", 1),
    "BDAT": Leaving("closed", ".", 1),
    "LAST": Leaving("closed", "250*.", 2),
    "QUIT": Leaving("closed", "221.", 2),
    "AUTH": Leaving("closed", "334."),
    "response": Leaving("closed", "334."),
}
LEAVING_JUDGED: dict[str, Leaving] = {  # where it is we who answer
    "DATA": Leaving("aborted", "."),
    "BDAT": Leaving("QUIT", ".", 1),
}
UNSENT = Leaving("aborted", ".")
"""Where all of the text is here, and upstream has not answered our DATA: it must not be sent any more."""


class Walk(Play):
    """The client leaves when it has said what bears the moment's name."""

    def __init__(self, setting: Setting, moment: str, steps: list[Step], how: str, last: str = "") -> None:
        names = [step.name for step in steps]
        last = last or {"between": "end"}.get(moment, moment)
        said = steps[: names.index(last) + 1] if last in names else []
        super().__init__(setting, moment, withhold, said)
        self._how = how

    def _ends(self) -> None:
        relay, server = self.stage.relay, self.server
        if not server.struck:
            self.before = len(self.client.replies)
        if self._how == "half-closes" and relay.owes_answer():
            server.speak_on()
            self.client.listen()
            assert not relay.owes_answer() or self.stage.client.state != "open"
        relay.client_gone("reset" if self._how == "resets" else "")
        server.act()
        relay.upstream_gone("")


def withhold(server: Server, due: bytes) -> int:
    server.silent = True
    server.withheld = due
    return 0


def walk(setting: Setting, moment: str, how: str, row: Leaving, last: str = "") -> None:
    """Let the client leave, and compare."""
    steps = login(setting.protocol) if moment in ("AUTH", "response") else mail(setting.protocol)
    play = Walk(setting, moment, steps, how, last).run()
    side, quits = play.stage.upstream, play.server.commands.count("QUIT")
    ended = "QUIT" if quits and moment != "QUIT" else side.state
    try:
        play.judge()
        assert len(play.server.texts) == row.texts
        if how == "half-closes":
            assert play.heard == wanted(row.half, 2 if setting.protocol == "lmtp" else 1)
        else:
            assert ended == row.upstream
            assert play.stage.session.closed == ("reset" if how == "resets" else "client closed")
        if ended == "aborted":
            assert not quits, "in a text it is no command"
    except AssertionError as error:
        raise AssertionError(f"{setting}: {error}") from None


@pytest.mark.parametrize("how", ["closes", "resets", "half-closes"])
@pytest.mark.parametrize("moment", LEAVING)
def test_client_leaves(moment: str, how: str) -> None:
    for setting in SETTINGS:
        if moment == "between" and setting.protocol == "smtp":
            continue
        row = LEAVING[moment]
        if setting.chain != "none":
            row = LEAVING_JUDGED.get(moment, row)
        walk(setting, moment, how, row)


@pytest.mark.parametrize("how", ["closes", "resets", "half-closes"])
@pytest.mark.parametrize("chain", ["head", "whole"])
def test_client_leaves_before_its_text_has_left(chain: str, how: str) -> None:
    for setting in SETTINGS:
        if setting.chain == chain:
            walk(setting, "DATA", how, UNSENT, last="end")
