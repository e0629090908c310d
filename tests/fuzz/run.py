"""Fuzz, guided by coverage: `python -m fuzz.run TARGET SECONDS` looks for new inputs, from the corpus on.

What was found is kept in .build/fuzz/TARGET; an input that fails a target is in .build/fuzz/TARGET.failed-*.
`python -m fuzz.keep TARGET` takes what reaches new code into the corpus of the tree.
"""

import importlib
import io
import sys
from contextlib import redirect_stderr
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(__file__).parents[2] / ".build" / "fuzz"
LONGEST = 400
"""Octets of an input."""


def main(name: str, seconds: str) -> None:
    atheris = importlib.import_module("atheris")  # not there for every Python
    with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["mailweir"]):
        targets = importlib.import_module("fuzz.targets").TARGETS
    found = FOUND / name
    for folder in (found, CORPUS / name):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-dict={Path(__file__).with_name('words.dict')}",
        f"-artifact_prefix={FOUND / name}.failed-",
        "-timeout=20",
        "-print_final_stats=0",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / name)], targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
