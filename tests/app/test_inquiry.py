"""What a server is asked and what is made of its answers, without sockets."""

import asyncio

import pytest

from mailweir.app.config import UpstreamTls
from mailweir.app.inquiry import INQUIRIES, Inquirer, Refused
from mailweir.session import Protocol
from mailweir.testing.play import TLS
from mailweir.testing.sides import HeardSide


class Server(HeardSide):
    """Answers each line with the next of `answers`; "tls" in their place is the handshake."""

    def __init__(self, inquirer: Inquirer, greeting: str, answers: list[tuple[str, str]]) -> None:
        super().__init__()
        self.inquirer = inquirer
        self.answers = answers
        inquirer.upstream_ready(self, None)
        inquirer.upstream_octets(_octets(greeting))

    def write(self, data: bytes) -> None:
        if self.answers:
            command, answer = self.answers.pop(0)
            assert data.startswith(command.encode()), data
            self.inquirer.upstream_octets(_octets(answer))

    def start_tls(self) -> None:
        super().start_tls()
        self.inquirer.upstream_secured(TLS)


def _octets(text: str) -> bytes:
    return text.replace("|", "\r\n").encode() + b"\r\n"


def ask(
    protocol: Protocol, wanted: UpstreamTls, greeting: str, *answers: tuple[str, str]
) -> tuple[list[str], Inquirer]:
    inquirer = Inquirer(protocol)

    async def main() -> list[str]:
        server = Server(inquirer, greeting, list(answers))
        try:
            return await asyncio.wait_for(INQUIRIES[protocol](inquirer, wanted), 5)
        finally:
            inquirer.leave()
            assert server.state == "closed"

    return asyncio.run(main()), inquirer


SMTP = ("EHLO", "250-mx|250-STARTTLS|250 size 100")
SECURED = ("EHLO", "250-mx|250-SIZE 100|250 AUTH PLAIN SCRAM-SHA-256-PLUS")
IMAP = ("mw0 CAPABILITY", "* CAPABILITY IMAP4rev1 STARTTLS|mw0 OK x")
POP3 = ("CAPA", "+OK|TOP|STLS|.")

GOOD: dict[str, tuple[Protocol, UpstreamTls, str, list[tuple[str, str]], list[str], bool]] = {
    "smtp": ("smtp", "none", "220-mx|220 hi", [SMTP], ["STARTTLS", "SIZE 100"], False),
    "smtp, EHLO unknown": ("smtp", "none", "220 hi", [("EHLO", "502 what")], [], False),
    "smtp, STARTTLS": (
        "smtp",
        "starttls",
        "220 hi",
        [SMTP, ("STARTTLS", "220 go"), SECURED],
        ["SIZE 100", "AUTH PLAIN SCRAM-SHA-256-PLUS"],
        True,
    ),
    "lmtp": ("lmtp", "opportunistic", "220 hi", [("LHLO", "250-mx|250 8BITMIME")], ["8BITMIME"], False),
    "pop3": ("pop3", "none", "+OK hi", [POP3], ["TOP", "STLS"], False),
    "pop3, no CAPA": ("pop3", "opportunistic", "+OK hi", [("CAPA", "-ERR")], [], False),
    "pop3, STLS": (
        "pop3",
        "opportunistic",
        "+OK hi",
        [POP3, ("STLS", "+OK go"), ("CAPA", "+OK|USER|.")],
        ["USER"],
        True,
    ),
    "imap": ("imap", "none", "* OK hi", [IMAP], ["IMAP4REV1", "STARTTLS"], False),
    "imap, STARTTLS": (
        "imap",
        "starttls",
        "* OK hi",
        [IMAP, ("mw0 STARTTLS", "mw0 OK go"), ("mw0 CAPABILITY", "* CAPABILITY IMAP4rev1 IDLE|mw0 OK x")],
        ["IMAP4REV1", "IDLE"],
        True,
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_is_offered(case: str) -> None:
    protocol, wanted, greeting, answers, offers, secured = GOOD[case]
    found, inquirer = ask(protocol, wanted, greeting, *answers)
    assert found == offers and (inquirer.tls is not None) == secured and not inquirer.warnings


BAD: dict[str, tuple[Protocol, UpstreamTls, str, list[tuple[str, str]], str]] = {
    "smtp refuses": ("smtp", "none", "554 no mail", [], "it refuses us in its greeting: 554 no mail"),
    "pop3 refuses": ("pop3", "none", "-ERR busy", [], "it refuses us in its greeting: -ERR busy"),
    "imap refuses": ("imap", "none", "* BYE busy", [], "it refuses us in its greeting: \\* BYE busy"),
    "no smtp": ("smtp", "none", "+OK hi", [], "it does not speak SMTP: \\+OK hi"),
    "no pop3": ("pop3", "none", "220 hi", [], "it does not speak POP3: 220 hi"),
    "no imap": ("imap", "none", "220 hi", [], "it does not speak IMAP: 220 hi"),
    "smtp without STARTTLS": ("smtp", "starttls", "220 hi", [("EHLO", "250 mx")], "it offers no STARTTLS; "),
    "pop3 without STLS": ("pop3", "starttls", "+OK hi", [("CAPA", "+OK|TOP|.")], "it offers no STARTTLS; "),
    "imap, PREAUTH": (
        "imap",
        "starttls",
        "* PREAUTH hi",
        [],
        "it greets with PREAUTH, which rules STARTTLS out",
    ),
    "smtp, refused": (
        "smtp",
        "opportunistic",
        "220 hi",
        [SMTP, ("STARTTLS", "454 not now")],
        "it offers STARTTLS and refuses it: 454 not now",
    ),
    "pop3, refused": ("pop3", "starttls", "+OK hi", [POP3, ("STLS", "-ERR no")], "and refuses it: -ERR no"),
    "smtp, injection": (
        "smtp",
        "starttls",
        "220 hi",
        [SMTP, ("STARTTLS", "220 go|250 x")],
        "octets in clear",
    ),
    "pop3, injection": ("pop3", "starttls", "+OK hi", [POP3, ("STLS", "+OK go|+OK")], "octets in clear"),
    "imap, injection": (
        "imap",
        "starttls",
        "* OK hi",
        [IMAP, ("mw0 STARTTLS", "mw0 OK go|* CAPABILITY x")],
        "octets in clear",
    ),
    "a line without end": ("smtp", "none", "220 hi", [("EHLO", "250" + "x" * 70000)], "a line without end"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_can_not_be_used(case: str) -> None:
    protocol, wanted, greeting, answers, said = BAD[case]
    with pytest.raises(Refused, match=said):
        ask(protocol, wanted, greeting, *answers)


def test_preauth_is_a_warning_where_tls_is_not_required() -> None:
    found, inquirer = ask("imap", "opportunistic", "* PREAUTH hi", IMAP)
    assert found == ["IMAP4REV1", "STARTTLS"] and inquirer.tls is None
    assert len(inquirer.warnings) == 1 and "without a login" in inquirer.warnings[0]


@pytest.mark.parametrize(
    ("reason", "said"), [("", "it closed the connection"), ("TLS: expired", "TLS: expired")]
)
def test_a_server_that_leaves(reason: str, said: str) -> None:
    async def main() -> None:
        inquirer = Inquirer("smtp")
        asking = asyncio.ensure_future(INQUIRIES["smtp"](inquirer, "none"))
        await asyncio.sleep(0)
        inquirer.upstream_gone(reason)
        with pytest.raises(Refused, match=said):
            await asking

    asyncio.run(main())


def test_a_server_that_was_not_reached() -> None:
    async def main() -> None:
        inquirer = Inquirer("smtp")
        inquirer.upstream_failed("mx:25: connection refused")
        with pytest.raises(Refused, match="mx:25: connection refused"):
            await INQUIRIES["smtp"](inquirer, "none")

    asyncio.run(main())
