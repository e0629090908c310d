"""One sentence, whatever is wrong."""

import pytest

from mailweir.chain.mistakes import USE, PluginError, Problem, dotted, hint


@pytest.mark.parametrize(
    ("problems", "sentence"),
    [
        ([Problem(USE, "it is gone")], "plugin p: it is gone"),
        ([Problem((), "it is gone")], "plugin p: it is gone"),
        ([Problem(("a", 0, "b"), "is missing")], "plugin p: a[0].b: is missing"),
        ([Problem(("a",), "x"), Problem(("b",), "y")], "plugin p: a: x; b: y"),
    ],
)
def test_sentence(problems: list[Problem], sentence: str) -> None:
    error = PluginError("p", *problems)
    assert str(error) == sentence
    assert error.plugin == "p"
    assert list(error.problems) == problems


def test_dotted() -> None:
    assert dotted(()) == ""
    assert dotted(("hosts", 0, 1, "name")) == "hosts[0][1].name"


def test_hint() -> None:
    assert hint("tiemout", ["timeout", "mode"]) == "; did you mean timeout?"
    assert hint("colour", ["timeout", "mode"]) == ""
