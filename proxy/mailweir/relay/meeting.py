"""What a relay is made of: who meets whom, by which rules, and who is asked."""

from dataclasses import dataclass

import structlog
from twisted.internet.interfaces import IReactorTime

from mailweir.chain.chain import Chain
from mailweir.relay.rules import Rules
from mailweir.relay.side import Dial, Side
from mailweir.session import Session

Log = structlog.typing.FilteringBoundLogger


@dataclass(frozen=True, slots=True)
class Meeting:
    """One client connection that wants a relay; `dial` reaches its upstream."""

    session: Session
    chain: Chain
    rules: Rules
    clock: IReactorTime
    client: Side
    dial: Dial
    log: Log
