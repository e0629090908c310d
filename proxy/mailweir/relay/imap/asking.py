"""A command is put to the plugins, with all that it says (RFC 9051 6).

Literals of most commands are short, and taken in first: a mailbox is a mailbox, however it is spelt. The
message of an APPEND is not; there the name of the mailbox may be a literal of its own, and then goes up as a
string.
"""

from collections.abc import Callable

from mailweir.relay.imap import literals, words
from mailweir.relay.imap.base import ImapBase, Unit
from mailweir.relay.imap.literals import IN_MEMORY, Collect, Replay, Step
from mailweir.relay.imap.table import Slot
from mailweir.relay.imap.view import NotSayable, View
from mailweir.verdict import Decision
from mailweir.wire.imap import CRLF, CommandLine, Line, Octets
from mailweir.wire.imap_arguments import quoted, spelled
from mailweir.wire.imap_tokens import nearly_announced

Run = Callable[[CommandLine], None]
"""Who sees to a command that plugins agreed to."""

WITH_MESSAGE = frozenset({"APPEND", "REPLACE", "UID REPLACE"})
UNNAMED = frozenset({"ID", "ENABLE", "CAPABILITY", "LOGOUT", "IDLE", "STARTTLS"})
"""Commands that name nothing, so that a literal in them concerns nobody."""

_UTF8 = b" UTF8 ("


def ask(relay: ImapBase, event: CommandLine, run: Run) -> None:
    """Ask, then `run` the command as it may be, or send it up from here if it was taken in."""
    name, arguments = event.name, event.arguments
    if event.literal is None or name in UNNAMED:
        _Question(relay, event, View(name, [arguments], [], relay.utf8), run).put()
    elif name not in WITH_MESSAGE:
        Collect(relay, event.tag, lambda parts: _collected(relay, event, parts, run)).begin(event)
    elif len(arguments.split()) < (1 if name == "APPEND" else 2):
        _Named(relay, event, run).begin()
    else:
        text = arguments.removesuffix(_UTF8).removesuffix(b" ")
        _Question(relay, event, View(name, [text], [], relay.utf8), run, arguments[len(text) :]).put()


def _collected(relay: ImapBase, event: CommandLine, parts: list[Line | bytes], run: Run) -> None:
    texts = [event.arguments if part is event else part.before for part in parts if isinstance(part, Line)]
    values = [part for part in parts if isinstance(part, bytes)]
    _Question(relay, event, View(event.name, texts, values, relay.utf8), run, parts=parts).put()


class _Question:
    """One command and what becomes of it. `behind` stands between what is shown of it and its literal;
    `parts` are there if it was taken in as a whole.
    """

    def __init__(
        self,
        relay: ImapBase,
        event: CommandLine,
        view: View,
        run: Run,
        behind: bytes = b"",
        parts: list[Line | bytes] | None = None,
    ) -> None:
        self._relay = relay
        self._event = event
        self._view = view
        self._run = run
        self._behind = behind
        self._parts = parts

    def put(self) -> None:
        relay = self._relay
        relay.ask(self._judged, "command", session=relay.session, command=self._view.command)

    def _judged(self, decision: Decision | None) -> None:
        relay, event = self._relay, self._event
        if decision is not None and not decision.passes:
            if self._parts is None or words.closes(decision):
                literals.refuse_by(relay, event, decision)
            else:
                relay.answer(words.verdict(event.tag, decision, relay.session.id))
            return
        try:
            self._go_on()
        except NotSayable as error:
            relay.log.error("a plugin's command can't be sent", command=event.name, error=str(error))
            self._refuse(f"[UNAVAILABLE] local error ({relay.session.id})")

    def _refuse(self, text: str) -> None:
        octets = words.tagged(self._event.tag, "NO", text)
        if self._parts is None:
            literals.refuse(self._relay, self._event, octets)
        else:
            self._relay.answer(octets)

    def _go_on(self) -> None:
        relay, event, made = self._relay, self._event, self._view.changed()
        if made is None and self._parts is None:
            self._run(event)
        elif made is None:
            assert self._parts is not None
            literals.resend(relay, Slot(event.tag, event.name), self._parts)
        else:
            self._send(*made)

    def _send(self, name: str, texts: list[bytes], values: list[bytes]) -> None:
        """Send the command as the plugins left it."""
        relay, event = self._relay, self._event
        if not all(map(_one_line, texts)):
            raise NotSayable("CR, LF or NUL in arguments, or what looks like a literal")
        if self._parts is None and event.literal is not None:
            if values:
                raise NotSayable("no string can hold this name")
            self._run(event.replaced(texts[0] + self._behind, name))
            return
        if not values:
            self._run(CommandLine(event.head(name) + (b" " if texts[0] else b"") + texts[0] + CRLF))
            return
        lines = [event.head(name) + b" " + texts[0], *texts[1:-1]]
        steps = [
            Step(line + b"{%d}\r\n" % len(value), [value]) for line, value in zip(lines, values, strict=True)
        ]
        Replay(relay, Slot(event.tag, name), steps, texts[-1] + CRLF).begin()


class _Named(Unit):
    """Takes in the literal that names the mailbox of an APPEND, and puts a string in its place."""

    def __init__(self, relay: ImapBase, event: CommandLine, run: Run) -> None:
        self._relay = relay
        self._event = event
        self._run = run
        self._octets: list[bytes] = []

    def begin(self) -> None:
        relay, event = self._relay, self._event
        assert event.literal is not None
        if event.literal.size > IN_MEMORY:
            self._bad(event, "mailbox name too long")
            return
        relay.unit = self
        if event.literal.sync:
            relay.say(words.go_on())
            relay.from_client.literal_follows()

    def more(self, event: Line | Octets) -> None:
        if isinstance(event, Octets):
            self._octets.append(event.raw)
            return
        relay = self._relay
        relay.unit = None
        name = b"".join(self._octets)
        string = spelled(name) or (quoted(name) if relay.utf8 else None)
        if event.fault or string is None:
            self._bad(event, event.fault or "no mailbox has such a name")
            return
        whole = CommandLine(self._event.before + string + event.text + CRLF)
        whole.literal = event.literal
        ask(relay, whole, self._run)

    def _bad(self, event: Line, text: str) -> None:
        literals.refuse(self._relay, event, words.tagged(self._event.tag, "BAD", text))


def _one_line(text: bytes) -> bool:
    """Tell whether this is the rest of a line, and of no other shape."""
    return not any(octet in text for octet in b"\r\n\0") and nearly_announced(text) is None
