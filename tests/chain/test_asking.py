"""What a chain does when a plugin needs time: waiting, deadlines, leaving, lines, fuses."""

from typing import Any

from twisted.internet.defer import Deferred

from mailweir import Decision, Defer, Envelope, Message, Reject, hookimpl, metrics

NO = Reject("no")
FAILED = Decision(Defer("local error"), "a", failed=True)


def errors(kind: str) -> float:
    return metrics.PLUGIN_ERRORS.cell("a", "helo", kind).value


def result(asked: Any) -> Any:
    """The answer, which must be there by now."""
    if not isinstance(asked, Deferred):
        return asked
    got: list[Any] = []
    asked.addCallback(got.append)
    assert got, "not yet"
    return got[0]


def test_a_coroutine_that_waits_for_nothing(bench: Any) -> None:
    async def answer() -> Reject:
        return NO

    assert result(bench.ask(bench.helo("a", answer), bench.helo("b", Defer()))) == Decision(NO, "a")
    assert bench.heard == ["a"]


def test_a_deferred_that_fires_later(bench: Any) -> None:
    later: Deferred[Reject] = Deferred()
    asked = bench.ask(bench.helo("a"), bench.helo("b", lambda: later), bench.helo("c"))
    bench.clock.advance(3)
    assert not asked.called
    later.callback(NO)
    assert result(asked) == Decision(NO, "b")
    assert metrics.HOOK_SECONDS.cell("b", "helo").sum == 3
    assert not bench.clock.getDelayedCalls()


def test_nothing_said_means_the_next_is_asked(bench: Any) -> None:
    first: Deferred[None] = Deferred()
    second: Deferred[None] = Deferred()
    asked = bench.ask(
        bench.helo("a", lambda: first), bench.helo("b"), bench.helo("c", lambda: second), bench.helo("d", NO)
    )
    assert bench.heard == ["a"]
    first.callback(None)
    assert bench.heard == ["a", "b", "c"]
    second.callback(None)
    assert result(asked) == Decision(NO, "d")


def test_all_silent(bench: Any) -> None:
    first: Deferred[None] = Deferred()
    asked = bench.ask(bench.helo("a", lambda: first), bench.helo("b"))
    first.callback(None)
    assert result(asked) is None


def test_an_exception_later_is_a_failure(bench: Any) -> None:
    later: Deferred[None] = Deferred()

    async def answer() -> None:
        await later

    asked = bench.ask(bench.helo("a", answer))
    later.errback(ValueError("x"))
    assert result(asked) == FAILED
    assert errors("exception") == 1
    (entry,) = bench.logged("plugin failed")
    assert entry["at"] == f"{__file__}:{answer.__code__.co_firstlineno + 1}"


def test_a_wrong_answer_later_is_a_failure(bench: Any) -> None:
    later: Deferred[bool] = Deferred()
    asked = bench.ask(bench.helo("a", lambda: later))
    later.callback(True)
    assert result(asked) == FAILED
    assert errors("type") == 1


class TestBreaker:
    def test_opens_and_tries_again(self, bench: Any) -> None:
        broken = [True]

        def answer() -> Reject:
            if broken:
                raise ValueError
            return NO

        plug = bench.helo("a", answer, breaker=3, breaker_pause=30)
        chain = bench.chain(plug)

        def ask() -> Any:
            return chain.ask("helo", session=bench.session, name="me")

        assert [ask() for _ in range(5)] == [FAILED] * 5
        assert len(bench.heard) == 3
        assert errors("exception") == 3
        assert errors("breaker") == 2
        assert len(bench.logged("plugin not asked for a while")) == 1
        bench.clock.advance(30)
        assert [ask() for _ in range(3)] == [FAILED] * 3
        assert len(bench.heard) == 4
        broken.clear()
        bench.clock.advance(30)
        assert [ask() for _ in range(3)] == [Decision(NO, "a")] * 3
        assert len(bench.logged("plugin works again")) == 1

    def test_only_failures_in_a_row_count(self, bench: Any) -> None:
        answers = iter([ValueError, None, ValueError, None, ValueError, NO])

        def answer() -> Any:
            found = next(answers)
            if found is ValueError:
                raise ValueError
            return found

        plug = bench.helo("a", answer, breaker=2, on_error="pass")
        found = [bench.ask(plug) for _ in range(6)]
        assert found == [None] * 5 + [Decision(NO, "a")]

    def test_lets_mail_pass_if_the_keeper_said_so(self, bench: Any) -> None:
        plug = bench.helo("a", ValueError(), breaker=1, on_error="pass")
        assert [bench.ask(plug, bench.helo("b", NO)) for _ in range(2)] == [Decision(NO, "b")] * 2
        assert errors("breaker") == 1

    def test_time_outs_count_and_hooks_are_apart(self, bench: Any) -> None:
        plug = bench.plug("a", hooks={"helo": lambda: Deferred(), "mail_from": lambda: NO}, breaker=1)
        chain = bench.chain(plug)
        chain.ask("helo", session=bench.session, name="me")
        bench.clock.advance(10)
        assert chain.ask("helo", session=bench.session, name="me") == FAILED
        assert chain.ask("mail_from", session=bench.session, envelope=None) == Decision(NO, "a")


def judging(bench: Any, name: str, does: Any, **policy: Any) -> Any:
    """A plugin that said that it only judges."""
    plug = bench.plug(name, hooks={}, **policy)
    plug.plugin.message = hookimpl(edits=False)(does)
    return plug


def asked_about(bench: Any, *plugs: Any) -> tuple[Message, Any]:
    message = Message("1", "smtp", Envelope(), b"A: b\r\n\r\n")
    return message, bench.chain(*plugs).ask("message", session=bench.session, message=message)


def edit(message: Message) -> None:
    message.headers.add("X-Seen", "yes")


def test_who_only_judges_and_edits_all_the_same_has_failed(bench: Any) -> None:
    message, answer = asked_about(bench, judging(bench, "a", edit))
    assert answer == FAILED
    message, answer = asked_about(
        bench, judging(bench, "a", edit, on_error="pass"), judging(bench, "b", edit)
    )
    assert answer == FAILED._replace(plugin="b") and not message.headers.edited
    assert metrics.PLUGIN_ERRORS.cell("a", "message", "exception").value == 2


def test_who_only_judges_takes_nothing_from_others(bench: Any) -> None:
    """Its word is about itself, also if it thinks, stands in line, or is late."""
    later: Deferred[None] = Deferred()

    async def think(message: Message) -> None:
        await later
        edit(message)

    edits = bench.plug("e", hooks={"message": lambda message: edit(message)})
    message, answer = asked_about(bench, judging(bench, "a", lambda: None), edits)
    assert answer is None and message.headers.edited
    message, answer = asked_about(bench, judging(bench, "a", think, on_error="pass"), edits)
    assert not answer.called
    later.callback(None)
    assert result(answer) is None and message.headers.get_all("X-Seen") == ["yes"]
    message, answer = asked_about(
        bench, judging(bench, "a", lambda: Deferred(), on_error="pass", timeout=1), edits
    )
    bench.clock.advance(1)
    assert result(answer) is None and message.headers.edited


def test_in_shadow_mode_it_is_seen_too(bench: Any) -> None:
    message, answer = asked_about(bench, judging(bench, "a", edit, mode="shadow"))
    assert answer is None and not message.headers.edited
    assert metrics.PLUGIN_ERRORS.cell("a", "message", "exception").value == 1
