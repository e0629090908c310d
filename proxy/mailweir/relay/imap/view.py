"""A command as plugins see it, and as it goes up after they changed something: that alone (RFC 9051 9)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mailweir.relay.imap import shapes
from mailweir.relay.imap.shapes import Means
from mailweir.session import Command
from mailweir.wire import imap_mailbox
from mailweir.wire.imap_arguments import Edit, Node, Unreadable, Word, edited, parse, spelled, words

ALIKE = ({"SELECT", "EXAMINE"}, {"COPY", "MOVE"}, {"UID COPY", "UID MOVE"}, {"CLOSE", "UNSELECT"})
"""Commands that take the same arguments, so that one may be said for the other."""

CHANGEABLE = ("name", "arguments", "mailbox", "target", "numbers", "items", "flags")

_NUMBERS = re.compile(r"[0-9*:,$]+")


class NotSayable(ValueError):
    """A plugin's change makes no command."""


@dataclass(slots=True)
class View:
    """One command. `texts` are its arguments, with one of `literals` behind each but the last.

    `utf8`: the client enabled UTF-8 in names (RFC 9755 3).
    """

    name: str
    texts: list[bytes]
    literals: list[bytes]
    utf8: bool = False
    command: Command = field(init=False)
    _seen: Command = field(init=False)
    _places: dict[Means, list[Node]] = field(init=False)

    def __post_init__(self) -> None:
        try:
            places = shapes.read(self.name, parse(self.texts, self.literals))
        except Unreadable:
            places = None
        self._places = places or {}
        self.command = self._shown(places is not None)
        self._seen = self._shown(places is not None)

    def changed(self) -> tuple[str, list[bytes], list[bytes]] | None:
        """Name, texts and literals as the plugins left them; None if as they came. `NotSayable`."""
        command, seen = self.command, self._seen
        if all(getattr(command, name) == getattr(seen, name) for name in CHANGEABLE):
            return None
        name = command.name
        if name != seen.name and not any({name, seen.name} <= group for group in ALIKE):
            raise NotSayable(f"{name} can't be said for {seen.name}")
        if command.arguments != seen.arguments:
            return name, [command.arguments, *self.texts[1:]], self.literals
        made = edited(self.texts, self.literals, list(self._edits()))
        try:
            lawful = shapes.read(name, parse(*made)) is not None
        except Unreadable as error:
            raise NotSayable(str(error)) from None
        if not lawful:
            raise NotSayable(f"these are no arguments of {name}")
        return name, *made

    def _shown(self, readable: bool) -> Command:
        mailbox, target = self._mailbox(Means.MAILBOX), self._mailbox(Means.TARGET)
        return Command(
            self.name,
            self.texts[0],
            mailbox=mailbox or None,
            target=target or None,
            numbers=next(iter(self._said(Means.NUMBERS)), ""),
            items=self._said(Means.ITEMS) or self._said(Means.KEYS),
            flags=self._said(Means.FLAGS),
            how=next(iter(self._said(Means.WORD)), "").upper(),
            readable=readable and mailbox is not None and target is not None,
        )

    def _mailbox(self, means: Means) -> str | None:
        """The name that stands there, empty if there is none; None if it is no name."""
        for word in words(self._places.get(means, ())):
            return imap_mailbox.decoded(word.value, utf8=self.utf8)
        return ""

    def _said(self, means: Means) -> tuple[str, ...]:
        found = words(self._places.get(means, ()))
        return tuple(word.value.decode("utf-8", "surrogateescape") for word in found)

    def _edits(self) -> Iterator[Edit]:
        command, seen = self.command, self._seen
        for means, name, before in (
            (Means.MAILBOX, command.mailbox, seen.mailbox),
            (Means.TARGET, command.target, seen.target),
        ):
            if name != before:
                yield self._renamed(means, name)
        if command.numbers != seen.numbers:
            if not _NUMBERS.fullmatch(command.numbers):
                raise NotSayable(f"{command.numbers!r} are no message numbers")
            yield from self._replaced([Means.NUMBERS], (command.numbers,))
        if command.items != seen.items:
            yield from self._replaced([Means.ITEMS, Means.KEYS], command.items)
        if command.flags != seen.flags:
            yield from self._replaced([Means.FLAGS], command.flags)

    def _renamed(self, means: Means, name: str | None) -> Edit:
        node = next(iter(self._places.get(means, ())), None)
        if node is None or not name:
            raise NotSayable(f"{self.name} has no mailbox to change, or none was given")
        value = imap_mailbox.encoded(name, utf8=self.utf8)
        return _put(node.begin, node.end, value)

    def _replaced(self, where: Sequence[Means], values: tuple[str, ...]) -> Iterator[Edit]:
        """Word by word as long as there are as many as before; else all in parentheses."""
        means = next((means for means in where if self._places.get(means)), None)
        if means is None:
            raise NotSayable(f"{self.name} has none of what was changed")
        nodes = self._places[means]
        there = list(words(nodes))
        octets = [value.encode("utf-8", "surrogateescape") for value in values]
        if len(there) == len(octets):
            for word, value in zip(there, octets, strict=True):
                if word.value != value:
                    yield (
                        _put(word.begin, word.end, value)
                        if word.string
                        else Edit(word.begin, word.end, _atom(value))
                    )
        elif means in (Means.ITEMS, Means.FLAGS):
            listed = b"(" + b" ".join(map(_atom, octets)) + b")"
            yield Edit(nodes[0].begin, nodes[-1].end, listed)
        else:
            raise NotSayable(f"{self.name}: one word can only be put in the place of another")


def _put(begin: tuple[int, int], end: tuple[int, int], value: bytes) -> Edit:
    octets = spelled(value)
    return Edit(begin, end, literal=value) if octets is None else Edit(begin, end, octets)


def _atom(value: bytes) -> bytes:
    """A data item or a flag is a word by itself, and never a string."""
    try:
        (word,) = parse([value])
    except (Unreadable, ValueError):
        raise NotSayable("an item or flag is none") from None
    if not isinstance(word, Word) or word.string:
        raise NotSayable("an item or flag is none")
    return value
