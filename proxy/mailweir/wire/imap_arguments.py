"""The arguments of an IMAP command as a tree, each with its place, so that one can be changed alone.

A command that is here as a whole is a run of texts with a literal between each two. `parse` reads what RFC
9051 9 allows and nothing else: who decides by what stands in a command must not read it otherwise than the
server does, and of what is spelt in no lawful way nobody knows how the server reads it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DEPTH = 32
"""Parentheses within each other at most. Search keys of real clients nest three or four deep."""

Place = tuple[int, int]
"""Which text, and how far into it."""

_ATOM = re.compile(rb'[^\x00-\x20"(){\x7f]*+')
_ITEM = re.compile(rb"(?:BODY|BINARY)(?:\.PEEK|\.SIZE)?\[", re.IGNORECASE)
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]|\\["\\])*+)"')
_SECTION = re.compile(rb'(?:[^"\[\]\r\n\0]|"(?:[^"\\\r\n\0]|\\["\\])*+")*+')
_PARTIAL = re.compile(rb"(?:<[0-9]+(?:\.[0-9]+)?>)?")
_ESCAPE = re.compile(rb'\\(["\\])')
_ASTRING = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\]^_`a-z|}~]+")
_QUOTABLE = re.compile(rb"[^\r\n\0]*")


class Word(NamedTuple):
    """An atom, a string, or a data item with its section (`BODY[HEADER.FIELDS (TO)]<0.9>`).

    `value` is what it says, `string` whether it was quoted or a literal.
    """

    value: bytes
    string: bool
    begin: Place
    end: Place


class Group(NamedTuple):
    """What stands in one pair of parentheses."""

    nodes: "tuple[Node, ...]"
    begin: Place
    end: Place


Node = Word | Group


class Unreadable(ValueError):
    """Not what the grammar allows."""


def parse(texts: Sequence[bytes], literals: Sequence[bytes] = ()) -> tuple[Node, ...]:
    """What stands in `texts`, a literal behind each but the last; `Unreadable` if it isn't lawful.

    >>> parse([b'1:* (FLAGS BODY[]<0.9>)'])[1].nodes[1].value
    b'BODY[]<0.9>'
    """
    return _Parser(texts, literals).run()


def spelled(value: bytes) -> bytes | None:
    """`value` as an atom or a quoted string; None if only a literal can hold it.

    >>> spelled(b"INBOX"), spelled(b"Sent Items"), spelled(b"NIL")
    (b'INBOX', b'"Sent Items"', b'"NIL"')
    """
    if _ASTRING.fullmatch(value) and value.upper() != b"NIL":
        return value
    return quoted(value) if value.isascii() else None


def quoted(value: bytes) -> bytes | None:
    """`value` as a quoted string, in which UTF-8 is lawful only if the client enabled it (RFC 9051 9)."""
    if _QUOTABLE.fullmatch(value):
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return None


@dataclass(frozen=True, slots=True)
class Edit:
    """Put something in the place of what stands there: `octets` as they are, or `literal`."""

    begin: Place
    end: Place
    octets: bytes = b""
    literal: bytes | None = None


def edited(
    texts: Sequence[bytes], literals: Sequence[bytes], edits: Sequence[Edit]
) -> tuple[list[bytes], list[bytes]]:
    """The command with these edits, which don't overlap; all other octets stay.

    >>> edited([b"a b c"], [], [Edit((0, 2), (0, 3), literal=b"x")])
    ([b'a ', b' c'], [b'x'])
    """
    made, held = [b""], []
    here: Place = (0, 0)

    def copy(to: Place) -> None:
        part, at = here
        while part < to[0]:
            made[-1] += texts[part][at:]
            held.append(literals[part])
            made.append(b"")
            part, at = part + 1, 0
        made[-1] += texts[part][at : to[1]]

    for edit in sorted(edits, key=lambda edit: edit.begin):
        copy(edit.begin)
        made[-1] += edit.octets
        if edit.literal is not None:
            held.append(edit.literal)
            made.append(b"")
        here = edit.end
    copy((len(texts) - 1, len(texts[-1])))
    return made, held


def words(nodes: Sequence[Node]) -> Iterator[Word]:
    """All words, whatever parentheses they stand in."""
    for node in nodes:
        if isinstance(node, Word):
            yield node
        else:
            yield from words(node.nodes)


class _Parser:
    """Goes once over the texts. Groups that are open stand in a list, so depth costs no recursion."""

    def __init__(self, texts: Sequence[bytes], literals: Sequence[bytes]) -> None:
        if len(texts) != len(literals) + 1:
            raise Unreadable("a literal is missing")
        self._texts = texts
        self._literals = literals
        self._part = 0
        self._at = 0

    def run(self) -> tuple[Node, ...]:
        if self._done and not self._texts[0]:
            return ()
        open_: list[tuple[Place, list[Node]]] = []
        nodes: list[Node] = []
        while True:
            if self._next(b"("):
                open_.append(((self._part, self._at - 1), nodes))
                if len(open_) > DEPTH:
                    raise Unreadable("too many parentheses within each other")
                nodes = []
                if not self._next(b")", peek=True):
                    continue
            else:
                nodes.append(self._word())
            while self._next(b")"):
                if not open_:
                    raise Unreadable("a parenthesis too many")
                begin, outer = open_.pop()
                outer.append(Group(tuple(nodes), begin, (self._part, self._at)))
                nodes = outer
            if self._done:
                break
            if not self._next(b" ") and not (self._next(b"(", peek=True) and open_):
                raise Unreadable("no blank between two arguments")
        if open_:
            raise Unreadable("a parenthesis does not end")
        return tuple(nodes)

    @property
    def _text(self) -> bytes:
        return self._texts[self._part]

    @property
    def _done(self) -> bool:
        return self._part == len(self._texts) - 1 and self._at == len(self._text)

    def _next(self, octet: bytes, *, peek: bool = False) -> bool:
        found = self._text[self._at : self._at + 1] == octet
        if found and not peek:
            self._at += 1
        return found

    def _word(self) -> Word:
        begin = (self._part, self._at)
        if self._at == len(self._text):
            value = self._literal()
            return Word(value, True, begin, (self._part, self._at))
        quoted = _QUOTED.match(self._text, self._at)
        if quoted is not None:
            self._at = quoted.end()
            return Word(_ESCAPE.sub(rb"\1", quoted[1]), True, begin, (self._part, self._at))
        item = _ITEM.match(self._text, self._at)
        if item is not None:
            self._at = item.end()
            atom = item[0] + self._section() + b"]" + self._match(_PARTIAL)
        else:
            atom = self._match(_ATOM)
        if not atom:
            raise Unreadable("an argument is empty")
        return Word(atom, False, begin, (self._part, self._at))

    def _literal(self) -> bytes:
        if self._part == len(self._literals):
            raise Unreadable("an argument is missing")
        self._part += 1
        self._at = 0
        return self._literals[self._part - 1]

    def _section(self) -> bytes:
        """Up to the closing bracket; names of fields in it may be strings of any kind."""
        section = self._match(_SECTION)
        while self._at == len(self._text):
            value = spelled(self._literal())
            if value is None:
                raise Unreadable("no field has such a name")
            section += value + self._match(_SECTION)
        if not self._next(b"]"):
            raise Unreadable("a section does not end")
        return section

    def _match(self, pattern: re.Pattern[bytes]) -> bytes:
        found = pattern.match(self._text, self._at)
        assert found is not None  # each of them matches nothing, too
        self._at = found.end()
        return found[0]
