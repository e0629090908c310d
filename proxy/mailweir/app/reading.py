"""From a file to a `Configuration`, or to everything that is wrong with it, at once.

A value that is wrong in itself is taken out and the rest is looked at all the same, so that the keeper is
told of a plugin that is missing in the same breath as of a misspelt key.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mailweir.app.checks import cross_checks
from mailweir.app.config import Configuration, Model
from mailweir.app.document import Document
from mailweir.app.mistakes import Mistake
from mailweir.app.plugging import plug_in
from mailweir.chain.chain import Plug
from mailweir.chain.mistakes import hint
from mailweir.verdict import printable


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file gave. `configuration` is None if any of `mistakes` is more than a warning.

    `plugs` are the plugins that its listeners list, made and ready to be put into chains.
    """

    configuration: Configuration | None
    mistakes: list[Mistake] = field(default_factory=list)
    plugs: dict[str, Plug] = field(default_factory=dict)


def read(path: str | Path) -> Reading:
    """Read and check a configuration, and load its plugins; the network is not touched."""
    document = Document(Path(path))
    mistakes = list(document.mistakes)
    data = copy.deepcopy(document.data)
    if data is None:
        return Reading(None, mistakes)
    configuration: Configuration | None = None
    while configuration is None:
        try:
            configuration = Configuration.model_validate(data, context={"folder": document.folder})
        except ValidationError as error:
            details = error.errors(include_url=False)
            mistakes += filter(None, (_mistake(document, detail) for detail in details))
            if not isinstance(data, dict):
                return Reading(None, mistakes)
            gone: set[tuple[str, ...]] = set()
            for detail in details:
                _take_out(data, detail, gone)
    plugs, unpluggable = plug_in(document, configuration)
    mistakes = sorted({*mistakes, *unpluggable, *cross_checks(document, configuration)})
    if any(not mistake.warning for mistake in mistakes):
        return Reading(None, mistakes)
    return Reading(configuration, mistakes, plugs)


STAND_INS = {"protocol": "smtp", "listen": "127.0.0.1:0"}
"""What a listener without is given, so that the rest of it, its plugins first, is looked at all the same."""


def _take_out(data: dict[str, Any], detail: ErrorDetails, gone: set[tuple[str, ...]]) -> None:
    """Remove what is wrong: of something missing what it is missing from, of a list the whole list.

    `gone` are the paths that were taken out before; what stood there may be complained of more than once.
    """
    loc = tuple(map(str, detail["loc"]))
    if any(loc[:end] in gone for end in range(1, len(loc) + 1)):
        return
    if detail["type"] == "missing" and loc[0] == "listeners" and loc[-1] in STAND_INS:
        data["listeners"][loc[1]][loc[-1]] = STAND_INS[loc[-1]]
        return
    holder: dict[str, Any] = {}
    inner: Any = data
    depth = 0
    for key in loc:
        if not isinstance(inner, dict) or key not in inner:
            break
        holder, inner = inner, inner[key]
        depth += 1
    if depth:
        del holder[loc[depth - 1]]
        gone.add(loc[:depth])


def _mistake(document: Document, detail: ErrorDetails) -> Mistake | None:
    """pydantic's complaint in our words at its place; None if we caused it by taking something out."""
    kind, loc, context = detail["type"], list(detail["loc"]), detail.get("ctx", {})
    if kind == "missing":
        return None if document.has(loc) else document.mistake(loc, "is required", at_key=True)
    if loc and loc[-1] == "[key]":
        reason = "a name is at most 64 letters, digits and _ . -"
        return document.mistake(loc[:-1], reason, at_key=True)
    if kind == "extra_forbidden":
        return document.mistake(loc, _unknown_key(loc), at_key=True)
    loc = [*document.told(loc)]
    if kind == "value_error":
        return document.mistake(loc, str(context["error"]))
    reason = REASONS.get(kind, detail["msg"]).format(**context)
    said = detail["input"]
    if isinstance(said, str | int | float):
        reason += f", not {printable(str(said), 40)}"
    if kind == "list_type" and isinstance(said, str):
        reason += f"; write [{printable(said, 40)}]"
    if kind == "literal_error":
        reason = reason.replace("'", "") + hint(str(said), context["expected"].split("'")[1::2])
    return document.mistake(loc, reason)


REASONS = {
    "literal_error": "must be {expected}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping, `key: value`",
    "model_type": "must be a mapping, `key: value`",
}


def _unknown_key(loc: Sequence[str | int]) -> str:
    model = _model_at(loc[:-1])
    if loc[-1] in model.later:
        return "this version does not have it"
    known = list(model.model_fields)
    return f"no such key{hint(str(loc[-1]), known) or '; there are ' + ', '.join(known)}"


def _model_at(loc: Sequence[str | int]) -> type[Model]:
    """The model whose keys stand below `loc`; names and indexes on the way are passed over."""
    model: type[Model] = Configuration
    for part in loc:
        if part in model.model_fields:
            model = next(_models(model.model_fields[str(part)].annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[Model]]:
    """The models in an annotation like `dict[str, Listener]` or `Admin | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
