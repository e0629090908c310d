"""A side of a conversation that keeps what it is told, for tests."""


class HeardSide:
    """Implements `mailweir.relay.side.Side` without a socket.

    `heard` is what the relay wrote and nobody has looked at yet. `full` may be set by a test.
    """

    def __init__(self) -> None:
        self.heard = b""
        self.full = False
        self.paused: set[str] = set()
        self.secured = 0
        self.state = "open"

    def write(self, data: bytes) -> None:
        assert self.state == "open", f"written after {self.state}: {data!r}"
        self.heard += data

    def pause(self, why: str) -> None:
        self.paused.add(why)

    def resume(self, why: str) -> None:
        self.paused.discard(why)

    def start_tls(self) -> None:
        self.secured += 1

    def close(self) -> None:
        if self.state == "open":
            self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"
