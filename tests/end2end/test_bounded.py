"""A client or a server that says too much costs memory within bounds, and nobody else the service."""

from pathlib import Path

import pytest

from end2end import floods
from end2end.loads import MIB
from end2end.weir import Start

SIZE = 64 * MIB


@pytest.mark.parametrize("chain", floods.CHAINS)
def test_one_chunk(start: Start, tmp_path: Path, chain: str) -> None:
    floods.long_chunk(start, tmp_path, SIZE, chain)


@pytest.mark.parametrize("chain", floods.CHAINS)
@pytest.mark.parametrize("piece", [b"x", b"x\r\n y", b"x\r\nX: "], ids=["a line", "a field", "many fields"])
def test_one_header(start: Start, tmp_path: Path, piece: bytes, chain: str) -> None:
    floods.long_header(start, tmp_path, SIZE, piece, chain)


def test_one_line_of_sasl(start: Start, tmp_path: Path) -> None:
    floods.long_response(start, tmp_path, SIZE)


def test_a_client_that_never_reads(start: Start, tmp_path: Path) -> None:
    floods.deaf_client(start, tmp_path, SIZE)


@pytest.mark.parametrize("chain", ["none", "head", "end"])
def test_a_server_that_never_reads(start: Start, tmp_path: Path, chain: str) -> None:
    floods.deaf_server(start, tmp_path, SIZE, chain)


@pytest.mark.parametrize("stage", floods.STAGES)
@pytest.mark.parametrize("begin", [b"250 ", b"250-"], ids=["a line", "many lines"])
def test_a_reply_without_end(start: Start, tmp_path: Path, stage: str, begin: bytes) -> None:
    piece = b"x" * MIB if begin.endswith(b" ") else b"x" * 60 + b"\r\n" + begin
    floods.raving_server(start, tmp_path, SIZE, stage, begin, piece)


@pytest.mark.parametrize("limit", [1000, None])
def test_a_hundred_thousand_recipients(start: Start, tmp_path: Path, limit: int | None) -> None:
    floods.many_recipients(start, tmp_path, 100_000, limit)


def test_idle_and_dripping_sessions(start: Start, tmp_path: Path) -> None:
    floods.many_sessions(start, tmp_path, 2000, rounds=20)
