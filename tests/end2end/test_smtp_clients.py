"""Mail programs that nobody here wrote: they end alike, say alike, and send alike, directly and through mailweir."""

import pytest

from end2end.dovecot import WRONG_PASSWORD
from end2end.peers import Peers, reconciled
from end2end.programs import MECHANISMS, PROGRAMS, Errand, conversation
from mailweir.relay.sasl import FOREIGN

pytestmark = pytest.mark.real

SMTP = ("postfix", "exim", "opensmtpd", "submission")
NAMED = pytest.mark.parametrize("program", PROGRAMS)
OFFERED = {
    "postfix": MECHANISMS["msmtp"],
    "submission": MECHANISMS["msmtp"],
    "exim": ("PLAIN", "LOGIN", "CRAM-MD5"),
}


def alike(peers: Peers, server: str, program: str, errand: Errand, doors: int = 3) -> tuple[str, int]:
    """Do an errand at the first `doors` doors of a server, and compare. What the program said, and the mail."""
    (direct, mail), *through = peers.hold(
        conversation(PROGRAMS[program], errand), peers.doors[server][:doors]
    )
    for said, also_mail in through:
        assert reconciled(said, direct) == direct
        assert also_mail == mail
    return direct, len(mail)


def login(server: str) -> str | None:
    """The mechanism by which one logs in where one must."""
    return "PLAIN" if server == "submission" else None


@pytest.mark.parametrize(
    ("server", "program", "mechanism"),
    [
        (server, program, mechanism)
        for server, offered in OFFERED.items()
        for program, known in MECHANISMS.items()
        for mechanism in known
        if mechanism in offered
    ],
)
def test_login(peers: Peers, server: str, program: str, mechanism: str) -> None:
    # what only works where nobody filters isn't offered where somebody does
    doors = 2 if mechanism in FOREIGN else 3
    said, mail = alike(peers, server, program, Errand(mechanism), doors)
    assert said.endswith("ended with 0\n") and mail == 1


@NAMED
def test_a_wrong_password(peers: Peers, program: str) -> None:
    for server in ("postfix", "exim"):
        said, _ = alike(peers, server, program, Errand("PLAIN", WRONG_PASSWORD))
        assert not said.endswith("ended with 0\n")


@NAMED
@pytest.mark.parametrize("server", ["postfix", "exim", "submission"])
def test_starttls(peers: Peers, server: str, program: str) -> None:
    said, mail = alike(peers, server, program, Errand("PLAIN", tls=True))
    assert said.endswith("ended with 0\n") and mail == 1


@NAMED
@pytest.mark.parametrize("server", ["postfix", "opensmtpd", "submission"])
def test_some_recipients_refused(peers: Peers, server: str, program: str) -> None:
    said, mail = alike(peers, server, program, Errand(login(server), recipients=("a", "!", "b", "!")))
    if program in ("curl", "msmtp"):  # they want all or none
        assert mail == 0 and not said.endswith("ended with 0\n")
    else:
        assert mail == 2


@NAMED
@pytest.mark.parametrize("server", ["exim", "opensmtpd"])
def test_nobody_accepted(peers: Peers, server: str, program: str) -> None:
    said, mail = alike(peers, server, program, Errand(recipients=("!",)))
    assert mail == 0 and not said.endswith("ended with 0\n")


@pytest.mark.parametrize("program", ["nodemailer", "smtplib"])
@pytest.mark.parametrize("server", SMTP)
def test_several_messages_in_a_session(peers: Peers, server: str, program: str) -> None:
    errand = Errand(login(server), recipients=("a", "b"), messages=3)
    assert alike(peers, server, program, errand)[1] == 6


@pytest.mark.parametrize("server", ["postfix", "exim", "submission", "lmtp"])
def test_swaks_pipelines(peers: Peers, server: str) -> None:
    errand = Errand(login(server), recipients=("a", "!", "b"), options=("--pipeline",))
    said, mail = alike(peers, server, "swaks", errand)
    assert " -> DATA\n<-  250" in said and mail == 2  # the first reply comes behind the last command


@pytest.mark.parametrize("program", ["swaks", "smtplib"])
@pytest.mark.parametrize("tls", [False, True])
def test_lmtp(peers: Peers, program: str, tls: bool) -> None:
    # smtplib reads one reply to a text, for however many recipients
    recipients = ("a", "!", "b") if program == "swaks" else ("a", "!")
    assert alike(peers, "lmtp", program, Errand(tls=tls, recipients=recipients))[1] == len(recipients) - 1


def test_a_mechanism_that_the_server_lacks(peers: Peers) -> None:
    said, mail = alike(peers, "postfix", "swaks", Errand("CRAM-SHA1"))
    assert mail == 0 and not said.endswith("ended with 0\n")
