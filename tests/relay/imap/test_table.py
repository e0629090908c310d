"""Commands under way: whose completion it is, and when ours are due."""

from mailweir.relay.imap.table import Slot, Table


def test_a_completion_belongs_to_the_oldest_command_of_its_tag() -> None:
    table = Table()
    first, second = table.expect(Slot(b"a", "NOOP")), table.expect(Slot(b"a", "SEARCH"))
    assert (table.find(b"a"), table.newest) == (first, second)
    table.settle(first)
    assert table.find(b"a") is second
    table.settle(second)
    assert (table.find(b"a"), table.newest, len(table)) == (None, None, 0)


def test_ours_are_due_when_all_before_are_completed() -> None:
    said: list[str] = []
    table = Table()
    table.when_due(lambda: said.append("at once"))
    first, second = table.expect(Slot(b"a", "NOOP")), table.expect(Slot(b"b", "NOOP"))
    table.when_due(lambda: said.append("behind both"))
    third = table.expect(Slot(b"c", "NOOP"))
    table.when_due(lambda: said.append("last"))
    table.settle(second)
    assert said == ["at once"]
    table.settle(first)
    assert said == ["at once", "behind both"]
    table.settle(third)
    assert said[2:] == ["last"]


def test_nobody_completes_what_is_ours() -> None:
    table = Table()
    table.expect(Slot(b"a", "NOOP"))
    table.when_due(lambda: None)
    assert table.find(b"") is None
