"""Every hook, in the order mail meets them. This is the manual of the plugin interface.

Two kinds. An *ask* hook is put to the plugins of a listener one after the other, in the order of the
configuration; the first verdict ends it, `None` means "go on". It may be `def` or `async def`. A *tell*
hook is heard by everybody, and nothing that a plugin does there can hold mail up.

Take only the arguments you want: `def rcpt_to(recipient)` is a whole hook. To change something, change the
object you were given; the return value is a verdict and nothing else.
"""

import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, overload

import pluggy

from mailweir.envelope import Envelope, Recipient
from mailweir.message import Message
from mailweir.session import Command, Credentials, Leg, Session, Transaction
from mailweir.verdict import Route, Verdict

GROUP = "mailweir"
"""The entry point group in which plugins are found, and pluggy's project name."""

_Hook = TypeVar("_Hook", bound=Callable[..., Any])
_spec = pluggy.HookspecMarker(GROUP)
_impl = pluggy.HookimplMarker(GROUP)


_EDITS = "mailweir_edits"
"""The attribute that `edits=False` leaves on a function."""


@overload
def hookimpl(function: _Hook) -> _Hook: ...


@overload
def hookimpl(*, edits: bool = True) -> Callable[[_Hook], _Hook]: ...


def hookimpl(function: _Hook | None = None, *, edits: bool = True) -> _Hook | Callable[[_Hook], _Hook]:
    """Mark a function or method as a hook of a plugin.

    `@hookimpl(edits=False)` on a hook that is handed a message: it only judges it, and an attempt to edit it
    is a `HeaderError`. Where all who listen to `message` and `sign` say so, a message may be on its way
    before it was judged, and only its end waits for them.
    """

    def mark(function: _Hook) -> _Hook:
        if not edits:
            setattr(function, _EDITS, False)
        return _impl(function)

    return mark if function is None else mark(function)


def edits(function: Callable[..., Any]) -> bool:
    """A hook may edit the message that it is handed: all do that don't say otherwise."""
    return bool(getattr(function, _EDITS, True))


class Service(Protocol):
    """What `started` is handed: the running program, read-only."""

    @property
    def listeners(self) -> list[str]: ...


class Spec(NamedTuple):
    """What is known of a hook: its kind, and the facts that an implementation may ask for by name."""

    kind: Literal["ask", "tell"]
    arguments: tuple[str, ...]


HOOKS: dict[str, Spec] = {}
"""Every hook by its name, in the order mail meets them."""


def ask(function: _Hook) -> _Hook:
    """Specify a hook whose first verdict counts."""
    HOOKS[function.__name__] = Spec("ask", tuple(inspect.signature(function).parameters))
    return _spec(function)


def tell(function: _Hook) -> _Hook:
    """Specify a hook that everybody hears."""
    HOOKS[function.__name__] = Spec("tell", tuple(inspect.signature(function).parameters))
    return _spec(function)


Answer = Verdict | None


@tell
def started(service: Service) -> None:
    """The program runs and all listeners are open."""


@ask
def connected(session: Session) -> Answer:
    """A client is there; nothing was said yet. A verdict stands in place of the greeting and ends it."""


@ask
def route(session: Session) -> Route | None:
    """Which upstream? Asked where the listener says `upstream: route`; the first `Route` wins."""


@tell
def session_opened(session: Session) -> None:
    """Both legs stand and the client has been greeted."""


@tell
def tls_started(session: Session, leg: Leg) -> None:
    """A handshake on `leg` succeeded; `session.client_tls` or `session.upstream_tls` says what was agreed."""


@ask
def helo(session: Session, name: str) -> Answer:
    """SMTP, LMTP: the client says who it is (HELO, EHLO, LHLO). A verdict refuses the command."""


@ask
def login(session: Session, credentials: Credentials) -> Answer:
    """A client logs in by a mechanism we can read. A verdict keeps the credentials from upstream."""


@tell
def logged_in(session: Session) -> None:
    """Upstream accepted the login; `session.login` and `session.mechanism` are set."""


@ask
def mail_from(session: Session, envelope: Envelope) -> Answer:
    """SMTP, LMTP: MAIL FROM; `envelope` has the sender. A verdict refuses the transaction."""


@ask
def rcpt_to(session: Session, envelope: Envelope, recipient: Recipient) -> Answer:
    """SMTP, LMTP: RCPT TO. A verdict refuses this recipient, the others stand."""


@ask
def command(session: Session, command: Command) -> Answer:
    """Any command without a hook of its own. A verdict refuses it; its arguments may be rewritten."""


@ask
def message_head(session: Session, message: Message) -> Answer:
    """The header is complete, the body not read. A verdict refuses the message; the header may be edited."""


@ask
def message(session: Session, message: Message) -> Answer:
    """The whole message, `message.stage` says where. As `message_head`, but listening costs a spool."""


@ask
def sign(session: Session, message: Message) -> Answer:
    """After all `message` hooks: the octets that will leave. Only headers on top may be added."""


@tell
def message_done(session: Session, transaction: Transaction) -> None:
    """The fate of a message is known: `transaction` has outcome, size, reply and durations."""


@tell
def session_closed(session: Session) -> None:
    """Both legs are closed; `session.closed` says why."""


@tell
def stopping() -> None:
    """The program is about to end."""
