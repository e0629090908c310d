"""Word for word: every server says and keeps through mailweir what it says and keeps directly."""

from collections.abc import Iterable
from functools import partial

import pytest

from end2end.dialogues import CHUNKED, DIALOGUES, LOGINS, PIPELINED, Dialogue, converse
from end2end.fakes import connect
from end2end.peers import LIMIT, SERVERS, Peers, reconciled
from mailweir.relay.smtp.offer import HEADROOM

pytestmark = pytest.mark.real


def alike(peers: Peers, server: str, dialogue: Dialogue, log_in: bool = True) -> None:
    """Hold a dialogue at all doors of a server, and compare."""
    (direct, mail), *through = peers.hold(partial(converse, dialogue, log_in=log_in), peers.doors[server])
    for said, also_mail in through:
        assert reconciled(said, direct) == direct
        assert also_mail == mail


def cases(names: Iterable[str], *excepted: tuple[str, str]) -> pytest.MarkDecorator:
    """Every dialogue with every server, but those `excepted`."""
    pairs = [(server, name) for server in SERVERS for name in names if (server, name) not in excepted]
    return pytest.mark.parametrize(("server", "name"), pairs)


# OpenSMTPD doesn't look at the SIZE of MAIL; mailweir, which offers the limit, does when plugins look. And it
# hangs up on a line that is too long; mailweir then dials again
@cases(DIALOGUES, ("opensmtpd", "announced too big"), ("opensmtpd", "long command"))
def test_a_conversation(peers: Peers, server: str, name: str) -> None:
    alike(peers, server, DIALOGUES[name])


# Dovecot 2.3's submission hangs up on a command in one read with the end of the text before it
@cases(PIPELINED, *(("opensmtpd", name) for name in PIPELINED), ("submission", "next message behind a text"))
def test_pipelining(peers: Peers, server: str, name: str) -> None:
    alike(peers, server, PIPELINED[name])


@cases(CHUNKED, *(("opensmtpd", name) for name in CHUNKED))
def test_chunking(peers: Peers, server: str, name: str) -> None:
    alike(peers, server, CHUNKED[name])


@pytest.mark.parametrize("name", LOGINS)
@pytest.mark.parametrize("server", ["postfix", "exim", "submission"])
def test_logins(peers: Peers, server: str, name: str) -> None:
    alike(peers, server, LOGINS[name], log_in=False)


@pytest.mark.parametrize("name", PIPELINED)
def test_pipelining_towards_a_server_without_it(peers: Peers, name: str) -> None:
    """OpenSMTPD refuses commands that don't wait. Through mailweir they get the answers that waiting ones get."""
    (_, mail), *_ = peers.hold(partial(converse, PIPELINED[name]), peers.doors["opensmtpd"][:1])
    assert not mail
    (said, mail), (also_said, also_mail) = peers.hold(
        partial(converse, PIPELINED[name]), peers.doors["opensmtpd"][1:]
    )
    assert "Pipelining not supported" not in said
    assert reconciled(also_said, said) == said
    assert also_mail == mail and bool(mail) == (name != "group of nobody")


def offers(peers: Peers, server: str) -> list[set[str]]:
    """What the reply to EHLO or LHLO offers, at each door."""
    found = []
    for door in peers.doors[server]:
        peer = connect(door.port)
        peer.reply()
        peer.say(b"LHLO me\r\n" if door.server.protocol == "lmtp" else b"EHLO me\r\n")
        found.append({line[4:] for line in peer.reply().decode().splitlines()[1:]})
        peer.close()
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_offers(peers: Peers, server: str) -> None:
    """The rewritings that a proxy owes, and no others."""
    direct, plain, whole = offers(peers, server)
    assert plain == (direct | {"PIPELINING", "STARTTLS", "CHUNKING"}) - {"PIPECONNECT"}
    looked_at = {line.replace(" DIGEST-MD5", "") for line in plain - {"BURL imap"}}
    assert whole == {f"SIZE {LIMIT - HEADROOM}" if line == f"SIZE {LIMIT}" else line for line in looked_at}


def test_reconciled() -> None:
    """Mailweir may refuse in words of its own, not otherwise."""
    direct = "250 ok\n503-no\n503 none\n354 go on\n"
    assert reconciled("250 ok\n554 5.5.1 none (01lgbleqd5h3e)\n354 end data with <x>\n", direct) == direct
    for said in (
        *("250 fine\n503-no\n503 none\n354 go on\n", "250 ok\n554 5.5.1 none\n354 go on\n"),
        *("250 ok\n451 none (01lgbleqd5h3e)\n354 go on\n", "250 ok\n554 none (01lgbleqd5h3e)\n"),
    ):
        assert reconciled(said, direct) != direct
