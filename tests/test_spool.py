"""What was written comes back, nothing is left behind, and the account is exact whatever goes wrong."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.spool import PIECE, Spool, Spooled, SpoolFull


def read(spooled: Spooled, start: int = 0) -> bytes:
    return b"".join(spooled.pieces(start))


@given(st.lists(st.binary(max_size=40)), st.integers(0, 60), st.integers(0, 200))
def test_what_is_written_comes_back(writes: list[bytes], memory: int, start: int) -> None:
    spool = Spool(memory=memory)
    spooled = spool.open()
    for octets in writes:
        spooled.write(octets)
    whole = b"".join(writes)
    assert spooled.size == spool.used == len(whole)
    assert read(spooled, start) == whole[start:]
    assert read(spooled) == whole  # again
    spooled.close()
    assert spool.used == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=9))), st.integers(0, 40))
def test_the_total_holds_for_all_together(writes: list[tuple[int, bytes]], total: int) -> None:
    spool = Spool(memory=5, total=total)
    texts, wanted = [spool.open() for _ in range(3)], [b"", b"", b""]
    for which, octets in writes:
        if sum(map(len, wanted)) + len(octets) > total:
            with pytest.raises(SpoolFull, match="used up"):
                texts[which].write(octets)
        else:
            texts[which].write(octets)
            wanted[which] += octets
        assert spool.used == sum(map(len, wanted))
    assert [read(text) for text in texts] == wanted
    for text in texts:
        text.close()
        text.close()
    assert spool.used == 0


def test_pieces_are_bounded() -> None:
    for memory in (0, 10 * PIECE):
        spooled = Spool(memory=memory).open()
        spooled.write(b"x" * (2 * PIECE + 5))
        assert [len(piece) for piece in spooled.pieces(7)] == [PIECE, PIECE - 2]
        assert [len(piece) for piece in spooled.pieces()] == [PIECE, PIECE, 5]


def test_a_file_has_no_name_and_is_ours_alone(tmp_path: Path) -> None:
    spooled = Spool(str(tmp_path), memory=3).open()
    spooled.write(b"abc")
    assert spooled._file is None
    spooled.write(b"d")
    assert spooled._file is not None
    status = os.fstat(spooled._file.fileno())
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_nlink == 0
    assert status.st_dev == tmp_path.stat().st_dev
    assert list(tmp_path.iterdir()) == []


def test_small_writes_cost_what_they_hold() -> None:
    spooled = Spool().open()
    for _ in range(10_000):
        spooled.write(b"x")
    assert spooled._memory.__sizeof__() < 12_000


def full(taken: int) -> Callable[[int, memoryview, int], int]:
    """A pwrite to a disk that has room for `taken` octets more."""
    room, real = [taken], os.pwrite

    def pwrite(descriptor: int, octets: memoryview, at: int) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = real(descriptor, octets[: room[0]], at)
        room[0] -= done
        return done

    return pwrite


@pytest.mark.parametrize("taken", range(7))
def test_a_full_disk_takes_nothing_of_a_write(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(memory=4)
    spooled = spool.open()
    spooled.write(b"abcd")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full(taken))
        with pytest.raises(SpoolFull, match="No space left"):
            spooled.write(b"efg")
    assert spooled.size == spool.used == 4
    assert read(spooled) == b"abcd"
    spooled.write(b"XY")  # somebody made room
    assert read(spooled) == b"abcdXY"
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full(taken))
        with pytest.raises(SpoolFull, match="No space left"):
            spooled.write(b"1234567")
    assert spool.used == 6
    assert read(spooled) == b"abcdXY"
    spooled.close()
    assert spool.used == 0


def test_a_missing_directory_is_a_full_spool(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "none"), memory=1)
    spooled = spool.open()
    with pytest.raises(SpoolFull, match="none"):
        spooled.write(b"ab")
    assert spool.used == 0


@pytest.mark.parametrize("memory", [0, 100])
def test_a_closed_text_is_not_an_empty_one(memory: int) -> None:
    spooled = Spool(memory=memory).open()
    spooled.write(b"x" * 100)
    begun = spooled.pieces()
    spooled.close()
    for pieces in (begun, spooled.pieces()):
        with pytest.raises(ValueError, match="closed"):
            next(pieces)
    with pytest.raises(ValueError, match="closed"):
        spooled.write(b"x")


def test_a_file_cut_short_is_an_error_and_no_shorter_message() -> None:
    spooled = Spool(memory=0).open()
    spooled.write(b"x" * 100)
    assert spooled._file is not None
    spooled._file.truncate(40)
    pieces = spooled.pieces()
    assert next(pieces) == b"x" * 40
    with pytest.raises(OSError, match="ends at 40 of 100"):
        next(pieces)


def test_reading_goes_on_when_a_text_moves_to_disk() -> None:
    spooled = Spool(memory=2 * PIECE).open()
    spooled.write(b"a" * 2 * PIECE)
    pieces = spooled.pieces()
    first = next(pieces)
    spooled.write(b"b")
    assert first + b"".join(pieces) == b"a" * 2 * PIECE + b"b"
