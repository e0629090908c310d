"""The plugins that the listeners list: loaded once, and what only they can tell about the configuration."""

from collections.abc import Iterator
from pathlib import Path

from mailweir.app.config import Configuration, Listener, PluginEntry
from mailweir.app.document import Document, Keys
from mailweir.app.mistakes import Mistake
from mailweir.chain import loader
from mailweir.chain.chain import Chain, Plug
from mailweir.chain.mistakes import USE, PluginError, hint
from mailweir.chain.plug import KEEPERS
from mailweir.hookspecs import HOOKS


def plug_in(document: Document, configuration: Configuration) -> tuple[dict[str, Plug], list[Mistake]]:
    """Every plugin that a listener lists, by its name, and what is wrong. Nothing else is imported."""
    plugs: dict[str, Plug] = {}
    mistakes: list[Mistake] = []
    for name, at in _listed(configuration).items():
        try:
            plugs[name] = _plug(name, configuration.plugins.get(name, PluginEntry()), document.folder)
        except PluginError as error:
            for path, reason in error.problems:
                mistakes.append(_mistake(document, name, path, reason, at))
    mistakes += _unused(document, configuration)
    for name, listener in configuration.listeners.items():
        if all(plugin in plugs for plugin in listener.plugins):
            chain = Chain(name, [plugs[plugin] for plugin in dict.fromkeys(listener.plugins)])
            mistakes += _chain_checks(document, chain, listener)
    return plugs, mistakes


def _plug(name: str, entry: PluginEntry, folder: Path) -> Plug:
    plugin = loader.load(name, entry.use, entry.options, folder)
    return Plug(name, plugin, **{key: getattr(entry, key) for key in KEEPERS})


def _listed(configuration: Configuration) -> dict[str, Keys]:
    """The names in the listeners' lists, and where each stands first."""
    listed: dict[str, Keys] = {}
    for name, listener in configuration.listeners.items():
        for index, plugin in enumerate(listener.plugins):
            listed.setdefault(plugin, ("listeners", name, "plugins", index))
    return listed


def _mistake(document: Document, name: str, path: Keys, reason: str, listed: Keys) -> Mistake:
    """At the plugin's entry; at the list that names it, if it has none."""
    entry = ("plugins", name)
    if not document.has(entry):
        if path == USE and name not in {plugin.name for plugin in loader.installed()}:
            known = [*document.names("plugins"), *(plugin.name for plugin in loader.installed())]
            reason = f"{name} is neither an entry under plugins nor installed{hint(name, known)}"
        return document.mistake(listed, reason)
    if path == USE and not document.has((*entry, "use")):
        return document.mistake(entry, reason, at_key=True)
    return document.mistake(document.told((*entry, *path)), reason, at_key=True)


def _unused(document: Document, configuration: Configuration) -> Iterator[Mistake]:
    listed = _listed(configuration)
    whole = len(configuration.listeners) == len(document.names("listeners"))
    for name in configuration.plugins:
        if whole and name not in listed:
            yield document.mistake(("plugins", name), "no listener lists it", at_key=True, warning=True)


def _chain_checks(document: Document, chain: Chain, listener: Listener) -> Iterator[Mistake]:
    at = ("listeners", chain.listener)
    if listener.unknown == "opaque" and chain.filtered:
        enforcing = {plug.name for plug in chain.plugs if plug.mode == "enforce"}
        asked = [name for hook, names in chain.order().items() if HOOKS[hook].kind == "ask" for name in names]
        first = next(name for name in asked if name in enforcing)
        reason = f"opaque would be a way round the plugin {first}; use auto or refuse"
        yield document.mistake((*at, "unknown"), reason)
    if listener.upstream == "route" and not chain.listens("route"):
        yield document.mistake((*at, "upstream"), "route asks the plugins, but none here has a hook route")
