"""What fuzzing has found goes through each target again. `make fuzz` looks for more."""

import pytest

from fuzz.keep import worth
from fuzz.run import CORPUS
from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert files
    for path in files:
        try:
            TARGETS[name](path.read_bytes())
        except Exception as error:
            error.add_note(f"input: {path.read_bytes()!r}")
            raise


def test_no_corpus_without_its_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_an_input_is_kept_for_where_it_goes() -> None:
    inputs = [b"\0\0NOOP\r\n", b"\0\0NOOP x\r\n", b"\0\0BDAT 1\r\nx"]
    assert worth(TARGETS["smtp_commands"], inputs) == [inputs[0], inputs[2]]
