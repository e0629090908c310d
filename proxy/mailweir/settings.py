"""What settings may be made of, beyond what pydantic has: secrets, and paths beside the configuration.

Both are types for a plugin's `Settings`. Relative paths begin in the folder of the configuration file,
which the loader hands to pydantic as `context={"folder": ...}`.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import core_schema


def folder(info: ValidationInfo) -> Path:
    """Where relative paths begin."""
    return Path((info.context or {}).get("folder", "."))


def _located(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("must be a path")
    return folder(info) / value


ConfigPath = Annotated[Path, BeforeValidator(_located)]
"""A path, made absolute with the configuration's folder; nothing is opened."""


class Secret:
    """A secret: given as a text, as `{env: NAME}`, or as `{file: PATH}`.

    It is read once, when the configuration is, and never printed: ask for it by `text` or `octets`.

    >>> Secret(b"swordfish\\n", "file key")
    Secret(file key)
    >>> Secret(b"swordfish\\n", "file key").text()
    'swordfish'
    """

    __slots__ = ("_octets", "source")

    def __init__(self, octets: bytes, source: str = "text") -> None:
        self._octets = octets
        self.source = source

    def octets(self) -> bytes:
        """All of it, as it was found."""
        return self._octets

    def text(self) -> str:
        """As UTF-8, without the end of line that editors put at the end of a file."""
        return self._octets.decode().removesuffix("\n").removesuffix("\r")

    def __repr__(self) -> str:
        return f"Secret({self.source})"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            cls._read, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def _read(cls, value: object, info: ValidationInfo) -> "Secret":
        if isinstance(value, Secret):
            return value
        if isinstance(value, str) and value:
            return cls(value.encode())
        match value:
            case {"env": str(name), **more} if not more:
                if name not in os.environ:
                    raise ValueError(f"the environment has no variable {name}")
                return cls(os.environb[name.encode()], f"env {name}")
            case {"file": str(name), **more} if not more:
                path = folder(info) / name
                try:
                    return cls(path.read_bytes(), f"file {path}")
                except OSError as error:
                    raise ValueError(f"can't read {path}: {error.strerror}") from error
        raise ValueError("must be a text, {env: NAME} or {file: PATH}")
