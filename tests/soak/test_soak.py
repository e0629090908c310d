"""What takes long: the loads of end2end, as big as the environment says.

make soak SOAK_MINUTES=240 SOAK_MESSAGES=1000000 SOAK_KILLED=1000000 SOAK_GIGABYTES=20 SOAK_EXAMPLES=100000
"""

import os
from pathlib import Path

import pytest

from end2end import floods, loads
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


@pytest.mark.parametrize("chain", floods.CHAINS)
def test_gigabytes_in_one_chunk(start: Start, tmp_path: Path, chain: str) -> None:
    floods.long_chunk(start, tmp_path, amount("GIGABYTES", 10) * loads.GIB // 10, chain)


@pytest.mark.parametrize("chain", floods.CHAINS)
@pytest.mark.parametrize("piece", [b"x", b"x\r\n y", b"x\r\nX: "], ids=["a line", "a field", "many fields"])
def test_gigabytes_of_header(start: Start, tmp_path: Path, piece: bytes, chain: str) -> None:
    floods.long_header(start, tmp_path, amount("GIGABYTES", 10) * loads.GIB // 10, piece, chain)


def test_gigabytes_in_one_line_of_sasl(start: Start, tmp_path: Path) -> None:
    floods.long_response(start, tmp_path, amount("GIGABYTES", 10) * loads.GIB // 10)


def test_a_client_that_never_reads(start: Start, tmp_path: Path) -> None:
    floods.deaf_client(start, tmp_path, loads.GIB)


@pytest.mark.parametrize("chain", floods.CHAINS)
def test_a_server_that_never_reads(start: Start, tmp_path: Path, chain: str) -> None:
    floods.deaf_server(start, tmp_path, loads.GIB, chain)


@pytest.mark.parametrize("stage", floods.STAGES)
@pytest.mark.parametrize("begin", [b"250 ", b"250-"], ids=["a line", "many lines"])
def test_a_reply_without_end(start: Start, tmp_path: Path, stage: str, begin: bytes) -> None:
    piece = b"x" * loads.MIB if begin.endswith(b" ") else b"x" * 60 + b"\r\n" + begin
    floods.raving_server(start, tmp_path, loads.GIB, stage, begin, piece)


def test_many_recipients(start: Start, tmp_path: Path) -> None:
    floods.many_recipients(start, tmp_path, amount("RECIPIENTS", 1_000_000), None)


def test_idle_and_dripping_sessions(start: Start, tmp_path: Path) -> None:
    floods.many_sessions(start, tmp_path, amount("SESSIONS", 2000), rounds=20)
