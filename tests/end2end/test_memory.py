"""However much a client sends, and however little it reads: memory stays where it is."""

from pathlib import Path

import pytest

from end2end import loads
from end2end.weir import Start


def test_a_gibibyte_by_data(start: Start) -> None:
    loads.big_data(start, loads.GIB)


def test_a_gibibyte_by_a_literal(start: Start) -> None:
    loads.big_literal(start, loads.GIB)


@pytest.mark.parametrize("protocol", loads.GREETINGS)
def test_a_gibibyte_of_command_line(start: Start, protocol: str) -> None:
    loads.endless_line(start, protocol, loads.GIB)


def test_a_hundred_thousand_pipelined_commands(start: Start) -> None:
    loads.pipelined(start, 100_000)


def test_two_thousand_idle_sessions(start: Start) -> None:
    loads.idle_sessions(start, 2000)


def test_whole_messages_stay_within_the_spool(start: Start, tmp_path: Path) -> None:
    loads.spooled(start, tmp_path, 64 * loads.MIB)
