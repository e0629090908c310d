"""One message through the chain: when it is judged, what is held, what is given back."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailweir import Defer, Message, Reject, hookimpl
from mailweir.chain.plug import Mode, Plug
from mailweir.relay.carry import HEAD, TURN, Carrier, Pump, Way, way
from mailweir.relay.rules import Rules
from mailweir.spool import Spool
from mailweir.testing.play import Stage
from mailweir.testing.sides import HeardSide
from mailweir.verdict import Decision, Verdict

TEXT = b"From: a@example.org\r\nSubject: hi\r\n\r\nbody\r\n"


def plug(**hooks: object) -> Plug:
    return Plug("p", SimpleNamespace(**{name: hookimpl(hook) for name, hook in hooks.items()}))  # type: ignore[call-overload]


class Carried:
    """A message that is being carried, with what was decided."""

    def __init__(self, how: Way, *plugs: Plug, rules: Rules | None = None) -> None:
        self.stage = Stage("pop3", plugs, rules)
        self.relay = self.stage.relay
        self.spool = self.relay.rules.spool
        self.decisions: list[Decision | None] = []
        self.transaction = self.relay.session.begin("smtp", 0.0)
        self.carrier = Carrier(self.relay, self.transaction, how, self.decisions.append)

    def feed(self, *pieces: bytes) -> "Carried":
        for piece in pieces:
            self.carrier.feed(piece)
        return self

    def leaving(self) -> bytes:
        assert self.carrier.message is not None
        return b"".join(self.carrier.message.pieces())


def looks(message: Message) -> None:
    assert message.headers.get("subject") == "hi"


@pytest.mark.parametrize(
    ("hook", "needed"), [("message_head", Way.HEAD), ("message", Way.WHOLE), ("sign", Way.WHOLE)]
)
def test_way_follows_what_is_listened_to(hook: str, needed: Way) -> None:
    assert way(Stage("pop3").chain) is Way.PASS
    assert way(Stage("pop3", [plug(**{hook: lambda message: None})]).chain) is needed


def judges(hook: Callable[..., object], mode: Mode = "enforce") -> Plug:
    """A plugin that says of itself that it only judges whole messages."""
    return Plug("p", SimpleNamespace(message=hookimpl(edits=False)(hook)), mode)


def test_an_end_is_withheld_if_all_only_judge_and_the_text_can_be_called_back() -> None:
    def needed(*plugs: Plug) -> list[Way]:
        chain = Stage("smtp", plugs).chain
        return [way(chain, withheld=True), way(chain)]

    one, edits = judges(lambda message: None), plug(message=looks)
    assert needed() == [Way.PASS, Way.PASS]
    assert needed(one, judges(lambda message: None)) == [Way.END, Way.WHOLE]
    assert needed(one, edits) == [Way.WHOLE, Way.WHOLE]
    assert needed(one, plug(sign=looks)) == [Way.WHOLE, Way.WHOLE]
    assert needed(one, plug(message_head=looks)) == [Way.END, Way.WHOLE]
    edits.mode = "shadow"
    assert needed(one, edits) == [Way.END, Way.WHOLE]


def test_a_text_may_leave_once_its_head_was_judged() -> None:
    thinking: Deferred[None] = Deferred()
    carried = Carried(
        Way.END, plug(message_head=lambda message: thinking), judges(lambda message: looks(message))
    ).feed(TEXT[:-2])
    assert not carried.carrier.leaves
    thinking.callback(None)
    assert carried.carrier.leaves and carried.leaving() == TEXT[:-2]
    carried.feed(TEXT[-2:]).carrier.end()
    assert carried.decisions == [None] and carried.leaving() == TEXT


def test_head_is_judged_before_the_body_is_here() -> None:
    carried = Carried(Way.HEAD, plug(message_head=looks)).feed(TEXT[:20])
    assert carried.decisions == []
    carried.feed(TEXT[20:-6])
    assert carried.decisions == [None]
    carried.feed(TEXT[-6:])
    assert carried.leaving() == TEXT


@pytest.mark.parametrize("how", [Way.HEAD, Way.WHOLE])
def test_who_made_the_message_sees_it_before_anybody_is_asked(how: Way) -> None:
    def looked_at(message: Message) -> None:
        assert message.headers.get_all("x-first") == ["yes"]

    stage = Stage("pop3", [plug(message_head=looked_at, message=looked_at)])
    decisions: list[Decision | None] = []
    carrier = Carrier(
        stage.relay,
        stage.session.begin("smtp", 0.0),
        how,
        decisions.append,
        made=lambda message: message.headers.add("X-First", "yes"),
    )
    carrier.feed(TEXT)
    carrier.end()
    assert decisions == [None] and carrier.message is not None
    assert b"".join(carrier.message.pieces()) == b"X-First: yes\r\n" + TEXT


def test_whole_is_judged_at_the_end() -> None:
    carried = Carried(Way.WHOLE, plug(message=looks)).feed(TEXT)
    assert carried.decisions == []
    carried.carrier.end()
    assert carried.decisions == [None]
    assert carried.leaving() == TEXT
    assert carried.spool.used == len(TEXT)
    carried.carrier.close()
    assert carried.spool.used == 0


def test_hooks_come_in_order_and_the_first_verdict_ends_it() -> None:
    asked: list[str] = []

    def note(name: str, verdict: Verdict | None = None) -> object:
        def hook(message: Message) -> Verdict | None:
            asked.append(name)
            return verdict

        return hook

    carried = Carried(Way.WHOLE, plug(message_head=note("head"), message=note("whole"), sign=note("sign")))
    carried.feed(TEXT).carrier.end()
    assert (asked, carried.decisions) == (["head", "whole", "sign"], [None])
    asked.clear()
    carried = Carried(
        Way.WHOLE, plug(message_head=note("head"), message=note("whole", Reject("no")), sign=note("sign"))
    )
    carried.feed(TEXT).carrier.end()
    assert (asked, carried.decisions) == (["head", "whole"], [Decision(Reject("no"), "p")])
    assert carried.spool.used == 0


def test_refused_at_the_head_takes_no_room() -> None:
    carried = Carried(Way.WHOLE, plug(message_head=lambda message: Reject("no"), message=looks))
    carried.feed(TEXT, b"x" * 100000)
    carried.carrier.end()
    assert carried.decisions == [Decision(Reject("no"), "p")]
    assert carried.spool.used == 0
    assert carried.transaction.decision == Decision(Reject("no"), "p")


def test_text_that_comes_while_a_plugin_thinks_is_kept() -> None:
    thinking: Deferred[None] = Deferred()
    carried = Carried(Way.WHOLE, plug(message_head=lambda message: thinking, message=looks)).feed(TEXT[:-2])
    carried.feed(TEXT[-2:])
    carried.carrier.end()
    assert carried.decisions == []
    thinking.callback(None)
    assert carried.decisions == [None]
    assert carried.leaving() == TEXT


def test_edits_leave() -> None:
    def mark(message: Message) -> None:
        message.headers.add("X-Seen", "yes")

    carried = Carried(Way.WHOLE, plug(message=mark)).feed(TEXT)
    carried.carrier.end()
    assert carried.leaving() == b"X-Seen: yes\r\n" + TEXT


def test_limits() -> None:
    big = Carried(Way.WHOLE, plug(message=looks), rules=Rules(message_size=30)).feed(TEXT)
    assert [decision.verdict for decision in big.decisions if decision] == [
        Reject("message too big", 552, "5.3.4")
    ]
    full = Carried(Way.WHOLE, plug(message=looks), rules=Rules(spool=Spool(total=30))).feed(TEXT)
    assert [decision.verdict for decision in full.decisions if decision] == [
        Defer("insufficient storage", 452, "4.3.1")
    ]
    head = Carried(Way.HEAD, plug(message_head=looks)).feed(*[b"X: y\r\n" * 1000] * (HEAD // 6000 + 2))
    assert [decision.verdict for decision in head.decisions if decision] == [
        Reject("message header too long", 552, "5.3.4")
    ]
    for carried in (big, full, head):
        carried.feed(b"more")
        carried.carrier.end()
        assert len(carried.decisions) == 1
        assert carried.spool.used == 0


@pytest.mark.parametrize(
    ("text", "head"),
    [
        (b"", b""),
        (b"\r\nbody", b"\r\n"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"A: b", b"A: b"),
        (b"A: b\r\n\r\n", b"A: b\r\n\r\n"),
        (b"A: b\r\n\r\n\r\n", b"A: b\r\n\r\n"),
    ],
)
def test_where_the_head_ends(text: bytes, head: bytes) -> None:
    heads: list[bytes] = []

    def see(message: Message) -> None:
        heads.append(message.headers.original)

    for pieces in ([text], [bytes([octet]) for octet in text]):
        Carried(Way.WHOLE, plug(message_head=see)).feed(*pieces).carrier.end()
    assert heads == [head, head]


@given(st.lists(st.text("a:\r\n").map(str.encode)))
def test_octets_are_the_same_however_they_come(pieces: list[bytes]) -> None:
    carried = Carried(Way.WHOLE, plug(message=lambda message: None)).feed(*pieces)
    carried.carrier.end()
    assert carried.leaving() == b"".join(pieces)


def test_pump_waits_for_a_full_side() -> None:
    side, done = HeardSide(), list[str]()
    pump = Pump(side, iter([b"a", b"b", b"c"]), lambda: done.append("done"), lambda: None)
    side.full = True
    pump.run()
    assert (side.heard, done) == (b"a", [])
    side.full = False
    pump.run()
    assert (side.heard, done) == (b"abc", ["done"])
    pump.run()
    assert done == ["done"]


def test_pump_lets_others_have_their_turn() -> None:
    """A side that takes everything at once would hold the loop for all of a large message."""
    side, done, rests = HeardSide(), list[str](), list[int]()
    piece = b"x" * (TURN // 2)
    pump = Pump(side, iter([piece] * 5), lambda: done.append("done"), lambda: rests.append(len(side.heard)))
    for _ in range(3):
        assert not done
        pump.run()
    assert (rests, len(side.heard), done) == ([TURN, 2 * TURN], 5 * len(piece), ["done"])


@pytest.mark.parametrize("size", [1, 4096, 10 * HEAD])
@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_of_a_header_does_not_depend_on_how_it_is_cut(size: int, over: int) -> None:
    seen = plug(message_head=lambda message: None)
    text = b"A: " + b"x" * (HEAD - 7 + over) + b"\r\n\r\nbody\r\n"
    pieces = (
        [text[at : at + size] for at in range(0, len(text), size)]
        if size > 1
        else [text[:-9], *one(text[-9:])]
    )
    carried = Carried(Way.HEAD, seen).feed(*pieces)
    (decision,) = carried.decisions
    assert (decision is None) is not bool(over)


def one(text: bytes) -> list[bytes]:
    return [bytes([octet]) for octet in text]
