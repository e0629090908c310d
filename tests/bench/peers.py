"""What is measured: how each peer is started between the load and the server.

A peer writes its configuration into a folder and gives the command that runs it in the foreground. All of
them listen on 127.0.0.1 and have one worker.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from end2end.machine import locate

Peer = Callable[[Path, str, int, int], list[str]]
"""Called with folder, protocol, port to listen on and port of the server."""


def haproxy(folder: Path, protocol: str, port: int, server: int) -> list[str]:
    """HAProxy, passing octets: the floor that everything is compared with."""
    file = folder / "haproxy.cfg"
    file.write_text(
        "global\n  nbthread 1\n  maxconn 8000\n"
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n"
        f"listen all\n  bind 127.0.0.1:{port}\n  server one 127.0.0.1:{server}\n"
    )
    return [str(locate("haproxy")), "-db", "-f", str(file)]


def mailweir(folder: Path, protocol: str, port: int, server: int) -> list[str]:
    """As it is used: accesslog, and a plugin that looks at the envelope. Metrics are always on."""
    return _mailweir(folder, protocol, port, server, {**_envelope(folder), "accesslog": {}})


def mailweir_quiet(folder: Path, protocol: str, port: int, server: int) -> list[str]:
    """The same without accesslog."""
    return _mailweir(folder, protocol, port, server, _envelope(folder))


def mailweir_bare(folder: Path, protocol: str, port: int, server: int) -> list[str]:
    """Without any plugin."""
    return _mailweir(folder, protocol, port, server, {})


def mailweir_whole(folder: Path, protocol: str, port: int, server: int) -> list[str]:
    """With a plugin that wants every whole message, so that all are spooled."""
    (folder / "whole.py").write_text(
        "from mailweir import hookimpl\n\n\n@hookimpl\ndef message(message):\n    pass\n"
    )
    return _mailweir(folder, protocol, port, server, {"whole": {"use": "./whole.py"}})


def _envelope(folder: Path) -> dict[str, Any]:
    """A plugin that looks at every sender and recipient."""
    (folder / "envelope.py").write_text(
        "from mailweir import Reject, hookimpl\n\n\n"
        "@hookimpl\ndef mail_from(envelope):\n"
        "    if envelope.sender == 'nobody@nobody.example':\n        return Reject('no')\n\n\n"
        "@hookimpl\ndef rcpt_to(recipient):\n"
        "    if recipient.domain == 'nobody.example':\n        return Reject('no')\n"
    )
    return {"envelope": {"use": "./envelope.py"}}


def _mailweir(folder: Path, protocol: str, port: int, server: int, plugins: dict[str, Any]) -> list[str]:
    file = folder / "mailweir.yaml"
    listener = {
        "protocol": protocol,
        "listen": f"127.0.0.1:{port}",
        "upstream": "server",
        "plugins": list(plugins),
    }
    configuration = {
        "listeners": {"load": listener},
        "upstreams": {"server": {"address": f"127.0.0.1:{server}", "connections": 10000}},
        "plugins": plugins,
        "limits": {"sessions_per_client": 10000},
    }
    file.write_text(json.dumps(configuration, indent=2))
    return [sys.executable, "-m", "mailweir", "run", str(file)]


PEERS: dict[str, Peer] = {
    "haproxy": haproxy,
    "mailweir": mailweir,
    "mailweir quiet": mailweir_quiet,
    "mailweir bare": mailweir_bare,
    "mailweir whole": mailweir_whole,
}
