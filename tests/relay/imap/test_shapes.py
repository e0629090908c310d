"""The rows: commands that we know, and nothing else."""

from mailweir.relay.imap.commands import KNOWN
from mailweir.relay.imap.shapes import ELSEWHERE, SHAPES, Means, read
from mailweir.wire.imap_arguments import parse


def test_every_row_is_a_command_that_we_know() -> None:
    assert SHAPES.keys() | ELSEWHERE <= KNOWN | {name.removeprefix("UID ") for name in KNOWN}


def test_a_group_is_no_mailbox() -> None:
    assert read("SELECT", parse([b"(a)"])) is None


def test_what_has_no_row_means_nothing() -> None:
    assert read("NOOP", parse([b"a"])) == {}


def test_options_may_be_missing() -> None:
    found = read("LIST", parse([b'"" *']))
    assert found is not None and Means.OPTIONS not in found
