"""What the commands print: tables for people, JSON for programs.

Colours only at a terminal, and never with NO_COLOR. Where nobody looks (files, pipes) tables are as wide as
they need.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mailweir.app.config import Configuration, Listener
from mailweir.app.reading import Reading, read
from mailweir.chain import loader
from mailweir.chain.chain import Chain, Plug
from mailweir.hookspecs import HOOKS
from mailweir.verdict import printable

if TYPE_CHECKING:
    from mailweir.app.probe import Finding

WIDE = 1000
"""Columns of a file or pipe."""
TOWARDS = {
    "none": "",
    "opportunistic": ", STARTTLS if offered",
    "starttls": ", STARTTLS",
    "implicit": ", TLS",
}


def reading(file: str) -> Reading:
    """Read a configuration; what is wrong with it goes to standard error, a line each."""
    err = _console(sys.stderr)
    found = read(file)
    for mistake in found.mistakes:
        err.print(Text(printable(str(mistake), 2000), "yellow" if mistake.warning else "red"), soft_wrap=True)
    return found


def summary(file: str, configuration: Configuration) -> None:
    """What a sound configuration would do."""
    out = _console(sys.stdout)
    out.print(f"{file}: ok", style="green", soft_wrap=True)
    rows = []
    for name, listener in configuration.listeners.items():
        listens = f"{listener.protocol} on {', '.join(listener.listen)}"
        rows.append(
            (name, listens, _tls(listener), f"to {_target(configuration, listener)}", _through(listener))
        )
    _table(out, ("listener", "listens", "TLS", "goes", "through"), rows)
    if configuration.admin is not None:
        out.print(f"metrics and health on http://{configuration.admin.listen}", soft_wrap=True)


def findings(found: "Sequence[Finding]") -> None:
    """What the servers behind us said, and what is to be done about it."""
    out = _console(sys.stdout)
    rows = [
        (
            finding.upstream,
            finding.protocol,
            finding.reached or finding.address,
            "failed" if finding.failure else finding.tls.version if finding.tls is not None else "none",
            ""
            if finding.certificate is None
            else finding.certificate.subject.rfc4514_string() or "no subject",
            "" if finding.days is None else str(finding.days),
            ", ".join(finding.offers),
        )
        for finding in found
    ]
    _table(out, ("upstream", "speaks", "at", "TLS", "certificate", "days left", "offers"), rows)
    for finding in found:
        where = f"{finding.upstream} ({finding.protocol} at {finding.address})"
        if finding.failure:
            out.print(Text(f"{where}: {finding.failure}", "red"), soft_wrap=True)
        for warning in finding.warnings:
            out.print(Text(f"{where}: warning: {warning}", "yellow"), soft_wrap=True)


def installed(as_json: bool) -> None:
    """The plugins that could be named in a configuration. None is imported."""
    found = loader.installed()
    if as_json:
        _json([plugin._asdict() for plugin in found])
    else:
        _table(_console(sys.stdout), ("plugin", "where", "distribution", "version"), found)


def order(configuration: Configuration, plugs: Mapping[str, Plug], as_json: bool) -> None:
    """For each listener and hook, who is asked or told, in which order."""
    asked = {
        name: Chain(name, [plugs[plugin] for plugin in listener.plugins]).order()
        for name, listener in configuration.listeners.items()
    }
    if as_json:
        modes = {name: plug.mode for name, plug in plugs.items()}
        _json(
            {
                listener: {
                    hook: [{"plugin": name, "mode": modes[name]} for name in names]
                    for hook, names in hooks.items()
                }
                for listener, hooks in asked.items()
            }
        )
        return
    rows = [
        (listener, HOOKS[hook].kind, hook, ", ".join(_with_mode(plugs[name]) for name in names))
        for listener, hooks in asked.items()
        for hook, names in hooks.items()
    ]
    _table(_console(sys.stdout), ("listener", "", "hook", "plugins, in order"), rows)


def _tls(listener: Listener) -> str:
    return f"{listener.tls}, required" if listener.require_tls else listener.tls


def _target(configuration: Configuration, listener: Listener) -> str:
    upstream = configuration.upstreams.get(listener.upstream)
    if upstream is None:
        return "where its plugins say"
    return f"{listener.upstream} ({', '.join(upstream.address)}{TOWARDS[upstream.tls]})"


def _through(listener: Listener) -> str:
    return ", ".join(listener.plugins) or "no plugin"


def _with_mode(plug: Plug) -> str:
    return plug.name if plug.mode == "enforce" else f"{plug.name} ({plug.mode})"


def _table(out: Console, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)


def _json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else WIDE
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)
