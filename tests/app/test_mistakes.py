"""How a mistake is said, and which comes first."""

from mailweir.app.mistakes import Mistake


def test_text() -> None:
    assert str(Mistake("m.yaml", 3, 7, "log.level", "is odd")) == "m.yaml:3:7: log.level: is odd"
    assert str(Mistake("m.yaml", 1, 1, "", "is empty")) == "m.yaml:1:1: is empty"
    assert str(Mistake("m.yaml", 3, 7, "a", "is unused", warning=True)) == "m.yaml:3:7: warning: a: is unused"


def test_order_is_that_of_the_file() -> None:
    places = [(10, 1), (2, 3), (2, 11)]
    assert [(one.line, one.column) for one in sorted(Mistake("m", *place, "", "") for place in places)] == [
        (2, 3),
        (2, 11),
        (10, 1),
    ]
