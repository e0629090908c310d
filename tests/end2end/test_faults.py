"""Whatever dies, and whenever: no 250 before upstream's, and nothing half is delivered."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from end2end.fakes import Fake, Fault, Gone, Peer, SmtpFake, Stage, connect
from end2end.machine import wait_until
from end2end.weir import Start

TEXT = b"From: a@example.net\r\nSubject: x\r\n\r\n" + b"text\r\n" * 50

LOST: list[Stage] = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "text", "end", "QUIT"]


def submit(port: int, hello: bytes = b"EHLO", bdat: bool = False) -> list[bytes]:
    """One message by one session, as far as it gets; all replies."""
    peer = connect(port)
    replies = [peer.reply()]
    commands = [hello + b" client\r\n", b"MAIL FROM:<a@example.net>\r\n", b"RCPT TO:<b@example.org>\r\n"]
    if bdat:
        commands += [b"BDAT 10\r\n" + TEXT[:10], b"BDAT %d LAST\r\n" % (len(TEXT) - 10) + TEXT[10:]]
    else:
        commands += [b"DATA\r\n", TEXT + b".\r\n"]
    try:
        for command in [*commands, b"QUIT\r\n"]:
            if replies[-1][:1] not in b"23":
                break
            peer.say(command)
            replies.append(peer.reply())
    except Gone:
        pass
    peer.close()
    return replies


def judge(fake: SmtpFake, stage: Stage, replies: list[bytes], final: int) -> None:
    """`replies[final]` is the answer to the end of the text."""
    acknowledged = [message for message in fake.messages if message.acknowledged]
    codes = [reply[:3] for reply in replies]
    if stage == "QUIT":
        assert codes[final] == b"250" and len(acknowledged) == 1
        return
    assert not acknowledged
    assert codes[-1][:1] == b"4", f"{stage}: {replies}"
    assert len(codes) <= final + 1, f"{stage}: {replies}"


@pytest.mark.parametrize("fault", ["close", "reset"])
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_upstream_dies(start: Start, protocol: str, fault: Fault) -> None:
    fakes = {stage: SmtpFake({stage: fault}, lmtp=protocol == "lmtp") for stage in LOST}
    weir = start(
        {stage: {"protocol": protocol, "upstream": stage} for stage in LOST},
        {stage: fake.upstream for stage, fake in fakes.items()},
    )
    for stage, fake in fakes.items():
        judge(fake, stage, submit(weir.ports[stage], b"LHLO" if protocol == "lmtp" else b"EHLO"), 5)
        fake.stop()


@pytest.mark.parametrize("fault", ["close", "reset"])
def test_upstream_dies_in_bdat(start: Start, fault: Fault) -> None:
    stages: list[Stage] = ["text", "BDAT", "end", "QUIT"]
    fakes = {stage: SmtpFake({stage: fault}) for stage in stages}
    weir = start(
        {stage: {"protocol": "smtp", "upstream": stage} for stage in stages},
        {stage: fake.upstream for stage, fake in fakes.items()},
    )
    for stage, fake in fakes.items():
        judge(fake, stage, submit(weir.ports[stage], bdat=True), 5)
        fake.stop()


@pytest.mark.timeout(150)
def test_upstream_hangs(start: Start) -> None:
    stages = [stage for stage in LOST if stage != "QUIT"]
    fakes = {stage: SmtpFake({stage: "hang"}) for stage in stages}
    weir = start(
        {stage: {"protocol": "smtp", "upstream": stage} for stage in stages},
        {stage: {**fake.upstream, "connect_timeout": "1s"} for stage, fake in fakes.items()},
        limits={"upstream_reply": "1s"},
    )
    replies: dict[str, list[bytes]] = {}

    def one(stage: Stage) -> None:
        replies[stage] = submit(weir.ports[stage])

    threads = [threading.Thread(target=one, args=(stage,)) for stage in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    for stage, fake in fakes.items():
        judge(fake, stage, replies[stage], 5)
        fake.stop()


def test_no_250_before_upstream_s(start: Start) -> None:
    fake = SmtpFake(delay=1.0)
    weir = start({"in": {"protocol": "smtp", "upstream": "out"}}, {"out": fake.upstream})
    began = time.monotonic()
    assert submit(weir.port)[5].startswith(b"250 2.0.0 queued as FAKE1")
    assert time.monotonic() - began >= 1.0
    fake.stop()


def leave_by_close(peer: Peer) -> None:
    peer.close()


def leave_by_reset(peer: Peer) -> None:
    peer.reset()


@pytest.mark.parametrize("leave", [leave_by_close, leave_by_reset])
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_client_leaves(start: Start, protocol: str, leave: Callable[[Peer], None]) -> None:
    """After each prefix of a session: nothing is delivered but what was complete."""
    fake = SmtpFake(lmtp=protocol == "lmtp")
    weir = start({"in": {"protocol": protocol, "upstream": "out"}}, {"out": fake.upstream})
    hello = b"LHLO" if protocol == "lmtp" else b"EHLO"
    steps = [
        hello + b" client\r\n",
        b"MAIL FROM:<a@example.net>\r\n",
        b"RCPT TO:<b@example.org>\r\n",
        b"DATA\r\n",
        TEXT[:100],
        TEXT[100:],
        b".\r",
    ]
    for count in range(len(steps) + 1):
        peer = connect(weir.port)
        peer.reply()
        for step in steps[:count]:
            peer.say(step)
            if step.endswith(b"\n") and not TEXT.endswith(step):
                peer.reply()
        leave(peer)
    wait_until("all sessions ended", lambda: weir.metric("mailweir_sessions_active") == 0)
    assert fake.messages == []
    fake.stop()


def test_client_leaves_in_bdat(start: Start) -> None:
    fake = SmtpFake()
    weir = start({"in": {"protocol": "smtp", "upstream": "out"}}, {"out": fake.upstream})
    for last, leave in itertools.product((b"", b" LAST"), (leave_by_close, leave_by_reset)):
        peer = connect(weir.port)
        peer.reply()
        for step in (b"EHLO client\r\n", b"MAIL FROM:<a@example.net>\r\n", b"RCPT TO:<b@example.org>\r\n"):
            peer.say(step)
            peer.reply()
        peer.say(b"BDAT 100%s\r\n" % last + b"x" * 99)
        leave(peer)
    wait_until("all sessions ended", lambda: weir.metric("mailweir_sessions_active") == 0)
    assert fake.messages == []
    fake.stop()


def test_client_leaves_in_an_append(start: Start) -> None:
    heard: list[bytes] = []

    def server(peer: Peer) -> None:
        peer.say(b"* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n")
        assert peer.line() == b"a APPEND INBOX {100}\r\n"
        peer.say(b"+ go on\r\n")
        heard.append(peer.rest())

    fake = Fake(server)
    weir = start({"in": {"protocol": "imap", "upstream": "out"}}, {"out": fake.upstream})
    client = connect(weir.port)
    client.line()
    client.say(b"a APPEND INBOX {100}\r\n")
    assert client.line().startswith(b"+")
    client.say(b"x" * 99)
    client.close()
    wait_until("upstream heard the end", lambda: heard)
    assert heard[0] == b"x" * 99
    fake.stop()


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_upstream_dies_in_a_message(start: Start, protocol: str) -> None:
    """What the client got must not look complete."""

    def server(peer: Peer) -> None:
        if protocol == "pop3":
            peer.say(b"+OK ready\r\n")
            peer.line()
            peer.say(b"+OK message follows\r\nSubject: half\r\n")
        else:
            peer.say(b"* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n")
            peer.line()
            peer.say(b"* 1 FETCH (BODY[] {100}\r\nSubject: half\r\n")

    fake = Fake(server)
    weir = start({"in": {"protocol": protocol, "upstream": "out"}}, {"out": fake.upstream})
    client = connect(weir.port)
    client.line()
    client.say(b"RETR 1\r\n" if protocol == "pop3" else b"a FETCH 1 BODY[]\r\n")
    answer = client.rest()
    assert b"\r\n.\r\n" not in answer and b"a OK" not in answer and len(answer) < 100
    fake.stop()
