"""From a name or a path to a plugin, ready to be asked; or one `PluginError` that says what to do.

    use: dkim              the entry point `dkim` of the group `mailweir`, in whatever is installed
    use: ./policy.py       a file, beside the configuration; the module is the plugin
    use: ./policy.py:Spam  a class in that file

A class is called with its validated settings; anything else is used as it is. What is installed but not
listed is not imported.
"""

import inspect
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from mailweir.chain import files
from mailweir.chain.links import implementations
from mailweir.chain.mistakes import USE, PluginError, Problem, hint
from mailweir.chain.settings import refused, validated
from mailweir.hookspecs import GROUP


class Installed(NamedTuple):
    """A plugin that could be named: its entry point, and the distribution it came with."""

    name: str
    where: str
    distribution: str
    version: str


BROKEN = (Exception, SystemExit)
"""What code of others may raise while it is loaded. `sys.exit()` there must not end a program that runs."""


def installed() -> list[Installed]:
    """Everything that is installed, by name; nothing is imported."""
    return sorted(
        Installed(point.name, point.value, point.dist.name, point.dist.version)
        for point in metadata.entry_points(group=GROUP)
        if point.dist is not None
    )


def load(name: str, use: str | None, options: Mapping[str, Any], folder: Path) -> object:
    """The plugin under the name `name`. `use` is what the configuration says, by default the name itself;
    `options` are its own settings; `folder` is that of the configuration file."""
    use = use or name
    found = _from_file(name, use, folder) if files.is_path(use) else _from_entry_point(name, use)
    return make(name, found, options, folder)


def make(name: str, found: object, options: Mapping[str, Any], folder: Path) -> object:
    """A module, a class or an object becomes a plugin whose hooks have been looked at."""
    plugin = _called(name, found, options, folder) if isinstance(found, type) else found
    if plugin is found:
        refused(name, f"{name} is no class and", options)
    implementations(name, plugin)
    return plugin


def _called(name: str, cls: type, options: Mapping[str, Any], folder: Path) -> object:
    model = getattr(cls, "Settings", None)
    arguments = []
    if isinstance(model, type) and issubclass(model, BaseModel):
        arguments = [validated(name, model, options, folder)]
    elif model is not None:
        reason = f"{cls.__name__}.Settings must be a pydantic model ({_file_of(cls)})"
        raise PluginError(name, Problem(USE, reason))
    else:
        refused(name, f"{cls.__name__} has no Settings, so it", options)
    try:
        return cls(*arguments)
    except (ValueError, OSError) as error:  # what a plugin says about its settings
        raise PluginError(name, Problem((), f"{error} ({_file_of(cls)})")) from error
    except BROKEN as error:
        reason = f"{cls.__name__} could not be made: {type(error).__name__}: {error} ({_file_of(cls)})"
        raise PluginError(name, Problem(USE, reason)) from error


def _from_entry_point(name: str, use: str) -> object:
    points = list(metadata.entry_points(group=GROUP, name=use))
    if not points:
        near = hint(use, (plugin.name for plugin in installed()))
        reason = (
            f"no plugin {use} is installed{near or ';'} `mailweir plugins` lists what is, "
            f"and `{sys.executable} -m pip install mailweir-{use}` may install it"
        )
        raise PluginError(name, Problem(USE, reason))
    if len(points) > 1:
        offers = " and ".join(point.dist.name if point.dist else point.value for point in points)
        raise PluginError(name, Problem(USE, f"{offers} both offer a plugin {use}; uninstall one"))
    try:
        return points[0].load()
    except BROKEN as error:
        raise PluginError(name, Problem(USE, f"{points[0].value} {files.not_imported(error)}")) from error


def _from_file(name: str, use: str, folder: Path) -> object:
    where, _, wanted = use.partition(".py:")
    path = folder / (f"{where}.py" if wanted else use)
    try:
        module = files.module_at(path)
    except FileNotFoundError as error:
        raise PluginError(name, Problem(USE, f"there is no file {path}")) from error
    except BROKEN as error:
        raise PluginError(name, Problem(USE, f"{path} {files.not_imported(error)}")) from error
    if not wanted:
        return module
    if not hasattr(module, wanted):
        near = hint(wanted, vars(module))
        raise PluginError(name, Problem(USE, f"there is no {wanted} in {path}{near}"))
    return getattr(module, wanted)


def _file_of(cls: type) -> str:
    try:
        return inspect.getfile(cls)
    except (TypeError, OSError):
        return cls.__module__
