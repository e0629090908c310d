"""DATA: what passes, what is judged, what never ends upstream."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.relay.rules import SmtpRules
from mailweir.session import Transaction
from mailweir.spool import Spool
from mailweir.testing.play import Stage, octets
from mailweir.verdict import Close, Defer, Discard, Quarantine, Reject

Make = Callable[..., Stage]


class Head:
    """Answers `message_head`, and adds a field."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.done: list[Transaction] = []

    @hookimpl
    def message_head(self, message: Message) -> Any:
        message.headers.add("X-Seen", "yes")
        return self.answer

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)


class Whole:
    """Answers `message`, and keeps the text it saw."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.text = b""
        self.done: list[Transaction] = []

    @hookimpl
    def message(self, message: Message) -> Any:
        self.text = b"".join(message.pieces())
        return self.answer

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)


class Told:
    """Hears of messages, and looks at none."""

    def __init__(self) -> None:
        self.done: list[Transaction] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)


OURS = "354 end data with <CR><LF>.<CR><LF>"

PASSED = {
    "a message": ("From: a||hi|.", "From: a||hi|.", 15),
    "nothing": (".", ".", 0),
    "stuffed dots": ("..|..a|.", "..|..a|.", 7),
    "8-bit and NUL": (r"\xff\0|.", r"\xff\0|.", 4),
}


@pytest.mark.parametrize(("said", "heard", "size"), PASSED.values(), ids=PASSED.keys())
def test_passed_as_it_comes(smtp: Make, said: str, heard: str, size: int) -> None:
    told = Told()
    smtp(told, upto="data").play(f"""
        C> {said}
        U< {heard}
        U> 250 2.0.0 queued as 1
        C< 250 2.0.0 queued as 1
        C> NOOP
        U< NOOP
    """)
    (done,) = told.done
    assert (done.outcome, done.reply, done.size) == ("accepted", "250 2.0.0 queued as 1", size)
    assert [one.address for one in done.envelope.accepted] == ["bob@example.net"]


def test_a_text_streams(smtp: Make) -> None:
    smtp(upto="data").play(r"""
        C> one|two\
        U< one|two\
        C> |.\r\
        C> \n\
        U< |.
        U> 451 4.3.0 no room
        C< 451 4.3.0 no room
    """)


def test_refused_data_leaves_commands(smtp: Make) -> None:
    smtp(upto="mail").play("""
        C> DATA|RSET
        U< DATA
        U> 554 5.5.1 no
        C< 554 5.5.1 no
        U< RSET
        U> 250 2.0.0 ok
        C< 250 2.0.0 ok
    """)


def test_354_without_recipients_is_relayed_faithfully(smtp: Make) -> None:
    smtp().play("""
        C> MAIL FROM:<a@b>|RCPT TO:<x>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<x>|DATA
        U> 250 ok|550 no|354 go
        C< 250 ok|550 no|354 go
        C> .
        U< .
        U> 554 none
        C< 554 none
    """)


SMUGGLED = {
    "LF . CRLF": r"x||a\n.|MAIL FROM:<evil@x>|RCPT TO:<v@x>|DATA|b|.",
    "LF . LF": r"a\n.\nMAIL FROM:<evil@x>|.",
    "CRLF . LF": r"a|.\nMAIL FROM:<evil@x>|.",
    "CR . CR": r"a\r.\rMAIL FROM:<evil@x>|.",
    "CR . CRLF": r"a\r.|MAIL FROM:<evil@x>|.",
    "CR CR LF": r"a\r\r\nb|.",
    "LF first": r"\n.|.",
    "CR last": r"a\r|.",
}


@pytest.mark.parametrize("text", SMUGGLED.values(), ids=SMUGGLED.keys())
@pytest.mark.parametrize("cut", [True, False])
def test_stray_cr_and_lf_never_end_upstream(smtp: Make, text: str, cut: bool) -> None:
    told = Told()
    stage = smtp(told, upto="data")
    wire = octets(text)
    for piece in [wire[at : at + 1] for at in range(len(wire))] if cut else [wire]:
        stage.say("client", piece)
    assert b"\n" not in stage.upstream.heard.replace(b"\r\n", b"")
    assert not stage.upstream.heard.endswith(b"\r\n.\r\n")
    stage.upstream.heard = b""
    stage.play("""
        U. aborted
        C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)
        U! gone
        C> MAIL FROM:<a@b>
        U> 220 mail.example.org
        U< EHLO me
        U> 250-mail.example.org|250-PIPELINING|250-CHUNKING|250 ENHANCEDSTATUSCODES
        U< MAIL FROM:<a@b>
    """)
    assert [done.outcome for done in told.done] == ["rejected"]


def test_quit_after_a_stray(smtp: Make) -> None:
    smtp(upto="data").play(r"""
        C> a\nb|.|QUIT
        C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)|221 2.0.0 bye
        C. closed
        U. aborted
    """)


def test_stray_when_judged_never_goes_up(smtp: Make) -> None:
    for plugin in (Head(), Whole()):
        smtp(plugin, upto="mail").play(rf"""
            C> DATA
            C< {OURS}
            C> a\n.|MAIL FROM:<evil@x>|.
            C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)
            C> MAIL FROM:<a@b>
            U< RSET
            U> 250 ok
            U< MAIL FROM:<a@b>
        """)


def test_stray_behind_a_head_that_has_left(smtp: Make) -> None:
    smtp(Head(), upto="mail").play(rf"""
        C> DATA
        C< {OURS}
        C> A: b||one|\
        U< DATA
        U> 354 go
        U< X-Seen: yes|A: b||one\
        C> two\n|.
        U. aborted
        C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)
    """)


def test_judged_by_its_head(smtp: Make) -> None:
    head = Head()
    smtp(head, upto="mail").play(rf"""
        C> DATA
        C< {OURS}
        C> A: b|\
        C> |..one|two\
        U< DATA
        C> |three|..|.|NOOP
        U> 354 go
        U< X-Seen: yes|A: b||..one|two|three|..|.
        U> 250 2.0.0 ok
        C< 250 2.0.0 ok
        U< NOOP
        U> 250 ok
        C< 250 ok
    """)
    (done,) = head.done
    assert (done.outcome, done.size) == ("accepted", len("A: b\r\n\r\n.one\r\ntwo\r\nthree\r\n.\r\n"))


def test_judged_whole(smtp: Make) -> None:
    whole = Whole()
    smtp(whole, upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||..one|.
        U< DATA
        U> 354 go
        U< A: b||..one|.
        U> 250 2.0.0 ok
        C< 250 2.0.0 ok
    """)
    assert whole.text == b"A: b\r\n\r\n.one\r\n"


REFUSALS = {
    "reject": (Reject("no such thing"), "550 5.7.1 no such thing (s1)", "rejected"),
    "a code": (Reject("no", 554, "5.6.1"), "554 5.6.1 no (s1)", "rejected"),
    "defer": (Defer(), "451 4.7.1 try again later (s1)", "deferred"),
    "quarantine without a store": (Quarantine("bad"), "451 4.7.1 try again later (s1)", "deferred"),
    "discard": (Discard("spam"), "250 2.0.0 ok", "discarded"),
    "text with control characters": (Reject("a\r\n250 ok"), "550 5.7.1 a 250 ok (s1)", "rejected"),
}


@pytest.mark.parametrize(("verdict", "reply", "outcome"), REFUSALS.values(), ids=REFUSALS.keys())
@pytest.mark.parametrize("plugin", [Head, Whole])
@pytest.mark.parametrize("later", [False, True])
def test_refused(
    smtp: Make, plugin: Callable[[Any], Any], later: bool, verdict: Any, reply: str, outcome: str
) -> None:
    answer: Deferred[Any] = Deferred()
    judge = plugin(answer if later else verdict)
    stage = smtp(judge, upto="mail")
    stage.play(f"""
        C> DATA
        C< {OURS}
        C> A: b||c|.|MAIL FROM:<x@y>
    """) if later else stage.play(f"""
        C> DATA
        C< {OURS}
        C> A: b||c|.|MAIL FROM:<x@y>
        C< {reply}
        U< RSET
    """)
    if later:
        answer.callback(verdict)
        stage.play(f"""
            C< {reply}
            U< RSET
        """)
    stage.play("""
        U> 250 ok
        U< MAIL FROM:<x@y>
        U> 250 ok
        C< 250 ok
    """)
    (done,) = judge.done
    assert (done.outcome, done.decision.verdict, done.reply) == (outcome, verdict, reply)


def test_close_is_the_last_word(smtp: Make) -> None:
    smtp(Whole(Close("go away")), upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||c|.|NOOP
        C< 421 4.7.0 go away (s1)
        C. closed
        U. closed
    """)


def test_354_is_not_ours_to_say_before_upstream_has_accepted(smtp: Make) -> None:
    smtp(Whole()).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<x@y>|DATA|NOOP
        U< MAIL FROM:<a@b>|RCPT TO:<x@y>
        U> 250 ok
        C< 250 ok
        U> 550 no
        C< 550 no|554 5.5.1 no valid recipients (s1)
        U< NOOP
    """)


def test_mail_that_upstream_refused_has_no_data(smtp: Make) -> None:
    smtp(Whole()).play("""
        C> MAIL FROM:<a@b>|RCPT TO:<x@y>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<x@y>
        U> 550 no|503 no
        C< 550 no|503 no|503 5.5.1 need MAIL first (s1)
    """)


LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "too big": ({"message_size": 10}, "552 5.3.4 message too big (s1)"),
    "no room": ({"spool": Spool(total=10)}, "452 4.3.1 insufficient storage (s1)"),
}


@pytest.mark.parametrize(("rules", "reply"), LIMITS.values(), ids=LIMITS.keys())
def test_limits_of_what_is_judged(smtp: Make, rules: dict[str, Any], reply: str) -> None:
    stage = smtp(Whole(), upto="mail", **rules)
    stage.play(rf"""
        C> DATA
        C< {OURS}
        C> A: b||0123456789\
        C> |.
        C< {reply}
        C> RSET
        U< RSET
    """)
    assert stage.relay.rules.spool.used == 0


def test_limit_of_what_is_passed(smtp: Make) -> None:
    smtp(upto="data", message_size=10).play(r"""
        C> 0123456\
        U< 0123456\
        C> 89012\
        U. aborted
        C> |.
        C< 552 5.3.4 message too big (s1)
    """)


def test_client_leaves_in_the_text(smtp: Make) -> None:
    told = Told()
    smtp(told, upto="data").play(r"""
        C> half\
        U< half\
        C! gone
        U. aborted
        U! gone
    """)
    assert [done.outcome for done in told.done] == ["aborted"]


def test_client_leaves_before_the_end_has_gone_up(smtp: Make) -> None:
    whole = Whole(Deferred())
    smtp(whole, upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||c|.
        C! reset
        U. aborted
        U! gone
    """)
    stage = smtp(Whole(), upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||c|.
        U< DATA
        C! reset
        U. aborted
        U! gone
    """)
    assert stage.relay.rules.spool.used == 0


def test_data_takes_no_arguments_where_somebody_looks(smtp: Make) -> None:
    smtp(Whole(), upto="mail").play("""
        C> DATA now
        C< 501 5.5.4 syntax error in arguments (s1)
    """)


@pytest.mark.parametrize("filtered", [True, False])
def test_data_without_mail(smtp: Make, filtered: bool) -> None:
    if filtered:
        smtp(Whole()).play("""
            C> DATA
            C< 503 5.5.1 need MAIL first (s1)
        """)
    else:
        smtp().play("""
            C> DATA
            U< DATA
            U> 503 5.5.1 MAIL?
            C< 503 5.5.1 MAIL?
            C> DATA
            U< DATA
            U> 354 go
            U. aborted
            C< 421 4.3.0 lost the server, try again later (s1)
            C. closed
        """)


class Thinking:
    """Three hooks that each think."""

    def __init__(self) -> None:
        self.head: Deferred[None] = Deferred()
        self.whole: Deferred[None] = Deferred()
        self.last: Deferred[None] = Deferred()

    @hookimpl
    def message_head(self) -> Any:
        return self.head

    @hookimpl
    def message(self) -> Any:
        return self.whole

    @hookimpl
    def sign(self) -> Any:
        return self.last


@pytest.mark.parametrize("behind", ["NOOP", "RSET", "MAIL FROM:<x@y>"])
def test_nothing_overtakes_a_message_that_several_hooks_think_about(smtp: Make, behind: str) -> None:
    thinking = Thinking()
    stage = smtp(thinking, upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||c|.|{behind}
    """)
    for answer in (thinking.head, thinking.whole, thinking.last):
        stage.play("")
        answer.callback(None)
    stage.play(f"""
        U< DATA
        U> 354 go
        U< A: b||c|.
        U> 250 queued
        C< 250 queued
        U< {behind}
    """)


LOST = "421 4.3.0 lost the server, try again later (s1)"


@pytest.mark.parametrize("reply", ["250 ok", "220 ok", "334 go", "300 go"])
def test_only_354_and_refusals_answer_data(smtp: Make, reply: str) -> None:
    """The client might take 2yz for the final reply, and another 3yz for a no, while upstream waits for a text."""
    smtp(upto="mail").play(f"""
        C> DATA
        U< DATA
        U> {reply}
        U. aborted
        C< {LOST}
        C. closed
    """)


def test_354_behind_a_refused_mail(smtp: Make) -> None:
    smtp().play(f"""
        C> MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA
        U> 550 no|503 no|354 go
        U. aborted
        C< 550 no|503 no|{LOST}
        C. closed
    """)


def test_a_final_reply_before_the_end_of_the_text(smtp: Make) -> None:
    """It was said before the text was there, so it can't be about it."""
    smtp(upto="mail").play("""
        C> DATA|hi|.
        U< DATA
        U> 354 go|250 queued
        U< hi|.
        U. aborted
        C< 354 go|451 4.4.2 lost the server, fate of the message unknown, try again later (s1)
        C. closed
    """)
    smtp(Whole(), upto="mail").play(f"""
        C> DATA
        C< {OURS}
        C> A: b||hi|.
        U< DATA
        U> 354 go|250 queued
        U< A: b||hi|.
        U. aborted
        C< 451 4.4.2 lost the server, fate of the message unknown, try again later (s1)
        C. closed
    """)


def lenient(how: str) -> dict[str, Any]:
    return {"smtp": SmtpRules(bare_newline=how)}  # type: ignore[arg-type]


MENDED = {
    "LF . CRLF": (r"a\n.|b|.", "a|..|b|."),
    "LF . LF": (r"a\n.\nb|.", "a|..|b|."),
    "CRLF . LF": (r"a|.\nb|.", "a||b|."),
    "CRLF . . LF": (r"a|..\nb|.", "a|..|b|."),
    "LF first": (r"\n.|.", "|..|."),
    "LF last": (r"a\n|.", "a||."),
    "LF LF": (r"\n\n.|.", "||..|."),
    "NUL": (r"a\0\n.\0|.", r"a\0|..\0|."),
    "lines": ("..a|.b|.", "..a|b|."),
}


@pytest.mark.parametrize(("said", "heard"), MENDED.values(), ids=MENDED.keys())
@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("plugin", [None, Head, Whole])
def test_lf_alone_is_mended(
    smtp: Make, said: str, heard: str, cut: bool, plugin: Callable[[], Any] | None
) -> None:
    """And then the lines that begin now are stuffed, so the text still ends once."""
    stage = smtp(*([plugin()] if plugin else []), upto="mail", **lenient("normalize"))
    stage.play(f"""
        C> DATA
        C< {OURS}
    """) if plugin else stage.play("""
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
    """)
    wire = octets(said)
    for piece in [wire[at : at + 1] for at in range(len(wire))] if cut else [wire]:
        stage.say("client", piece)
        if stage.upstream.heard == b"DATA\r\n":
            stage.upstream.heard = b""
            stage.say("upstream", b"354 go\r\n")
    stage.upstream.heard = stage.upstream.heard.removeprefix(b"X-Seen: yes\r\n")
    stage.play(f"""
        U< {heard}
        U> 250 ok
        C< 250 ok
    """)


@pytest.mark.parametrize("text", [r"a\rb|.", r"a\r|.", r"a\r\r\nb|.", r"a\r.\r|.", r"a\nb\rc|."])
@pytest.mark.parametrize("cut", [True, False])
def test_cr_alone_can_t_be_mended(smtp: Make, text: str, cut: bool) -> None:
    stage = smtp(upto="data", **lenient("normalize"))
    wire = octets(text)
    for piece in [wire[at : at + 1] for at in range(len(wire))] if cut else [wire]:
        stage.say("client", piece)
    assert not set(b"\r\n") & set(stage.upstream.heard.replace(b"\r\n", b""))
    stage.upstream.heard = b""
    stage.play("""
        U. aborted
        C< 550 5.6.0 CR alone in the message; lines end in CRLF (s1)
    """)


@pytest.mark.parametrize("text", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_what_passes_still_ends_at_crlf_dot_crlf_alone(smtp: Make, text: str) -> None:
    smtp(upto="data", **lenient("pass")).play(f"""
        C> {text}
        U< {text}
        U> 250 ok
        C< 250 ok
    """)


@pytest.mark.parametrize("how", ["normalize", "pass"])
def test_commands_that_end_in_lf_go_up_with_crlf(smtp: Make, how: str) -> None:
    smtp(**lenient(how)).play(r"""
        C> MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n\
        U< MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA
        U> 250 ok|250 ok|354 go
        C< 250 ok|250 ok|354 go
        C> .|NOOP\rRSET\n\
        U< .
        U> 250 ok
        C< 250 ok|500 5.5.2 not a command line (s1)
    """)


def test_nul_may_be_refused(smtp: Make) -> None:
    smtp(upto="data", smtp=SmtpRules(nul="reject")).play(r"""
        C> a|b\0|.
        U. aborted
        C< 550 5.6.0 NUL in the message (s1)
    """)


@pytest.mark.parametrize("way", [None, Head])
def test_a_lone_cr_never_goes_up_however_the_text_is_cut(smtp: Make, way: Callable[[], Any] | None) -> None:
    stage = smtp(*([way()] if way else []), upto="mail")
    stage.say("client", b"DATA\r\n")
    if way is None:
        stage.say("upstream", b"354 go\r\n")
    for octet in b"A: b\r\n\r\nhi\r\n":
        stage.say("client", bytes([octet]))
    if way is not None:
        stage.say("upstream", b"354 go\r\n")
    for octet in b"there\r\n.\r\r\n.\r\n":
        stage.say("client", bytes([octet]))
    assert b"hi\r\nthere" in stage.upstream.heard
    assert b"\r" not in stage.upstream.heard.replace(b"\r\n", b"")
    assert stage.upstream.state == "aborted" and b"550 5.6.0" in stage.client.heard


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
@pytest.mark.parametrize("upstream", ["552 5.3.4 enough", "452-4.3.1 no|452 4.3.1 room"])
def test_upstream_has_heard_enough(smtp: Make, protocol: str, upstream: str) -> None:
    """The client hears it in its turn, and upstream never gets an end."""
    told = Told()
    smtp(told, upto="data", protocol=protocol).play(rf"""
        C> hi|more\
        U< hi|more\
        U> {upstream}
        U. aborted
        C> |and more|.
        C< {upstream}
    """)
    (done,) = told.done
    assert done.outcome == ("rejected" if upstream.startswith("5") else "deferred")


def test_upstream_has_heard_enough_of_a_text_that_was_judged(smtp: Make) -> None:
    stage = smtp(Head(), upto="mail").play(r"""
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> A: b||hi\
        U< DATA
        U> 354 go
        U< X-Seen: yes|A: b||hi\
        U> 552 5.3.4 enough
        U. aborted
        C> |more|.
        C< 552 5.3.4 enough
    """)
    assert stage.session.transaction is None


@pytest.mark.parametrize("by", ["DATA", "BDAT"])
def test_upstream_has_heard_enough_of_a_text_that_is_here(smtp: Make, by: str) -> None:
    stage = smtp(Whole(), upto="mail")
    stage.upstream.full = True
    text = "A: b\r\n\r\nhi\r\n"
    if by == "DATA":
        stage.say("client", b"DATA\r\n")
        stage.play("C< 354 end data with <CR><LF>.<CR><LF>")
        stage.say("client", f"{text}.\r\n".encode())
        stage.play("U< DATA")
        stage.say("upstream", b"354 go\r\n")
        stage.play("U< A: b||\\")
    else:
        stage.say("client", f"BDAT {len(text)} LAST\r\n{text}".encode())
        stage.play(f"U< BDAT {len(text)} LAST|A: b||\\")
    stage.play("""
        U> 452 4.3.1 no room
        U. aborted
        C< 452 4.3.1 no room
    """)


def test_upstream_accepts_what_it_has_not_heard(smtp: Make) -> None:
    smtp(upto="data").play(r"""
        C> hi\
        U< hi\
        U> 250 fine
        U. aborted
        C< 421 4.3.0 lost the server, try again later (s1)
        C. closed
    """)
