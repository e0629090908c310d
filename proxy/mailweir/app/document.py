"""One YAML 1.2 file: its data as plain Python, and where each part of it stands.

ruamel.yaml reads the file into nodes, which know their places and all keys, those said twice included; the
data is made of them here. A part is named by its path of keys and indexes, `("listeners", "mx")`. Keys are
always strings, as they were written.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from mailweir.app.mistakes import Mistake

Keys = Sequence[str | int]
Place = tuple[int, int]
Parts = tuple[str, ...]

MERGE = "tag:yaml.org,2002:merge"

BETTER = {
    "'\\t' that cannot start": "a tab stands here; indent by spaces",
    "mapping values are not allowed": "a second `: ` in one line; indent what belongs below, or quote the text",
    "undefined alias": "an alias (*) without its anchor (&); a text that begins with * stands in quotes",
    "constructor for the tag": "a tag (!) that means nothing here; a text that begins with ! stands in quotes",
    "another document": "a second document begins here (---); there can be one only",
}
"""Signs in the parser's words -> what to say instead."""


class Document:
    """`data` is None if there is none to be had; then, and for keys said twice, there are `mistakes`.

    What a mistake says never holds a value from the file: it may be a secret.
    """

    def __init__(self, path: Path) -> None:
        self.file = str(path)
        self.folder = path.absolute().parent
        self.data: Any = None
        self.mistakes: list[Mistake] = []
        self._scalar: Callable[[Node], Any]
        self._keys: dict[Parts, Place] = {(): (1, 1)}
        self._values: dict[Parts, Place] = {(): (1, 1)}
        try:
            text = path.read_text("utf-8-sig")
        except OSError as error:
            self._complain((1, 1), f"can't be read: {error.strerror}")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self._complain((line, 1), "is not UTF-8")
        else:
            self._read(text)

    def mistake(self, keys: Keys, reason: str, *, at_key: bool = False, warning: bool = False) -> Mistake:
        """A mistake at `keys`, or at as much of that path as the file has; the rest is only named."""
        path = tuple(map(str, keys))
        places = self._keys if at_key else self._values
        known = next(path[:end] for end in range(len(path), -1, -1) if path[:end] in places)
        line, column = (places if known == path else self._keys)[known]
        return Mistake(self.file, line, column, ".".join(path), reason, warning)

    def has(self, keys: Keys) -> bool:
        """The file says something at this path."""
        return tuple(map(str, keys)) in self._values

    def told(self, keys: Keys) -> tuple[str | int, ...]:
        """`keys` without what leads below a text or number: pydantic also names branches of a union."""
        node, told = self.data, []
        for key in keys:
            if not isinstance(node, dict | list):
                break
            told.append(key)
            inside = node.items() if isinstance(node, dict) else enumerate(node)
            node = dict(inside).get(key)
        return tuple(told)

    def names(self, section: str) -> list[str]:
        """The keys below a section, whatever stands there."""
        return [path[1] for path in self._keys if len(path) == 2 and path[0] == section]

    def _read(self, text: str) -> None:
        yaml = YAML(typ="safe", pure=True)
        try:
            node = yaml.compose(text)
            if node is not None:
                self._scalar = yaml.constructor.construct_object
                self.data = self._value(node, (), ())
            if self.data is None:
                self._complain((1, 1), "is empty")
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self._complain(place, f"is not YAML: {_problem(error)}")
        except ReaderError as error:
            before = text[: error.position]
            place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
            self._complain(place, "is not YAML: a control character stands here")
        except YAMLError:
            self._complain((1, 1), "is not YAML")
        except RecursionError:
            self._complain((1, 1), "is nested too deeply")

    def _value(self, node: Node, path: Parts, above: tuple[Node, ...]) -> Any:
        nothing = isinstance(node, ScalarNode) and not node.value and node.style is None
        self._values[path] = self._keys[path] if nothing else _place(node)
        if any(node is other for other in above):
            self.mistakes.append(self.mistake(path, "an alias that holds itself"))
            return None
        above = (*above, node)
        if isinstance(node, MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                self._keys[*path, str(index)] = _place(item)
                items.append(self._value(item, (*path, str(index)), above))
            return items
        try:
            return self._scalar(node)
        except ValueError:  # a date like 2026-99-99, or !!int before a word
            self.mistakes.append(self.mistake(path, "is no such number or date; a text stands in quotes"))
            return None

    def _mapping(self, node: MappingNode, path: Parts, above: tuple[Node, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == MERGE:
                for part in value.value if isinstance(value, SequenceNode) else [value]:
                    merged = self._value(part, path, above)
                    data = {**merged, **data} if isinstance(merged, dict) else data
        own: dict[str, Place] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            inner = (*path, name)
            if name in own:
                reason = f"stands here twice, first on line {own[name][0]}"
                self.mistakes.append(Mistake(self.file, *_place(key), ".".join(inner), reason))
            elif key.tag != MERGE:
                own[name] = self._keys[inner] = _place(key)
                data[name] = self._value(value, inner, above)
        self._values[path] = _place(node)
        return data

    def _complain(self, place: Place, reason: str) -> None:
        self.mistakes.append(Mistake(self.file, *place, "", reason))


def _place(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _problem(error: MarkedYAMLError) -> str:
    """The parser's words on one line, or better ones; nothing quoted from the file but single characters."""
    words = " ".join(part for part in (error.context, error.problem) if part)
    words = " ".join(words.split())
    for sign, better in BETTER.items():
        if sign in words:
            return better
    return re.sub(
        r"'([^']*)'", lambda said: said[0] if len(said[1]) < 3 or said[1][0] == "<" else "'...'", words
    )
