"""Commands we know, and those that need a capability which is not offered."""

from collections.abc import Callable

import pytest

from mailweir import Message, hookimpl
from mailweir.relay.imap.commands import KNOWN, NEEDS
from mailweir.testing.play import Stage

Make = Callable[..., Stage]


class Filter:
    """Wants to see messages."""

    @hookimpl
    def message(self, message: Message) -> None: ...


def test_what_needs_a_capability_is_known() -> None:
    assert NEEDS.keys() <= KNOWN


@pytest.mark.parametrize("name", NEEDS)
def test_not_offered_is_not_done(imap: Make, name: str) -> None:
    imap(Filter(), logged_in=True).play(f"""
        C> a {name} x|b {name.lower()} {{12+}}|c EXPUNGE|||d NOOP
        C< a BAD {name} is not available|b BAD {name} is not available|* BAD invalid tag
        U< d NOOP
    """)


@pytest.mark.parametrize(
    "line", ["URLFETCH x", "CONVERT x", "GETJMAPACCESS", "UID FETCH 1 (FLAGS)", "notify none"]
)
def test_where_nobody_looks_they_pass(imap: Make, line: str) -> None:
    imap(logged_in=True).play(f"C> a {line}\nU< a {line}")


@pytest.mark.parametrize(
    "line", ["a  NOOP", "a NO(OP", 'a "NOOP"', "a UID", "a UID  FETCH 1 FLAGS", "a", "a {4+}|NOOP"]
)
def test_a_name_that_could_be_read_in_two_ways_goes_nowhere(imap: Make, line: str) -> None:
    imap(logged_in=True).play(f"C> {line}|b NOOP\nC< a BAD invalid command\nU< b NOOP")
