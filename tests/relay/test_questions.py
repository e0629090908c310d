"""Answers reach who waits for them, unless nobody does any more."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailweir.relay.questions import Questions


class Asked:
    def __init__(self) -> None:
        self.broken: list[Failure] = []
        self.said: list[Any] = []
        self.questions = Questions(self.broken.append)


def test_an_answer_is_handed_on_once_it_is_closed() -> None:
    asked = Asked()
    answer: Deferred[str] = Deferred()
    asked.questions.wait("client", answer, lambda said: asked.said.append((said, len(asked.questions))))
    assert "client" in asked.questions and "upstream" not in asked.questions and not asked.said
    answer.callback("yes")
    assert asked.said == [("yes", 0)] and not asked.broken


def test_one_question_may_lead_to_the_next() -> None:
    asked = Asked()
    first: Deferred[str] = Deferred()
    second: Deferred[str] = Deferred()
    asked.questions.wait(
        "client", first, lambda said: asked.questions.wait("client", second, asked.said.append)
    )
    first.callback("go on")
    assert "client" in asked.questions
    second.callback("done")
    assert asked.said == ["done"] and not asked.questions


def test_dropped_is_not_answered() -> None:
    asked = Asked()
    ended: list[str] = []
    client: Deferred[str] = Deferred(lambda deferred: ended.append("client"))
    upstream: Deferred[str] = Deferred(lambda deferred: ended.append("upstream"))
    asked.questions.wait("client", client, asked.said.append)
    asked.questions.wait("upstream", upstream, asked.said.append)
    asked.questions.drop()
    assert (ended, asked.said, asked.broken) == (["client", "upstream"], [], [])


def test_what_goes_wrong_behind_it_is_told() -> None:
    asked = Asked()
    answer: Deferred[str] = Deferred()
    asked.questions.wait("client", answer, lambda said: 1 / 0)  # type: ignore[arg-type]
    answer.callback("yes")
    assert [failure.type for failure in asked.broken] == [ZeroDivisionError]
