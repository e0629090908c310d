"""From upstream's first line to the client's greeting: TLS on upstream's connection (RFC 9051 6.2.1, 7.1.4).

The greeting passes, its capabilities edited. Where upstream is to be reached by STARTTLS, or may be, we
bring that about first; what it said in clear about its capabilities is forgotten, and a fresh list put in
its place. PREAUTH rules STARTTLS out: who requires TLS then has no session, who merely prefers it goes on.
"""

from collections.abc import Callable

from mailweir.relay import securing
from mailweir.relay.imap import capability, words
from mailweir.relay.imap.base import ImapBase, Opening
from mailweir.wire.errors import ProtocolError
from mailweir.wire.imap_responses import Event, Tagged, Untagged


class Greeting(Opening):
    """Hears upstream until the client has been greeted."""

    def __init__(self, relay: ImapBase) -> None:
        self._relay = relay
        self._greeting = b""
        self._preauth = False
        self._listing = b""
        self._state: Callable[[Event], None] = self._greets

    def heard(self, event: Event) -> None:
        self._state(event)

    def _greets(self, event: Event) -> None:
        relay = self._relay
        if not isinstance(event, Untagged) or event.name not in ("OK", "PREAUTH", "BYE"):
            raise ProtocolError("no greeting", fatal=True)
        if event.name == "BYE":
            relay.client.write(relay.offers.rewrite(event.raw))
            relay.hang_up("refused by upstream")
            return
        self._greeting = event.raw
        self._preauth = event.name == "PREAUTH"
        wanted = relay.rules.upstream_tls
        if self._preauth and (wanted == "starttls" or not relay.offers.secure):
            relay.unreachable("PREAUTH where TLS is required", insecure=True)  # it rules STARTTLS out
        elif wanted == "starttls":
            self._send(b"STARTTLS", self._begins_tls)
        elif wanted == "opportunistic" and not self._preauth:
            if capability.listed(event.raw) is None:
                self._send(b"CAPABILITY", self._offers)
            else:
                self._take_offer(event.raw)
        else:
            self._greet()

    def _offers(self, event: Event) -> None:
        if isinstance(event, Untagged) and event.name == "CAPABILITY":
            self._listing = event.raw
        elif isinstance(event, Tagged):
            self._take_offer(self._listing)

    def _take_offer(self, listing: bytes) -> None:
        """TLS if it stands there; only where it does not we go on in clear."""
        offers = capability.listed(listing)
        if offers is not None and offers("STARTTLS"):
            self._send(b"STARTTLS", self._begins_tls)
        else:
            self._greet()

    def _begins_tls(self, event: Event) -> None:
        relay = self._relay
        if not isinstance(event, Tagged):
            return
        if event.status == "OK":
            securing.switch(relay, "STARTTLS")
        else:
            relay.unreachable(
                f"upstream refused STARTTLS: {words.shown(event.raw.partition(b' ')[2])}", insecure=True
            )

    def secured(self) -> None:
        self._listing = b""
        self._send(b"CAPABILITY", self._lists)

    def _lists(self, event: Event) -> None:
        if isinstance(event, Untagged) and event.name == "CAPABILITY":
            self._listing = event.raw
        elif isinstance(event, Tagged):
            self._relist()
            self._greet()

    def _relist(self) -> None:
        """Put the fresh list in the place of the old one, or nothing if there is none."""
        place = capability.code(self._greeting)
        if place is not None:
            begin, end = place
            listing = self._listing[len(b"* CAPABILITY") : -2]
            fresh = b"[CAPABILITY" + listing + b"]" if listing else b""
            rest = self._greeting[end:] if fresh else self._greeting[end:].lstrip(b" ")
            self._greeting = self._greeting[:begin] + fresh + rest

    def _greet(self) -> None:
        relay = self._relay
        relay.opening = None
        if self._preauth:
            relay.authenticate()
        else:
            relay.session.state = "not authenticated"
        relay.learn(self._listing or self._greeting)
        relay.client.write(relay.offers.rewrite(self._greeting))
        relay.greeted()
        relay.leave_alone()

    def _send(self, command: bytes, state: Callable[[Event], None]) -> None:
        self._state = state
        self._relay.server.write(b"mw0 " + command + b"\r\n")
