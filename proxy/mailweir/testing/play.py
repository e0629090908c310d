r"""Play a written conversation against a relay; no sockets, no reactor, no sleeping.

    U> 220 mail.example.org          upstream says a line
    C< 220 mail.example.org          the client hears it
    C> EHLO me|NOOP                  the client says two lines in one piece
    T+ 31                            31 seconds pass

`C` is the client, `U` upstream; `>` it speaks, `<` it hears. CRLF is added to each line; `|` stands between
lines, a `\` at the end leaves the last CRLF out, and `\r \n \0 \t \| \\ \x7f` stand for octets. More rows:

    C! gone / U! reset               that side's peer leaves, in good order or not
    U! unreachable                   (before the dial) upstream can't be reached; a later dial is a new `U`
    U! insecure                      (before the dial) it can, but its TLS can't be believed
    C. closed / U. aborted           we have ended that side, so or so
    C. tls                           we have switched that side to TLS; the handshake succeeds at once
    # ...                            a remark

Rows must match in order; before somebody speaks, and at the end, nothing may be left that nobody heard.
"""

import re
from collections.abc import Sequence

import structlog
from twisted.internet.task import Clock

from mailweir.chain.chain import Chain, Plug
from mailweir.relay.meeting import Meeting
from mailweir.relay.relays import relay_for
from mailweir.relay.rules import Rules
from mailweir.relay.side import Relay
from mailweir.session import Address, Leg, Protocol, Session, Tls
from mailweir.testing.loop import clock_driver
from mailweir.testing.sides import HeardSide

Row = tuple[str, str]
TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")

_ESCAPES = {"r": b"\r", "n": b"\n", "0": b"\0", "t": b"\t", "|": b"|", "\\": b"\\"}


class Stage:
    """One session of a relay, with both its sides and its clock in the hands of a test.

    Give a second one the `chain` and the `clock` of the first, and they are sessions of one listener.
    """

    def __init__(
        self,
        protocol: Protocol,
        plugs: Sequence[Plug] = (),
        rules: Rules | None = None,
        *,
        client: Address | None = None,
        clock: Clock | None = None,
        chain: Chain | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.client = HeardSide()
        self.upstream = HeardSide()
        self.unreachable = ""
        self.dialled: list[str] = []
        address = client or Address("192.0.2.1", 40000)
        self.session = Session(
            "s1", "test", protocol, address, Address("192.0.2.2", 25), self.clock.seconds()
        )
        self.chain = chain or Chain("test", plugs, driver=clock_driver(self.clock), clock=self.clock)
        meeting = Meeting(
            self.session,
            self.chain,
            rules or Rules(upstream="server", hostname="weir.example"),
            self.clock,
            self.client,
            self._dial,
            structlog.get_logger(),
        )
        self.relay = relay_for(protocol)(meeting)
        self._begun = False

    def begin(self) -> None:
        """The client arrives."""
        if not self._begun:
            self._begun = True
            self.relay.arrived()

    def say(self, leg: Leg, octets: bytes) -> None:
        """One piece of octets from a side's peer."""
        (self.relay.client_octets if leg == "client" else self.relay.upstream_octets)(octets)

    def play(self, script: str) -> "Stage":
        """Play all rows; `AssertionError` with the script and a mark where it went wrong."""
        rows = [row.strip() for row in script.splitlines() if row.strip() and not row.strip().startswith("#")]
        for number, row in enumerate(rows):
            try:
                self._row(row[:2], row[2:].strip())
            except AssertionError as error:
                raise AssertionError(f"{error}\n\n{_marked(rows, number)}") from None
        try:
            self._silence()
        except AssertionError as error:
            raise AssertionError(f"at the end: {error}\n\n{_marked(rows, len(rows))}") from None
        return self

    def _row(self, what: str, text: str) -> None:
        side = self.client if what[0] == "C" else self.upstream
        leg: Leg = "client" if what[0] == "C" else "upstream"
        if what == "U!" and text.startswith(("unreachable", "insecure")):
            self.unreachable = text
            return
        self.begin()
        if what in ("C>", "U>"):
            self._silence()
            self.say(leg, octets(text))
        elif what in ("C<", "U<"):
            wanted = octets(text)
            heard, side.heard = side.heard[: len(wanted)], side.heard[len(wanted) :]
            if heard != wanted:
                heard += side.heard
                side.heard = b""
            # raised, not asserted: pytest would add its own words to an assert of a plugin
            if heard != wanted:
                raise AssertionError(_differ(leg, wanted, heard))
        elif what in ("C!", "U!"):
            self._silence()
            reason = "" if text == "gone" else text
            (self.relay.client_gone if leg == "client" else self.relay.upstream_gone)(reason)
        elif what in ("C.", "U."):
            if text == "tls":
                assert side.secured == 1, f"{leg} was not switched to TLS"
                side.secured = 0
                (self.relay.client_secured if leg == "client" else self.relay.upstream_secured)(TLS)
            else:
                assert side.state == text, f"{leg} is {side.state}, not {text}"
        elif what == "T+":
            self.clock.pump([1.0] * int(text))
        else:
            raise AssertionError(f"no such row: {what}")

    def _silence(self) -> None:
        for leg, side in (("client", self.client), ("upstream", self.upstream)):
            heard, side.heard = side.heard, b""
            assert not heard, f"{leg} heard {shown(heard)!r} and nobody expected it"

    def _dial(self, relay: Relay, upstream: str) -> None:
        if self.dialled:
            self.upstream = HeardSide()
        self.dialled.append(upstream)
        if self.unreachable:
            relay.upstream_failed(self.unreachable, insecure=self.unreachable.startswith("insecure"))
        else:
            relay.upstream_ready(self.upstream, TLS if self.relay.rules.upstream_tls == "implicit" else None)


def octets(text: str) -> bytes:
    """The octets that a row stands for."""
    out = b""
    unended = (len(text) - len(text.rstrip("\\"))) % 2 == 1
    if unended:
        text = text[:-1]
    for token in re.findall(r"\\x[0-9a-fA-F]{2}|\\.|[^\\|]+|\|", text, re.DOTALL):
        if token == "|":
            out += b"\r\n"
        elif token.startswith("\\x"):
            out += bytes([int(token[2:], 16)])
        elif token[0] == "\\":
            assert token[1:] in _ESCAPES, f"no such escape: {token}"
            out += _ESCAPES[token[1:]]
        else:
            out += token.encode()
    return out if unended else out + b"\r\n"


def shown(data: bytes) -> str:
    """Octets as a row would write them."""
    text = data.decode("latin-1").replace("\\", "\\\\").replace("|", "\\|")
    text = text.removesuffix("\r\n").replace("\r\n", "|") + ("" if text.endswith("\r\n") else "\\")
    return "".join(char if " " <= char <= "~" else f"\\x{ord(char):02x}" for char in text)


def _differ(leg: Leg, wanted: bytes, heard: bytes) -> str:
    """Both, one above the other, with a mark under the first octet that differs."""
    should, did = shown(wanted), shown(heard) if heard else "(nothing)"
    same = next((at for at in range(len(should)) if should[at] != did[at : at + 1]), len(should))
    return f"{leg} should hear  {should}\n{leg} heard        {did}\n{' ' * (len(leg) + 14 + same)}^"


def _marked(rows: list[str], at: int) -> str:
    return "\n".join(
        ("--> " if number == at else "    ") + row for number, row in enumerate([*rows, "(end)"])
    )
