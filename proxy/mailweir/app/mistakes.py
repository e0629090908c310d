"""What is wrong with a configuration, said so that the keeper can mend it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake at its place. Lines and columns count from 1; `key` is dotted, empty for the whole file.

    A `warning` is worth a look, but does not keep mailweir from running.
    """

    file: str
    line: int
    column: int
    key: str
    reason: str
    warning: bool = False

    def __str__(self) -> str:
        what = f"{self.key}: {self.reason}" if self.key else self.reason
        return f"{self.file}:{self.line}:{self.column}: {'warning: ' if self.warning else ''}{what}"
