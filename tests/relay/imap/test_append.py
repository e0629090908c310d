"""Messages that clients store: passed, judged, refused; and what upstream says to them."""

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred

from mailweir import Close, Defer, Discard, Message, Reject, Transaction, Verdict, hookimpl
from mailweir.spool import Spool
from mailweir.testing.play import Stage

Make = Callable[..., Stage]

TEXT = r"Subject: x\r\n\r\nbody!"  # 19 octets


class Ledger:
    """Keeps what became of messages."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, int]] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append((transaction.stage, transaction.outcome, transaction.size))


class Filter(Ledger):
    """Judges by the subject, and adds a field."""

    def __init__(self, verdict: Verdict | None = None) -> None:
        super().__init__()
        self.verdict = verdict
        self.bodies: list[bytes] = []

    @hookimpl
    def message(self, message: Message) -> Verdict | None:
        assert message.stage == "append"
        self.bodies.append(b"".join(message.body()))
        message.headers.add("X", "1")
        return self.verdict


class Head(Ledger):
    def __init__(self, verdict: Verdict | None = None) -> None:
        super().__init__()
        self.verdict = verdict

    @hookimpl
    def message_head(self, message: Message) -> Verdict | None:
        message.headers.add("X", "1")
        return self.verdict


PASSED = {  # what leaves is what came, but for `+`
    "waiting": rf"""
        C> a APPEND box (\\Seen) "01-Jan-2026 00:00:00 +0000" {{19}}
        U< a APPEND box (\\Seen) "01-Jan-2026 00:00:00 +0000" {{19}}
        U> + go
        C< + go
        C> {TEXT}
        U< {TEXT}
        U> a OK [APPENDUID 1 2] done
        C< a OK [APPENDUID 1 2] done
    """,
    "not waiting": rf"""
        C> a APPEND box {{19+}}|{TEXT}|b NOOP
        U< a APPEND box {{19}}
        U> + go
        U< {TEXT}|b NOOP
        U> a OK done
        C< a OK done
    """,
    "several": rf"""
        C> a APPEND box {{9+}}|{TEXT[:9]} {{10+}}|t: y\r\n\r\nab
        U< a APPEND box {{9}}
        U> + go
        U< {TEXT[:9]} {{10}}
        U> + go
        U< t: y\r\n\r\nab
        U> a OK done
        C< a OK done
    """,
}
JUDGED = {  # what a filter that adds "X: 1" makes of it; the text is 6 octets longer then
    "waiting": rf"""
        C> a APPEND box (\\Seen) "01-Jan-2026 00:00:00 +0000" {{19}}
        C< + OK
        C> {TEXT}
        U< a APPEND box (\\Seen) "01-Jan-2026 00:00:00 +0000" {{25}}
        U> + go
        U< X: 1|{TEXT}
        U> a OK [APPENDUID 1 2] done
        C< a OK [APPENDUID 1 2] done
    """,
    "not waiting": rf"""
        C> a append "b x" {{19+}}|{TEXT}|b NOOP
        U< a append "b x" {{25}}
        U> + go
        U< X: 1|{TEXT}|b NOOP
        U> a OK done|b OK x
        C< a OK done|b OK x
    """,
    "literal8, UTF8": rf"""
        C> a APPEND box UTF8 (~{{19+}}|{TEXT})
        U< a APPEND box UTF8 (~{{25}}
        U> + go
        U< X: 1|{TEXT})
        U> a OK done
        C< a OK done
    """,
    "mailbox is a literal": rf"""
        C> a APPEND {{3}}
        C< + OK
        C> b x (\\Draft) {{19}}
        C< + OK
        C> {TEXT}
        U< a APPEND {{3}}
        U> + go
        U< b x (\\Draft) {{25}}
        U> + go
        U< X: 1|{TEXT}
        U> a OK done
        C< a OK done
    """,
    "REPLACE": rf"""
        C> a UID REPLACE 4 box {{19+}}|{TEXT}
        U< a UID REPLACE 4 box {{25}}
        U> + go
        U< X: 1|{TEXT}
        U> a OK done
        C< a OK done
    """,
    "REPLACE, mailbox is a literal": rf"""
        C> a REPLACE * {{3+}}|box {{19+}}|{TEXT}
        U< a REPLACE * {{3}}
        U> + go
        U< box {{25}}
        U> + go
        U< X: 1|{TEXT}
        U> a OK done
        C< a OK done
    """,
}
NOT_TAKEN = {
    "two messages": (
        rf"C> a APPEND box {{19+}}|{TEXT} {{12+}}|b EXPUNGE||c NOOP",
        "C< a NO [CANNOT] only one message a command can be appended here",
    ),
    "two messages, the second waiting": (
        rf"C> a APPEND box {{19+}}|{TEXT} {{12}}|c NOOP",
        "C< a NO [CANNOT] only one message a command can be appended here",
    ),
    "by URL": (
        'C> a APPEND box CATENATE (URL "imap:x")|c NOOP',
        "C< a BAD only one literal with one message can be appended here",
    ),
    "by URL and literal": (
        "C> a APPEND box CATENATE (TEXT {2+}|xx)|c NOOP",
        "C< a BAD only one literal with one message can be appended here",
    ),
    "by literal and URL": (
        rf"C> a APPEND box {{19+}}|{TEXT} CATENATE (URL x)|c NOOP",
        "C< a BAD syntax error behind the message",
    ),
    "nothing": ("C> a APPEND box|c NOOP", "C< a BAD only one literal with one message can be appended here"),
    "list not closed": (
        rf"C> a APPEND box UTF8 (~{{19+}}|{TEXT}|c NOOP",
        "C< a BAD syntax error behind the message",
    ),
    "no number": (
        rf"C> a REPLACE box {{19+}}|{TEXT}|c NOOP",
        "C< a BAD only one literal with one message can be appended here",
    ),
}
VERDICTS = {
    "rejected": (Reject("no\r\nway"), "C< a NO [CANNOT] no way", "rejected"),
    "deferred": (Defer("later"), "C< a NO [UNAVAILABLE] later", "deferred"),
    "discarded": (Discard("spam"), "C< a OK APPEND completed", "discarded"),
}


@pytest.mark.parametrize("script", PASSED.values(), ids=PASSED.keys())
def test_nobody_looks(imap: Make, script: str) -> None:
    ledger = Ledger()
    imap(ledger, logged_in=True).play(script)
    assert ledger.done == [("append", "accepted", 19)]


@pytest.mark.parametrize("script", JUDGED.values(), ids=JUDGED.keys())
@pytest.mark.parametrize("plugin", [Filter, Head])
def test_judged(imap: Make, plugin: type[Filter | Head], script: str) -> None:
    asked, spool = plugin(), Spool()
    imap(asked, logged_in=True, spool=spool).play(script)
    assert asked.done == [("append", "accepted", 19)]
    assert spool.used == 0


@pytest.mark.parametrize(("said", "heard"), NOT_TAKEN.values(), ids=NOT_TAKEN.keys())
def test_not_taken(imap: Make, said: str, heard: str) -> None:
    spool = Spool()
    imap(Filter(), logged_in=True, spool=spool).play(f"{said}\nU< c NOOP\n{heard}")
    assert spool.used == 0


@pytest.mark.parametrize(("verdict", "heard", "outcome"), VERDICTS.values(), ids=VERDICTS.keys())
@pytest.mark.parametrize("plugin", [Filter, Head])
def test_verdict(imap: Make, plugin: type[Filter | Head], verdict: Verdict, heard: str, outcome: str) -> None:
    asked, spool = plugin(verdict), Spool()
    imap(asked, logged_in=True, spool=spool).play(rf"""
        C> a APPEND box {{19}}
        C< + OK
        C> {TEXT}|b NOOP
        U< b NOOP
        {heard}
        U> b OK x
        C< b OK x
        C> a APPEND box {{19+}}|{TEXT}|b NOOP
        U< b NOOP
        {heard}
    """)
    assert [done[1] for done in asked.done] == [outcome, outcome]
    assert spool.used == 0


def test_a_plugin_may_end_the_session(imap: Make) -> None:
    imap(Filter(Close("go")), logged_in=True).play(rf"""
        C> a APPEND box {{19+}}|{TEXT}
        C< * BYE go
        C. closed
        U. closed
    """)


def test_refused_by_upstream_is_said_once(imap: Make) -> None:
    asked, spool = Filter(), Spool()
    imap(asked, logged_in=True, spool=spool).play(rf"""
        C> a APPEND nosuch {{19}}
        C< + OK
        C> {TEXT}
        U< a APPEND nosuch {{25}}
        U> a NO [TRYCREATE] x
        C< a NO [TRYCREATE] x
        C> b NOOP
        U< b NOOP
    """)
    assert (asked.done, spool.used) == ([("append", "rejected", 19)], 0)


@pytest.mark.parametrize("plugins", [[], [Filter()]])
def test_too_big_is_refused_before_it_comes(imap: Make, plugins: list[object]) -> None:
    imap(*plugins, logged_in=True, message_size=18).play(rf"""
        C> a APPEND box {{19}}
        C< a NO [TOOBIG] message too big
        C> a APPEND box {{19+}}|{TEXT}|b NOOP
        U< b NOOP
        C< a NO [TOOBIG] message too big
    """)


def test_too_big_amid_a_command_goes_nowhere(imap: Make) -> None:
    imap(logged_in=True, message_size=18).play(rf"""
        C> a APPEND {{3+}}|box {{19+}}|{TEXT}
        U< a APPEND {{3}}
        U> + go
        U< box\
        C< * BYE message too big
        C. closed
        U. aborted
    """)


def test_spool_full(imap: Make) -> None:
    spool = Spool(total=18)
    asked = Filter()
    imap(asked, logged_in=True, spool=spool).play(rf"""
        C> a APPEND box {{19+}}|{TEXT}
        C< a NO [UNAVAILABLE] insufficient storage
    """)
    assert (asked.done, spool.used) == ([("append", "deferred", 19)], 0)


def test_plugin_may_think(imap: Make) -> None:
    answer: Deferred[Verdict | None] = Deferred()

    class Slow:
        @hookimpl
        def message(self) -> Deferred[Verdict | None]:
            return answer

    stage = imap(Slow(), logged_in=True)
    stage.play(f"C> a APPEND box {{19+}}|{TEXT}|b NOOP")
    answer.callback(None)
    stage.clock.advance(0)
    stage.play(f"U< a APPEND box {{19}}\nU> + go\nU< {TEXT}|b NOOP")


def test_sent_as_fast_as_upstream_takes_it(imap: Make) -> None:
    stage = imap(Filter(), logged_in=True)
    stage.play("C> a APPEND box {200000+}")
    stage.say("client", b"\r\n" + 998 * b"x")
    for _ in range(199):
        stage.say("client", 1000 * b"x")
    stage.say("client", b"\r\nb NOOP\r\n")
    stage.play("U< a APPEND box {200006}")
    stage.upstream.full = True
    stage.say("upstream", b"+ go\r\n")
    pieces = []
    while stage.upstream.heard:
        pieces.append(len(stage.upstream.heard))
        last, stage.upstream.heard = stage.upstream.heard, b""
        stage.relay.upstream_drained()
    assert len(pieces) > 2 and sum(pieces) == 200006 + len(b"\r\nb NOOP\r\n")
    assert last.endswith(b"b NOOP\r\n")


STAGES = {
    "announced": r"C> a APPEND box {19}",
    "half": r"C> a APPEND box {19+}|Subject\ ",
    "complete but for its end": rf"C> a APPEND box {{19+}}|{TEXT}\ ",
}


@pytest.mark.parametrize("said", STAGES.values(), ids=STAGES.keys())
def test_client_gone_amid_a_judged_message(imap: Make, said: str) -> None:
    asked, spool = Filter(), Spool()
    stage = imap(asked, logged_in=True, spool=spool)
    stage.play(said.rstrip() + ("\nC< + OK" if said.endswith("{19}") else "") + "\nC! gone\nU. closed")
    stage.play("U! gone")
    assert (asked.done[0][1], spool.used) == ("aborted", 0)


def test_client_gone_amid_a_passing_message(imap: Make) -> None:
    ledger = Ledger()
    imap(ledger, logged_in=True).play(r"""
        C> a APPEND box {19}
        U< a APPEND box {19}
        U> + go
        C< + go
        C> Subject\
        U< Subject\
        C! gone
        U. aborted
        U! gone
    """)
    assert ledger.done == [("append", "aborted", 7)]


def test_client_gone_while_its_message_is_sent(imap: Make) -> None:
    asked, spool = Filter(), Spool()
    imap(asked, logged_in=True, spool=spool).play(rf"""
        C> a APPEND box {{19+}}|{TEXT}
        U< a APPEND box {{25}}
        C! reset
        U. aborted
        U! gone
    """)
    assert (asked.done[0][1], spool.used) == ("aborted", 0)


def test_upstream_gone_amid_a_message(imap: Make) -> None:
    asked, spool = Filter(), Spool()
    imap(asked, logged_in=True, spool=spool).play(rf"""
        C> a APPEND box {{19+}}|{TEXT}
        U< a APPEND box {{25}}
        U> + go
        U< X: 1|{TEXT}
        U! reset
        C< * BYE [UNAVAILABLE] server not available, try again later (s1)
        C. closed
        C! gone
    """)
    assert (asked.done[0][1], spool.used) == ("aborted", 0)
