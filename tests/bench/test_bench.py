"""The benchmark itself runs: each cell once, for a moment. Its figures are not judged here."""

import pytest

from bench.peers import PEERS
from bench.run import CELLS, idle, report, run, takes_part


@pytest.mark.real
def test_every_cell_and_peer_runs(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run([], seconds=0.1, rounds=1)
    assert set(figures) == {(cell, peer) for cell in CELLS for peer in PEERS if takes_part(cell, peer)}
    unsound = {key: rounds for key, rounds in figures.items() if not rounds[0].sound}
    assert not unsound
    report(figures)
    table = capsys.readouterr().out.partition("\n\n")[2]
    assert all(f"| {cell} |" in table for cell in CELLS)


@pytest.mark.real
def test_memory_without_load() -> None:
    for held in idle().values():
        assert 0 < held.base < 500
        assert 0 <= held.session < 500
