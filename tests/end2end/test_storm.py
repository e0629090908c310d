"""No mail is lost and none invented while clients leave, upstream dies and a plugin has bad days."""

from pathlib import Path

from end2end.storm import storm
from end2end.weir import Start


def test_a_small_storm(start: Start, tmp_path: Path) -> None:
    fates = storm(start, tmp_path, messages=600, seconds=60)
    assert fates["accepted"] > 300 and fates["refused"] > 20 and fates["left"] > 5
