"""What takes long: the loads of end2end, as big as the environment says.

make soak SOAK_MINUTES=240 SOAK_MESSAGES=1000000 SOAK_KILLED=1000000 SOAK_GIGABYTES=20 SOAK_EXAMPLES=100000
"""

import os
from pathlib import Path

import pytest

from end2end import loads
from end2end.killed import killed
from end2end.recorder import Process
from end2end.storm import storm
from end2end.tls import Papers
from end2end.weir import Start
from relay.smtp import test_machine

pytestmark = pytest.mark.soak


def amount(name: str, default: int) -> int:
    """A number from the environment."""
    return int(os.environ.get(f"SOAK_{name}", default))


def test_storm(start: Start, tmp_path: Path) -> None:
    fates = storm(start, tmp_path, amount("MESSAGES", 100_000), 60.0 * amount("MINUTES", 30))
    print(dict(fates))


def test_an_upstream_that_is_killed(start: Start, tmp_path: Path) -> None:
    killed(start, tmp_path, Process(tmp_path / "stored"), amount("KILLED", 100_000))


def test_sessions_at_random() -> None:
    test_machine.play(amount("EXAMPLES", 20_000))


def test_gigabytes_by_data(start: Start) -> None:
    loads.big_data(start, amount("GIGABYTES", 10) * loads.GIB)


def test_gigabytes_by_a_literal(start: Start) -> None:
    # Dovecot and others stop at 4 GiB; the codec must not
    loads.big_literal(start, amount("GIGABYTES", 10) * loads.GIB)


@pytest.mark.parametrize("protocol", loads.GREETINGS)
def test_gigabytes_of_command_line(start: Start, protocol: str) -> None:
    loads.endless_line(start, protocol, amount("GIGABYTES", 10) * loads.GIB)


def test_a_million_pipelined_commands(start: Start) -> None:
    loads.pipelined(start, 1_000_000)


def test_idle_sessions(start: Start) -> None:
    loads.idle_sessions(start, amount("SESSIONS", 2000))


def test_whole_messages_stay_within_the_spool(start: Start, tmp_path: Path) -> None:
    loads.spooled(start, tmp_path, amount("GIGABYTES", 10) * loads.GIB // 4)


def test_certificates_are_renewed(start: Start, tmp_path: Path) -> None:
    loads.reloads(start, tmp_path, amount("HANDSHAKES", 10_000), amount("RELOADS", 1000))


def test_slow_handshakes(start: Start, papers: Papers) -> None:
    loads.slow_handshakes(start, papers, amount("SLOW", 2000))
