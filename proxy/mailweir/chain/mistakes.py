"""What is wrong with a plugin, said so that its author or the keeper knows what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One mistake. `path` leads to the key below the plugin's entry; `()` is the entry itself.

    `("use",)` is the plugin as such: where the entry has no `use`, its name says which one.
    """

    path: Path
    reason: str


class PluginError(ValueError):
    """A plugin can't be used; mailweir does not start. As text: one sentence."""

    def __init__(self, plugin: str, *problems: Problem) -> None:
        self.plugin = plugin
        self.problems = problems
        said = (f"{dotted(path)}: {reason}" if path not in ((), USE) else reason for path, reason in problems)
        super().__init__(f"plugin {plugin}: {'; '.join(said)}")


USE: Path = ("use",)


def dotted(path: Path) -> str:
    """`("hosts", 0, "name")` as `hosts[0].name`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def hint(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the word that comes nearest, or nothing.

    >>> hint("rcpt_too", ["rcpt_to", "route"])
    '; did you mean rcpt_to?'
    """
    near = get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
