"""All other verbs, and those that nobody knows."""

from collections.abc import Callable
from typing import Any

import pytest

from mailweir import metrics
from mailweir.hookspecs import hookimpl
from mailweir.relay.smtp.offer import KEYWORDS, stripped
from mailweir.session import Command
from mailweir.testing.play import Stage
from mailweir.verdict import Reject

Make = Callable[..., Stage]


class Commands:
    def __init__(self, answer: Any = None, arguments: bytes | None = None) -> None:
        self.answer = answer
        self.arguments = arguments
        self.seen: list[tuple[str, bytes]] = []

    @hookimpl
    def command(self, command: Command) -> Any:
        self.seen.append((command.name, command.arguments))
        if self.arguments is not None:
            command.arguments = self.arguments
        return self.answer


def test_plugins_see_commands(smtp: Make) -> None:
    commands = Commands()
    smtp(commands).play("""
        C> vrfy bob |NOOP|EXPN list|HELP|ETRN x|RSET
        U< vrfy bob |NOOP|EXPN list|HELP|ETRN x|RSET
        U> 252 ok|250 ok|250-a|250 b|214 rfc|250 ok|250 ok
        C< 252 ok|250 ok|250-a|250 b|214 rfc|250 ok|250 ok
    """)
    assert commands.seen == [
        ("VRFY", b"bob "),
        ("NOOP", b""),
        ("EXPN", b"list"),
        ("HELP", b""),
        ("ETRN", b"x"),
    ]


def test_refused(smtp: Make) -> None:
    smtp(Commands(Reject("no"))).play("""
        C> VRFY bob
        C< 550 5.7.1 no (s1)
    """)


@pytest.mark.parametrize(("arguments", "heard"), [(b"ann", "vrfy ann"), (b"", "vrfy")])
def test_rewritten(smtp: Make, arguments: bytes, heard: str) -> None:
    smtp(Commands(None, arguments)).play(f"""
        C> vrfy bob
        U< {heard}
    """)


@pytest.mark.parametrize("arguments", [b"a\r\nMAIL FROM:<x>", b"a\n", b"\0"])
def test_a_plugin_can_not_write_two_commands(smtp: Make, arguments: bytes) -> None:
    smtp(Commands(None, arguments)).play("""
        C> VRFY bob
        C< 451 4.3.0 local error, try again later (s1)
    """)


@pytest.mark.parametrize("verb", [*filter(stripped, KEYWORDS), "XPROXYTO", "XPROXYANY"])
def test_stripped_verbs_never_go_up(smtp: Make, verb: str) -> None:
    smtp().play(f"""
        C> {verb} FROM:<a@b>
        C< 502 5.5.1 command not available (s1)
    """)


def test_unknown_verbs_are_refused(smtp: Make) -> None:
    smtp(refuse_unknown=True).play("""
        C> XFOO|MAIL FROM:<a@b>
        C< 500 5.5.2 command not recognized (s1)
        U< MAIL FROM:<a@b>
    """)


def test_verbs_with_other_characters_are_refused_always(smtp: Make) -> None:
    smtp().play("""
        C> X-FOO|X1
        C< 500 5.5.2 command not recognized (s1)|500 5.5.2 command not recognized (s1)
    """)


@pytest.mark.parametrize(
    "line", [r"\x20XCLIENT ADDR=::1", r"\tDATA", r"XCLIENT\tADDR=::1", r"NOOP\0", r"A\nB"]
)
def test_lines_that_servers_read_differently_never_go_up(smtp: Make, line: str) -> None:
    smtp().play(f"""
        C> {line}
        C< 500 5.5.2 not a command line (s1)
    """)


def test_a_line_too_long_is_skipped(smtp: Make) -> None:
    smtp().play(f"""
        C> NOOP {"x" * 5000}|NOOP
        C< 500 5.5.2 line too long (s1)
        U< NOOP
    """)


def test_an_unknown_verb_passes(smtp: Make) -> None:
    stage = smtp().play("""
        C> XFOO a
        U< XFOO a
        U> 250-some|250 thing
        C< 250-some|250 thing
        C> MAIL FROM:<a@b>
        U< MAIL FROM:<a@b>
    """)
    assert not stage.relay.spliced


def test_an_unknown_verb_that_wants_more(smtp: Make) -> None:
    stage = smtp().play(r"""
        C> XFOO
        U< XFOO
        C> raw\0\
        U> 334 more
        C< 334 more
        U< raw\0\
        C> \n\r.
        U< \n\r.
        U> 250 done|anything\
        C< 250 done|anything\
        U! gone
        C. closed
    """)
    assert stage.relay.spliced and stage.session.state == "spliced"


def test_nothing_gets_by_in_a_group_with_an_unknown_verb(smtp: Make) -> None:
    """Neither an identity that clients may not claim, nor a line's end that servers differ about."""
    stage = smtp().play(r"""
        C> NOOP|XFOO|XCLIENT ADDR=192.0.2.9|NOOP\nNOOP
        U< NOOP
        U> 250 ok
        C< 250 ok
        U< XFOO
        U> 500 what
        C< 500 what|502 5.5.1 command not available (s1)|500 5.5.2 not a command line (s1)
    """)
    assert not stage.relay.spliced


def test_no_groups_for_an_upstream_that_takes_none(smtp: Make) -> None:
    stage = smtp(offer="HELP|250 SIZE", upto="greeted").play("""
        C> HELO me|XFOO|NOOP
        U< HELO me
        U> 250 x
        C< 250 x
        U< XFOO
        U> 500 what
        C< 500 what
        U< NOOP
    """)
    assert not stage.relay.spliced


def test_quit(smtp: Make) -> None:
    stage = smtp(upto="mail").play("""
        C> QUIT|NOOP
        U< QUIT
        U> 221 2.0.0 bye
        C< 221 2.0.0 bye
        C. closed
        U. closed
        U! gone
        C! gone
    """)
    assert stage.session.closed == "client quit"


def test_quit_when_upstream_is_gone(smtp: Make) -> None:
    smtp().play("""
        C> QUIT
        U< QUIT
        U! gone
        C< 221 2.0.0 bye
        C. closed
    """)


def test_commands_are_counted(smtp: Make) -> None:
    other = metrics.COMMANDS.cell("test", "smtp", "other")
    noop = metrics.COMMANDS.cell("test", "smtp", "NOOP")
    before = other.value, noop.value
    smtp(refuse_unknown=True).play("""
        C> XFOO|VERB
        C< 500 5.5.2 command not recognized (s1)|502 5.5.1 command not available (s1)
        C> NOOP
        U< NOOP
    """)
    assert (other.value - before[0], noop.value - before[1]) == (2, 1)


def test_a_command_nobody_knows_may_be_a_password(smtp: Make) -> None:
    """Plugins are asked about it, but it isn't printed, which is how it would get into a trace of calls."""
    seen: list[tuple[str, str]] = []

    class Looks:
        @hookimpl
        def command(self, command: Command) -> None:
            seen.append((command.name, repr(command)))

    smtp(Looks(), offer="PIPELINING|250 HELP").play("""
        C> cGFzcw
        U< cGFzcw
        U> 500 what
        C< 500 what
        C> VRFY bob
        U< VRFY bob
    """)
    assert seen == [("CGFZCW", "Command(unknown)"), ("VRFY", "Command(name='VRFY', arguments=b'bob')")]
