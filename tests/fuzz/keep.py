"""Keep the corpus small: `python -m fuzz.keep TARGET...` leaves one input for each way through the code.

Out of the corpus of the tree and what fuzzing has found, shortest first, those stay that take a line behind
another one for the first time.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import mailweir
from fuzz.run import CORPUS, FOUND
from fuzz.targets import TARGETS

HOME = str(Path(mailweir.__file__).parent)
WATCHED = (f"{HOME}/wire/", f"{HOME}/relay/")

Step = tuple[CodeType, int, int]


def steps(target: Callable[[bytes], None], octets: bytes) -> set[Step]:
    """Which line of our code came behind which."""
    taken: set[Step] = set()

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(WATCHED):
            return None
        last = 0

        def line(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            taken.add((code, last, frame.f_lineno))
            last = frame.f_lineno
            return line

        return line

    sys.settrace(enter)
    try:
        target(octets)
    finally:
        sys.settrace(None)
    return taken


def worth(target: Callable[[bytes], None], inputs: Iterable[bytes]) -> list[bytes]:
    """Those of `inputs` that go where no shorter one has gone."""
    known: set[Step] = set()
    kept = []
    for octets in sorted(inputs, key=lambda octets: (len(octets), octets)):
        taken = steps(target, octets)
        if not taken <= known:
            known |= taken
            kept.append(octets)
    return kept


def keep(name: str) -> None:
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    files = [path for place in (folder, FOUND / name) for path in place.glob("*")]
    kept = worth(TARGETS[name], {path.read_bytes() for path in files})
    for path in folder.glob("*"):
        path.unlink()
    for octets in kept:
        (folder / hashlib.sha256(octets).hexdigest()[:12]).write_bytes(octets)
    print(f"{name}: {len(kept)} of {len(files)} inputs")


if __name__ == "__main__":
    for one in sys.argv[1:] or TARGETS:
        keep(one)
