"""Commands of ours whose replies the client never hears."""

from collections.abc import Callable

from mailweir.relay.smtp.talk import Awaited, Talk
from mailweir.wire.smtp import Reply

Request = tuple[str, bytes]
"""A verb and the whole line."""


class Errand:
    """Asks upstream these things, in one group if it takes groups, then calls `done` with all replies.

    Nothing of the client's may be open when it begins; it is not read before `done` was called, which it
    isn't if the session ends.
    """

    __slots__ = ("_done", "_left", "_open", "_replies", "_talk", "_why")

    def __init__(self, talk: Talk, requests: list[Request], done: Callable[[list[Reply]], None]) -> None:
        self._talk = talk
        self._left = requests
        self._open = 0
        self._replies: list[Reply] = []
        self._done = done
        self._why = f"errand {id(self)}"  # `done` may send the next one
        if requests:
            talk.errands += 1
            talk.hold(self._why)
            talk.when_quiet(self._ask)
        else:
            done([])

    def _ask(self) -> None:
        talk = self._talk
        group = self._left if talk.pipelines else self._left[:1]
        self._left = self._left[len(group) :]
        for verb, _ in group:
            if not talk.expect(Awaited(verb, self._replied, hidden=True)):
                return
        self._open = len(group)
        assert talk.upstream is not None
        talk.upstream.write(b"".join(line for _, line in group))

    def _replied(self, reply: Reply) -> None:
        talk = self._talk
        self._replies.append(reply)
        self._open -= 1
        talk.settle(b"")
        if self._open:
            return
        if self._left:
            self._ask()
        else:
            talk.errands -= 1
            self._done(self._replies)
            talk.release(self._why)
