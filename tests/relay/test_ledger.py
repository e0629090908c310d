"""Answers leave in the order of the commands, whoever gives them."""

from hypothesis import given
from hypothesis import strategies as st

from mailweir.relay.ledger import Ledger, Slot


def test_ours_waits_for_upstreams() -> None:
    said: list[bytes] = []
    ledger: Ledger[Slot] = Ledger(said.append)
    first = ledger.expect(Slot("MAIL"))
    ledger.answer(Slot("RCPT"), b"550\r\n")
    second = ledger.expect(Slot("RCPT"))
    assert said == []
    ledger.say(b"250-a\r\n")
    assert said == [b"250-a\r\n"]
    assert ledger.settle() is first
    assert said == [b"250-a\r\n", b"550\r\n"]
    assert ledger.head is second


def test_at_once_when_nothing_is_open() -> None:
    said: list[bytes] = []
    Ledger[Slot](said.append).answer(Slot("NOOP"), b"250\r\n")
    assert said == [b"250\r\n"]


def test_hidden_keeps_its_reply() -> None:
    said: list[bytes] = []
    ledger: Ledger[Slot] = Ledger(said.append)
    ledger.expect(Slot("RSET", hidden=True))
    ledger.answer(Slot("MAIL"), b"503\r\n")
    ledger.say(b"250 reset\r\n")
    ledger.settle()
    assert said == [b"503\r\n"]
    assert ledger.head is None


def test_abandon_gives_all_open() -> None:
    ledger: Ledger[Slot] = Ledger(lambda octets: None)
    slots = [ledger.expect(Slot("MAIL")), ledger.expect(Slot("RCPT"))]
    assert ledger.abandon() == slots
    assert len(ledger) == 0


@given(st.lists(st.sampled_from(["ours", "theirs", "reply"])))
def test_order_never_changes(steps: list[str]) -> None:
    said: list[bytes] = []
    ledger: Ledger[Slot] = Ledger(said.append)
    sent = 0
    for step in steps:
        number = b"%d" % sent
        if step == "reply":
            if ledger.head is not None:
                ledger.say(ledger.head.verb.encode())
                ledger.settle()
        elif step == "ours":
            ledger.answer(Slot("x"), number)
            sent += 1
        else:
            ledger.expect(Slot(number.decode()))
            sent += 1
    while ledger.head is not None:
        ledger.say(ledger.head.verb.encode())
        ledger.settle()
    assert said == [b"%d" % number for number in range(sent)]
