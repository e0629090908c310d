"""What all families of IMAP commands share: who is in the middle of what, and how we speak in turn.

At most one thing stops the client's stream at a time: a unit (a command whose literals are still coming)
or a dialogue (SASL, IDLE). Upstream's `+` belongs to it. Everything else under way stands in the table.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

from mailweir import metrics
from mailweir.relay.carry import Carrier
from mailweir.relay.conversation import Conversation
from mailweir.relay.imap.capability import Offers, listed
from mailweir.relay.imap.table import LIMIT, Slot, Table
from mailweir.relay.meeting import Meeting
from mailweir.relay.side import Side
from mailweir.relay.splicing import unseen
from mailweir.wire.imap import ClientReader, Line, Octets
from mailweir.wire.imap_responses import Continue, Event, ServerReader, Tagged


class Opening(ABC):
    """Whoever hears upstream until the client has been greeted."""

    @abstractmethod
    def heard(self, event: Event) -> None: ...

    @abstractmethod
    def secured(self) -> None:
        """Upstream's connection is TLS now."""


class Unit(ABC):
    """A command whose end has not been read, or not been sent, yet."""

    sending = False
    """Upstream has heard its beginning and not its end."""

    slot: Slot | None = None
    """Its place in the table, if it is going up."""

    @abstractmethod
    def more(self, event: Line | Octets) -> None:
        """The client's next line or piece of a literal."""

    def go_on(self, event: Continue) -> bool:
        """Upstream said `+`; False if nobody waits for it."""
        return False

    def completed(self, event: Tagged) -> None:
        """Upstream completed it before its end, and the client has heard that."""

    def drained(self) -> None:
        """Upstream takes more octets."""


class Dialogue(ABC):
    """An exchange of lines that are no commands."""

    patient = False
    """Silence is in the nature of it."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot

    @abstractmethod
    def line(self, event: Line) -> None:
        """The client's next line."""

    @abstractmethod
    def go_on(self, event: Continue) -> bool:
        """Upstream said `+`; False if nobody waits for it."""


class ImapBase(Conversation):
    """The state of one IMAP session."""

    from_client: ClientReader
    from_upstream: ServerReader

    def __init__(self, meeting: Meeting) -> None:
        super().__init__(meeting, ClientReader(), ServerReader())
        self.table = Table()
        self.offers = Offers(self.session, self.chain, self.rules)
        self.opening: Opening | None = None
        self.unit: Unit | None = None
        self.dialogue: Dialogue | None = None
        self.over = False
        self.utf8 = False  # names of mailboxes are UTF-8 (RFC 9755 3, RFC 9051 5.1)
        self.carrier: Carrier | None = None
        self.upstream_offers: Callable[[str], bool] = frozenset[str]().__contains__
        self._unsaid = b""
        self._cells: dict[str, metrics.Cell] = {}

    @property
    def server(self) -> Side:
        """Upstream's side, once the client has been greeted."""
        return cast(Side, self.upstream)

    # Towards the client.

    def say(self, octets: bytes) -> None:
        """Octets of ours, where a response of upstream's has ended."""
        if self.from_upstream.border and not self._unsaid:
            self.client.write(octets)
        else:
            self._unsaid += octets

    def say_held(self) -> None:
        """A response has ended: say what waited for that."""
        if self._unsaid:
            octets, self._unsaid = self._unsaid, b""
            self.client.write(octets)

    def answer(self, octets: bytes) -> None:
        """We complete a command, when its turn comes."""
        self.table.when_due(lambda: self.say(octets))
        self.full()

    def farewell(self, octets: bytes, reason: str) -> None:
        """Say BYE and end the session; within a response of upstream's it can only be cut."""
        if self.from_upstream.border:
            self.say_held()
            self.client.write(octets)
            self.hang_up(reason)
        else:
            self.cut(reason)

    def hang_up(self, reason: str) -> None:
        """Nothing half is left with upstream, and nothing more is read."""
        self.let_go()
        if self.unit is not None and self.unit.sending and self.upstream is not None:
            self.upstream.abort()
        super().hang_up(reason)
        self._read_no_more()

    def cut(self, reason: str) -> None:
        self.let_go()
        super().cut(reason)
        self._read_no_more()

    def let_go(self) -> None:
        """Give back what a message that will not leave any more takes up."""
        if self.carrier is not None:
            self.carrier.close()
            self.carrier = None

    def _read_no_more(self) -> None:
        self.over = True
        self._unsaid = b""
        self._client.end()
        self._upstream.end()

    # Towards upstream.

    def expect(self, slot: Slot) -> Slot:
        """Upstream will complete this command."""
        self.table.expect(slot)
        self.full()
        return slot

    def full(self) -> None:
        """Read the client no further while too many commands are under way."""
        if len(self.table) >= LIMIT:
            self.hold("commands")

    def sent(self, slot: Slot) -> None:
        """Upstream has all of a command."""
        if slot.alone:
            self.hold("alone")

    def logged_in(self, user: str, mechanism: str) -> None:
        """Upstream accepted a login."""
        self.session.login = user
        self.session.mechanism = mechanism
        self.authenticate()
        self.chain.tell("logged_in", session=self.session)

    def leave_alone(self) -> bool:
        """Let the session's octets pass if nobody wants to see more of it: to a server that takes the
        literals we have offered to take for it, and where nobody can log in a second time unseen.
        """
        offers = self.upstream_offers
        again = self.chain.listens("login") and offers("UNAUTHENTICATE")
        idle = not self.table and self.unit is None and self.dialogue is None and not self._unsaid
        logged_in = self.offers.authenticated and idle and not self.over and not self.spliced
        if logged_in and offers("LITERAL+") and not again and unseen(self.chain, self.rules):
            self.splice("login")
        return self.spliced

    def learn(self, line: bytes) -> None:
        """Remember what upstream itself offers, if `line` lists it."""
        self.upstream_offers = listed(line) or self.upstream_offers

    def authenticate(self) -> None:
        """From here on the client may send commands of any size."""
        self.session.state = "authenticated"
        self.offers.authenticated = True
        self.from_client.limit = 0

    def count(self, name: str) -> None:
        cell = self._cells.get(name)
        if cell is None:
            session = self.session
            cell = self._cells[name] = metrics.COMMANDS.cell(session.listener, session.protocol, name)
        cell.add()
