"""What a sound file becomes."""

from pathlib import Path

import pydantic
import pytest

from app.files import SOUND, configuration


def test_defaults(folder: Path) -> None:
    found = configuration(folder, SOUND)
    listener, upstream = found.listeners["mx"], found.upstreams["mta"]
    assert (listener.tls, listener.unknown, listener.plugins) == ("none", "auto", [])
    assert (upstream.address, upstream.verify) == (["mail.example.org:25"], True)
    assert (found.admin, found.certificates, found.limits.message_size) == (None, [], 0)
    assert (found.limits.client_idle, found.spool.directory) == (0, None)


def test_values(folder: Path) -> None:
    found = configuration(
        folder,
        """
listeners:
  mx: {protocol: lmtp, listen: '[::1]:24', tls: implicit, require_tls: yes, upstream: mda}
upstreams:
  mda: {address: [unix:out.sock, 'b:24'], verify: one.pem, connect_timeout: 1m}
certificates:
  - {certificate: one.pem, key: one.key}
admin:
log: {level: debug}
limits: {message_size: 10MiB, client_idle: 2.5m, drain: 0}
spool: {directory: ., memory: 64kB}
""",
    )
    assert found.listeners["mx"].require_tls is True
    assert found.upstreams["mda"].address == [f"unix:{folder}/out.sock", "b:24"]
    assert found.upstreams["mda"].verify == folder / "one.pem"
    assert found.upstreams["mda"].connect_timeout == 60
    assert found.certificates[0].key == folder / "one.key"
    assert (found.limits.message_size, found.limits.client_idle, found.limits.drain) == (10485760, 150, 0)
    assert (found.spool.directory, found.spool.memory) == (folder, 64000)
    assert (found.log.level, found.admin) == ("debug", None)


def test_nothing_changes_afterwards(folder: Path) -> None:
    found = configuration(folder, SOUND)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        found.limits.sessions = 1
