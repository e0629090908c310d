"""Sessions that outlive their upstream, groups that stay groups, and an end that nobody holds up."""

import pytest

from end2end.fakes import Fault, Peer, SmtpFake, Stage, connect
from end2end.machine import wait_until
from end2end.weir import Start

GROUP = b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"


def greet(port: int, hello: bytes = b"EHLO") -> Peer:
    peer = connect(port)
    assert peer.reply()[:3] == b"220"
    peer.say(hello + b" client\r\n")
    assert peer.reply()[:3] == b"250"
    return peer


def codes(peer: Peer, count: int) -> list[bytes]:
    return [peer.reply()[:3] for _ in range(count)]


@pytest.mark.parametrize("fault", ["close", "reset"])
@pytest.mark.parametrize(
    ("stage", "heard"), [("MAIL", [b"451"] * 3), ("RCPT", [b"250", b"451", b"451"]), ("end", [])]
)
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_the_next_message_of_the_same_session_arrives(
    start: Start, protocol: str, stage: Stage, heard: list[bytes], fault: Fault
) -> None:
    faults: dict[Stage, Fault] = {stage: fault}
    fake = SmtpFake(faults, lmtp=protocol == "lmtp")
    weir = start({"in": {"protocol": protocol, "upstream": "out"}}, {"out": fake.upstream})
    peer = greet(weir.port, b"LHLO" if protocol == "lmtp" else b"EHLO")
    peer.say(GROUP)
    if stage == "end":
        assert codes(peer, 3) == [b"250", b"250", b"354"]
        peer.say(b"one\r\n.\r\n")
        assert codes(peer, 1) == [b"451"]
    else:
        assert codes(peer, 3) == heard
    faults.clear()
    peer.say(GROUP)
    assert codes(peer, 3) == [b"250", b"250", b"354"]
    peer.say(b"two\r\n.\r\nQUIT\r\n")
    assert codes(peer, 2) == [b"250", b"221"]
    assert [message.text for message in fake.messages if message.acknowledged] == [b"two\r\n"]
    peer.close()
    wait_until("all sessions ended", lambda: weir.metric("mailweir_sessions_active") == 0)
    assert weir.metric("mailweir_upstream_lost_total") == 1
    fake.stop()


def test_a_message_that_is_cut_off_costs_only_itself(start: Start) -> None:
    fake = SmtpFake()
    weir = start({"in": {"protocol": "smtp", "upstream": "out"}}, {"out": fake.upstream})
    peer = greet(weir.port)
    for _ in range(3):
        peer.say(GROUP)
        assert codes(peer, 3) == [b"250", b"250", b"354"]
        peer.say(b"one\nMAIL FROM:<evil@example.net>\n.\r\n.\r\n")
        assert codes(peer, 1) == [b"550"]
    peer.say(GROUP)
    assert codes(peer, 3) == [b"250", b"250", b"354"]
    peer.say(b"two\r\n.\r\n")
    assert codes(peer, 1) == [b"250"]
    assert [message.text for message in fake.messages] == [b"two\r\n"]
    peer.close()
    fake.stop()


def test_a_client_that_says_all_at_once_and_closes_its_half(start: Start) -> None:
    """Upstream is lost in the midst of it; who only closed his half is answered to the last."""
    faults: dict[Stage, Fault] = {}
    fake = SmtpFake(faults)
    weir = start({"in": {"protocol": "smtp", "upstream": "out"}}, {"out": fake.upstream})
    peer = greet(weir.port)
    faults["MAIL"] = "close"
    peer.say(b"MAIL FROM:<a@example.net>\r\n")
    assert codes(peer, 1) == [b"451"]
    faults.clear()
    peer.say(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nVRFY x\r\nRSET\r\nQUIT\r\n")
    peer.connection.shutdown(1)
    assert codes(peer, 5) == [b"250", b"250", b"250", b"250", b"221"]
    assert peer.rest() == b""
    fake.stop()


@pytest.fixture
def kept() -> list[Peer]:
    """Clients that are still there when mailweir has ended."""
    return []


def test_a_client_that_keeps_its_socket_does_not_hold_the_end_up(kept: list[Peer], start: Start) -> None:
    """The fixture gives it less time to end than a client is usually given to close its half."""
    fake = SmtpFake()
    weir = start(
        {"in": {"protocol": "smtp", "upstream": "out"}}, {"out": fake.upstream}, limits={"drain": "60s"}
    )
    kept.append(greet(weir.port))
