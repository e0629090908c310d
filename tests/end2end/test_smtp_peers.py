"""Word for word: every server says and keeps through mailweir what it says and keeps directly."""

from collections.abc import Iterable
from functools import partial

import pytest

from end2end.dialogues import CHUNKED, DIALOGUES, LOGINS, PIPELINED, Dialogue, converse
from end2end.peers import SERVERS, Peers, reconciled

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


# OpenSMTPD doesn't look at the SIZE of MAIL; mailweir, which offers the limit, does when plugins look
@cases(DIALOGUES, ("opensmtpd", "announced too big"))
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
