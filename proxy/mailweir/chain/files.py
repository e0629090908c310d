"""Plugins that are a file beside the configuration: one file, one module, no package.

A file is run again only when its text has changed (SIGHUP); metrics that it defines are then defined
afresh. Nothing is written beside it, as Python's own import would.
"""

import sys
import traceback
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from mailweir import metrics

_loaded: dict[Path, tuple[bytes, ModuleType, "dict[str, metrics.Family[Any]]"]] = {}


def is_path(use: str) -> bool:
    """A path, and not the name of something installed."""
    return "/" in use or use.endswith(".py") or ".py:" in use


def module_at(path: Path) -> ModuleType:
    """The module in the file; raises whatever running it raises."""
    path = path.resolve()
    source = path.read_bytes()
    before = _loaded.get(path)
    if before is not None and before[0] == source:
        return before[1]
    name = f"mailweir_file_{path.stem}_{sha256(bytes(path)).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    replaced = before[2] if before is not None else {}
    for metric in replaced:
        metrics.FAMILIES.pop(metric, None)
    known = set(metrics.FAMILIES)
    outgoing = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and pydantic look their module up
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except BaseException:
        _forget(known)
        metrics.FAMILIES.update(replaced)
        sys.modules.pop(name)
        if outgoing is not None:
            sys.modules[name] = outgoing
        raise
    made = {metric: family for metric, family in metrics.FAMILIES.items() if metric not in known}
    _loaded[path] = (source, module, made)
    return module


def not_imported(error: BaseException) -> str:
    """Why a module could not be had, and where."""
    if isinstance(error, SyntaxError):
        return f"is not Python: {error.msg} (line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _foreign(frame.filename)]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"could not be imported: {type(error).__name__}: {error}{place}"


def _foreign(filename: str) -> bool:
    """Not ours, and not the import system's."""
    return (
        not filename.startswith("<frozen")
        and "importlib" not in filename
        and filename != __file__
        and (Path(filename).parent != Path(__file__).parent)
    )


def _forget(known: set[str]) -> None:
    for metric in set(metrics.FAMILIES) - known:
        del metrics.FAMILIES[metric]
