"""Messages out of a mailbox: streamed, judged by their header, judged as a whole, and TOP."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailweir import metrics
from mailweir.chain.chain import Plug
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.relay.pop3.retr import _first_lines
from mailweir.relay.rules import Rules
from mailweir.session import Address, Transaction
from mailweir.spool import Spool
from mailweir.testing.play import Stage
from mailweir.verdict import Close, Defer, Discard, Quarantine, Reject, Verdict
from mailweir.wire.dots import stuff

Make = Callable[..., Stage]

MAIL = "From: a@example.org|Subject: hi||..stuffed|two|.."
PLAIN = b"From: a@example.org\r\nSubject: hi\r\n\r\n.stuffed\r\ntwo\r\n.\r\n"


class Done:
    """Remembers what became of messages."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, int, str]] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append((transaction.stage, transaction.outcome, transaction.size, transaction.reply))


class Heads(Done):
    """Looks at headers."""

    def __init__(self, verdict: Any = None) -> None:
        super().__init__()
        self.verdict = verdict
        self.seen: list[bytes] = []

    @hookimpl
    def message_head(self, message: Message) -> Any:
        assert message.stage == "retr"
        self.seen.append(message.headers.original)
        message.headers.add("X-Seen", "yes")
        return self.verdict


class Wholes(Done):
    """Looks at whole messages."""

    def __init__(self, verdict: Any = None) -> None:
        super().__init__()
        self.verdict = verdict
        self.seen: list[bytes] = []

    @hookimpl
    def message(self, message: Message) -> Any:
        assert message.stage == "retr" and message.whole
        self.seen.append(message.headers.original + b"".join(message.body()))
        message.headers.add("X-Seen", "yes")
        return self.verdict


LOOKERS: list[type[Any]] = [Done, Heads, Wholes]


@pytest.mark.parametrize("looker", LOOKERS)
def test_a_message_leaves_as_it_came(pop3: Make, looker: type[Any]) -> None:
    plugin = looker()
    stage = pop3(plugin, logged_in=True).play(f"""
        C> RETR 1
        U< RETR 1
        U> +OK {len(PLAIN)} octets|{MAIL}|.
        C< +OK {len(PLAIN)} octets|{MAIL}|.
        C> NOOP
        U< NOOP
        U> +OK
        C< +OK
    """)
    assert plugin.done == [("retr", "accepted", len(PLAIN), f"+OK {len(PLAIN)} octets")]
    assert stage.relay.rules.spool.used == 0


@pytest.mark.parametrize("looker", LOOKERS)
def test_octet_by_octet(pop3: Make, looker: type[Any]) -> None:
    plugin = looker()
    stage = pop3(plugin, logged_in=True).play("C> RETR 1\nU< RETR 1")
    for octet in f"+OK|{MAIL}|.|".replace("|", "\r\n").encode():
        stage.say("upstream", bytes([octet]))
    stage.play(f"C< +OK|{MAIL}|.")
    assert plugin.done == [("retr", "accepted", len(PLAIN), "+OK")]


def test_what_plugins_see_is_not_stuffed(pop3: Make) -> None:
    heads, wholes = Heads(), Wholes()
    pop3(heads, wholes, logged_in=True).play(f"""
        C> RETR 1
        U< RETR 1
        U> +OK|{MAIL}|.
        C< +OK|{MAIL}|.
    """)
    assert heads.seen == [PLAIN[:36]] and wholes.seen == [PLAIN]


@pytest.mark.parametrize("looker", LOOKERS)
def test_no_such_message(pop3: Make, looker: type[Any]) -> None:
    plugin = looker()
    stage = pop3(plugin, logged_in=True).play("""
        C> RETR 9
        U< RETR 9
        U> -ERR no such message
        C< -ERR no such message
    """)
    assert plugin.done == [("retr", "rejected", 0, "-ERR no such message")]
    assert stage.relay.rules.spool.used == 0


@pytest.mark.parametrize("looker", LOOKERS)
@pytest.mark.parametrize("code", ["SYS/TEMP", "sys/temp", "IN-USE"])
def test_not_now(pop3: Make, looker: type[Any], code: str) -> None:
    plugin = looker()
    pop3(plugin, logged_in=True).play(f"""
        C> RETR 1
        U< RETR 1
        U> -ERR [{code}] try later
        C< -ERR [{code}] try later
    """)
    assert plugin.done == [("retr", "deferred", 0, f"-ERR [{code}] try later")]


@pytest.mark.parametrize("code", ["SYS/PERM", "AUTH", "IN-USELESS"])
def test_not_ever(pop3: Make, code: str) -> None:
    plugin = Done()
    pop3(plugin, logged_in=True).play(f"C> RETR 1\nU< RETR 1\nU> -ERR [{code}] no\nC< -ERR [{code}] no")
    assert plugin.done[0][1] == "rejected"


@pytest.mark.parametrize("looker", LOOKERS)
def test_an_empty_message(pop3: Make, looker: type[Any]) -> None:
    pop3(looker(), logged_in=True).play("""
        C> RETR 1
        U< RETR 1
        U> +OK|.
        C< +OK|.
    """)


@pytest.mark.parametrize("looker", [Heads, Wholes])
@pytest.mark.parametrize(
    ("verdict", "words", "outcome"),
    [
        (Reject("a virus"), "-ERR a virus", "rejected"),
        (Defer("scanner busy"), "-ERR [SYS/TEMP] scanner busy", "deferred"),
        (Quarantine(), "-ERR [SYS/TEMP] try again later", "deferred"),
        (Discard(), "-ERR refused", "rejected"),
    ],
)
def test_refused_before_the_first_octet(
    pop3: Make, looker: type[Any], verdict: Verdict, words: str, outcome: str
) -> None:
    plugin = looker(verdict)
    stage = pop3(plugin, logged_in=True).play(f"""
        C> RETR 1
        U< RETR 1
        U> +OK|{MAIL}|.
        C< {words}
        C> NOOP
        U< NOOP
        U> +OK
        C< +OK
    """)
    assert plugin.done == [("retr", outcome, len(PLAIN), words)]
    assert stage.relay.rules.spool.used == 0


def test_the_rest_of_a_refused_message_is_swallowed(pop3: Make) -> None:
    pop3(Heads(Reject("no")), logged_in=True).play("""
        C> RETR 1|NOOP
        U< RETR 1
        U> +OK|A: b||body
        C< -ERR no
        U> more
        U> +OK|.
        U< NOOP
        U> +OK
        C< +OK
    """)


@pytest.mark.parametrize("looker", [Heads, Wholes])
def test_close_at_a_message(pop3: Make, looker: type[Any]) -> None:
    pop3(looker(Close("enough")), logged_in=True).play(f"""
        C> RETR 1
        U< RETR 1
        U> +OK|{MAIL}|.
        C< -ERR enough
        C. closed
        U. closed
    """)


def test_the_body_streams_once_the_header_passed(pop3: Make) -> None:
    pop3(Heads(), logged_in=True).play(r"""
        C> RETR 1
        U< RETR 1
        U> +OK|A: b
        U> |on
        C< +OK|A: b||on\
        U> e
        C< |e\
        U> |..|.
        C< ||..|.
    """)


@pytest.mark.parametrize("looker", [Heads, Wholes])
def test_a_plugin_that_thinks(pop3: Make, looker: type[Any]) -> None:
    thinking: Deferred[Verdict | None] = Deferred()
    stage = pop3(looker(thinking), logged_in=True)
    stage.play(f"""
        C> RETR 1
        U< RETR 1
        U> +OK|{MAIL}|.
    """)
    assert stage.upstream.paused
    thinking.callback(None)
    stage.play(f"C< +OK|{MAIL}|.\nC> NOOP\nU< NOOP\nU> +OK\nC< +OK")
    assert not stage.upstream.paused


def test_one_judged_message_at_a_time(pop3: Make) -> None:
    pop3(Heads(), logged_in=True, pipelining=True).play("""
        C> STAT|RETR 1|TOP 2 0|NOOP
        U< STAT|RETR 1
        U> +OK 2 9|+OK|a|.
        C< +OK 2 9|+OK|a|.
        U< RETR 2
        U> +OK|b|.
        C< +OK|b|.
        U< NOOP
        U> +OK
        C< +OK
    """)


def test_a_client_that_takes_little_at_a_time(pop3: Make) -> None:
    stage = pop3(Wholes(), logged_in=True)
    body = b"x" * 998 + b"\r\n"
    stage.play("C> RETR 1|NOOP\nU< RETR 1\nU> +OK|A: b|")
    for _ in range(300):
        stage.say("upstream", body)
    stage.client.full = True
    stage.say("upstream", b".\r\n")
    heard, turns = b"", 0
    while stage.client.heard:
        assert len(stage.client.heard) < 140_000 and stage.upstream.paused
        heard, stage.client.heard = heard + stage.client.heard, b""
        turns += 1
        stage.relay.client_drained()
    assert heard == b"+OK\r\nA: b\r\n\r\n" + body * 300 + b".\r\n" and turns >= 4
    stage.play("U< NOOP\nU> +OK\nC< +OK")


def test_a_full_spool_refuses(pop3: Make) -> None:
    stage = pop3(Wholes(), logged_in=True, spool=Spool(total=20)).play(f"""
        C> RETR 1
        U< RETR 1
        U> +OK|{MAIL}|.
        C< -ERR [SYS/TEMP] insufficient storage
        C> NOOP
        U< NOOP
        U> +OK
        C< +OK
    """)
    assert stage.relay.rules.spool.used == 0


@pytest.mark.parametrize("looker", [Heads, Wholes])
def test_upstream_lost_before_anything_was_said(pop3: Make, looker: type[Any]) -> None:
    plugin = looker()
    stage = pop3(plugin, logged_in=True).play("""
        C> RETR 1
        U< RETR 1
        U> +OK|A: b
        U! reset
        C< -ERR [SYS/TEMP] upstream server lost, try again later
        C. closed
        C! gone
    """)
    assert plugin.done == [("retr", "aborted", 4, "")]
    assert stage.relay.rules.spool.used == 0


def test_upstream_lost_while_a_judged_message_streams(pop3: Make) -> None:
    plugin = Heads()
    pop3(plugin, logged_in=True).play(r"""
        C> RETR 1
        U< RETR 1
        U> +OK|A: b||one
        C< +OK|A: b||one\
        U! reset
        C. aborted
        C! gone
    """)
    assert plugin.done[0][:2] == ("retr", "aborted")


def test_upstream_lost_behind_a_refusal(pop3: Make) -> None:
    pop3(Heads(Reject("no")), logged_in=True).play("""
        C> RETR 1
        U< RETR 1
        U> +OK|A: b||one
        C< -ERR no
        U! reset
        C. closed
    """)


def test_a_client_that_leaves_gives_its_room_back(pop3: Make) -> None:
    thinking: Deferred[Verdict | None] = Deferred()
    plugin = Wholes(thinking)
    stage = pop3(plugin, logged_in=True).play(f"""
        C> RETR 1
        U< RETR 1
        U> +OK|{MAIL}|.
        C! gone
        U. closed
        U! gone
    """)
    assert stage.relay.rules.spool.used == 0
    assert plugin.done == [("retr", "aborted", len(PLAIN), "")]


def test_pipelined_messages_are_counted_one_by_one(pop3: Make) -> None:
    accepted = metrics.MESSAGES.cell("test", "pop3", "retr", "accepted")
    before = accepted.value
    plugin = Done()
    stage = pop3(plugin, logged_in=True, pipelining=True).play("""
        C> RETR 1|RETR 2
        U< RETR 1|RETR 2
        U> +OK 1|a|.|+OK 2|..b|.
        C< +OK 1|a|.|+OK 2|..b|.
    """)
    assert plugin.done == [("retr", "accepted", 3, "+OK 1"), ("retr", "accepted", 4, "+OK 2")]
    assert accepted.value == before + 2 and stage.session.transactions == 2


# TOP.


def test_top_streams_where_nobody_looks(pop3: Make) -> None:
    plugin = Done()
    pop3(plugin, logged_in=True).play("""
        C> TOP 1 0
        U< TOP 1 0
        U> +OK|A: b||.
        C< +OK|A: b||.
    """)
    assert plugin.done == []


@pytest.mark.parametrize("looker", [Heads, Wholes])
@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (0, "A: b|"),
        (1, "A: b||..one"),
        (2, "A: b||..one|two"),
        (3, "A: b||..one|two|"),
        (4, "A: b||..one|two||.."),
        (999999999, "A: b||..one|two||.."),
    ],
)
def test_top_is_cut_out_of_a_judged_message(pop3: Make, looker: type[Any], lines: int, text: str) -> None:
    plugin = looker()
    pop3(plugin, logged_in=True).play(f"""
        C> top 1 {lines}
        U< RETR 1
        U> +OK 27 octets|A: b||..one|two||..|.
        C< +OK|{text}|.
    """)
    assert plugin.seen[0].startswith(b"A: b\r\n\r\n")


@pytest.mark.parametrize("looker", [Heads, Wholes])
def test_top_is_no_way_round_a_refusal(pop3: Make, looker: type[Any]) -> None:
    pop3(looker(Reject("a virus")), logged_in=True).play(f"""
        C> TOP 1 9999
        U< RETR 1
        U> +OK|{MAIL}|.
        C< -ERR a virus
    """)


@pytest.mark.parametrize("arguments", ["", " 1", " 1 x", " x 1", " 1 2 3", " 1 9999999999999", " 1 -1"])
def test_top_that_cant_be_judged_stays_here(pop3: Make, arguments: str) -> None:
    pop3(Wholes(), logged_in=True).play(f"""
        C> TOP{arguments}
        C< -ERR syntax error in arguments
    """)


def test_top_of_no_such_message(pop3: Make) -> None:
    pop3(Wholes(), logged_in=True).play("""
        C> TOP 9 0
        U< RETR 9
        U> -ERR no such message
        C< -ERR no such message
    """)


@given(st.lists(st.text("a\r\n", min_size=1).map(str.encode)), st.integers(0, 9))
def test_first_lines(pieces: list[bytes], lines: int) -> None:
    whole = b"".join(pieces)
    wanted = b"".join(line + b"\n" for line in whole.split(b"\n")[:lines])
    assert b"".join(_first_lines(iter(pieces), lines)) == wanted[: len(whole)]


@given(st.lists(st.text("\r\n.:a").map(str.encode)), st.integers(1, 9), st.sampled_from(LOOKERS))
def test_any_message_leaves_as_it_came(parts: list[bytes], size: int, looker: type[Any]) -> None:
    text = stuff(b"".join(parts) + b"\r\n", at_line_start=True) + b".\r\n"
    stage = Stage(
        "pop3",
        [Plug("plug", looker())],
        Rules(upstream="server", spool=Spool(memory=8)),
        client=Address("127.0.0.1", 1),
    )
    stage.play("U> +OK\nC< +OK\nC> RETR 1\nU< RETR 1")
    wire = b"+OK here\r\n" + text + b"+OK next\r\n"
    stage.say("client", b"NOOP\r\n")
    for at in range(0, len(wire) - 10, size):
        stage.say("upstream", wire[at : min(at + size, len(wire) - 10)])
    assert stage.client.heard == wire[:-10]
    assert stage.upstream.heard == b"NOOP\r\n"
    stage.say("upstream", wire[-10:])
    assert stage.client.heard == wire
    assert stage.relay.rules.spool.used == 0
