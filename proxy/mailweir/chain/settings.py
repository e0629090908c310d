"""A mapping of the configuration becomes the plugin's own model, or a list of what is wrong with it.

Keys that a model does not know are a mistake whether its author thought of `extra="forbid"` or not.
Reasons never hold the value that was wrong: it may be a secret.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mailweir.chain import mistakes
from mailweir.chain.mistakes import PluginError, Problem, hint
from mailweir.chain.plug import KEEPERS

NOT_ITS_OWN = ("use", *KEEPERS)
"""Keys that stand beside the plugin's own; they are near misses too."""


def validated(name: str, model: type[BaseModel], options: Mapping[str, Any], folder: Path) -> BaseModel:
    """`options` as `model`; `PluginError` with every mistake. Relative paths in it begin in `folder`."""
    problems = list(_unknown(model, options))
    try:
        settings = model.model_validate(dict(options), context={"folder": folder})
    except ValidationError as error:
        problems += [
            _problem(model, detail) for detail in error.errors(include_input=False, include_url=False)
        ]
    if problems:
        raise PluginError(name, *dict.fromkeys(problems))
    return settings


def refused(name: str, what: str, options: Mapping[str, Any]) -> None:
    """`PluginError` if there are settings for `what`, which takes none."""
    problems = [Problem((key,), f"{what} has no settings{hint(key, NOT_ITS_OWN)}") for key in options]
    if problems:
        raise PluginError(name, *problems)


def _unknown(model: type[BaseModel], options: Mapping[str, Any]) -> Iterator[Problem]:
    if model.model_config.get("extra") != "allow":
        known = _keys(model)
        for key in options:
            if key not in known:
                yield _no_such_key((key,), known)


def _problem(model: type[BaseModel], detail: ErrorDetails) -> Problem:
    path = tuple(detail["loc"])
    kind = detail["type"]
    if kind == "extra_forbidden":
        within = _model_at(model, path[:-1])
        return _no_such_key(path, _keys(within) if within else [])
    if kind == "missing":
        return Problem(path, "is missing")
    reason = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return Problem(path, reason[:1].lower() + reason[1:])


def _no_such_key(path: mistakes.Path, known: list[str]) -> Problem:
    near = hint(str(path[-1]), [*known, *NOT_ITS_OWN] if len(path) == 1 else known)
    return Problem(path, f"there is no such setting{near}")


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], path: mistakes.Path) -> type[BaseModel] | None:
    """The model that the value at `path` should have become, if it is easily said."""
    found: type[BaseModel] | None = model
    for key in path:
        if found is not None and key in found.model_fields:
            found = next(_models_in(found.model_fields[str(key)].annotation), None)
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
