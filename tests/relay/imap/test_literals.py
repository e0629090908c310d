"""Literals of all kinds, refused and not: who gets the octets, and who never does."""

from collections.abc import Callable

import pytest

from mailweir import Close, Command, Reject, hookimpl
from mailweir.testing.play import Stage

Make = Callable[..., Stage]

PLAYS = {
    "synchronising": r"""
        C> a1 SEARCH TEXT {3}
        U< a1 SEARCH TEXT {3}
        U> + go
        C< + go
        C> abc|a2 NOOP
        U< abc|a2 NOOP
        U> a1 OK x|a2 OK x
        C< a1 OK x|a2 OK x
    """,
    "non-synchronising is made synchronising": r"""
        C> a1 SEARCH TEXT {3+}|abc SUBJECT {2+}|de|a2 NOOP
        U< a1 SEARCH TEXT {3}
        U> + go
        U< abc SUBJECT {2}
        U> + go
        U< de|a2 NOOP
        U> a1 OK x|a2 OK x
        C< a1 OK x|a2 OK x
    """,
    "synchronising, refused": r"""
        C> a1 SEARCH TEXT {3}
        U< a1 SEARCH TEXT {3}
        U> a1 NO x
        C< a1 NO x
        C> a2 NOOP
        U< a2 NOOP
        U> a2 OK x
        C< a2 OK x
    """,
    "non-synchronising, refused: never read as a command": r"""
        C> a1 NOOP {12+}|a2 EXPUNGE||a3 NOOP
        U< a1 NOOP {12}
        U> a1 OK x
        C< a1 OK x
        U< a3 NOOP
        U> a3 OK x
        C< a3 OK x
    """,
    "second literal refused": r"""
        C> a1 SEARCH TEXT {3+}|abc SUBJECT {12+}|a2 EXPUNGE||a3 NOOP
        U< a1 SEARCH TEXT {3}
        U> + go
        U< abc SUBJECT {12}
        U> a1 BAD x
        C< a1 BAD x
        U< a3 NOOP
        U> a3 OK x
        C< a3 OK x
    """,
    "untagged data before the go-ahead": r"""
        C> a1 SEARCH TEXT {3}
        U< a1 SEARCH TEXT {3}
        U> * 3 EXISTS|+ go
        C< * 3 EXISTS|+ go
        C> abc
        U< abc
        U> a1 OK x
        C< a1 OK x
    """,
    "bare LF": r"""
        C> a1 NOOP\na2 SEARCH TEXT {2+}\na\n\na3 NOOP\n\
        U< a1 NOOP|a2 SEARCH TEXT {2}
        U> + go
        U< a\n|a3 NOOP
        U> a1 OK x|a2 OK x|a3 OK x
        C< a1 OK x|a2 OK x|a3 OK x
    """,
    "literal out of place": r"""
        C> a1 SEARCH TEXT abc{3}
        C< a1 BAD literal out of place
    """,
    "literal in a quoted string": r"""
        C> a1 SEARCH TEXT "abc {3+}|a2 NOOP
        C< a1 BAD literal in a quoted string
        U< a2 NOOP
        U> a2 OK x
        C< a2 OK x
    """,
    "bare CR": r"""
        C> a1 NOOP \r {3+}|abc|a2 NOOP
        C< a1 BAD CR or NUL in a line
        U< a2 NOOP
        U> a2 OK x
        C< a2 OK x
    """,
    "bare CR behind a literal": r"""
        C> a1 SEARCH TEXT {3+}|abc\rx
        U< a1 SEARCH TEXT {3}
        U> + go
        U< abc\
        C< * BYE CR or NUL in a line
        C. closed
        U. aborted
    """,
    "not waiting, out of place": r"""
        C> a1 SEARCH TEXT abc{3+}|abc
        C< * BYE literal out of place
        C. closed
    """,
    "no tag": r"""
        C> + NOOP||a1|"a" NOOP {3+}|abc|a2 NOOP
        C< * BAD invalid tag|* BAD invalid tag|a1 BAD invalid command|* BAD invalid tag
        U< a2 NOOP
        U> a2 OK x
        C< a2 OK x
    """,
    "our answer waits for its turn": r"""
        C> a1 SELECT x|+ NOOP|a2 NOOP
        U< a1 SELECT x|a2 NOOP
        U> * 1 EXISTS
        C< * 1 EXISTS
        U> a2 OK early
        C< a2 OK early
        U> a1 OK late
        C< a1 OK late|* BAD invalid tag
    """,
    "our answer waits for the end of a literal": r"""
        U> * 1 FETCH (BODY[] {4}|ab\
        C< * 1 FETCH (BODY[] {4}|ab\
        C> + NOOP
        U> cd)
        C< cd)|* BAD invalid tag
    """,
    "a tag may be used again": r"""
        C> A1 NOOP|A1 SEARCH RETURN (ALL) ALL
        U< A1 NOOP|A1 SEARCH RETURN (ALL) ALL
        U> A1 OK x|* ESEARCH (TAG "A1") UID ALL 1:3|* OK [INPROGRESS ("A1" 1 2)] x|A1 OK x
        C< A1 OK x|* ESEARCH (TAG "A1") UID ALL 1:3|* OK [INPROGRESS ("A1" 1 2)] x|A1 OK x
    """,
    "text that ends like a literal": r"""
        C> a1 NOOP
        U< a1 NOOP
        U> a1 OK done {5}|* 1 EXISTS|* OK [ALERT] see {3}|* 2 EXISTS
        C< a1 OK done {5}|* 1 EXISTS|* OK [ALERT] see {3}|* 2 EXISTS
    """,
    "octets that look like protocol": r"""
        C> a1 FETCH 1 BODY[]
        U< a1 FETCH 1 BODY[]
        U> * 1 FETCH (BODY[] {19}|)|a1 OK done|{9}\0 UID 7)
        C< * 1 FETCH (BODY[] {19}|)|a1 OK done|{9}\0 UID 7)
        U> a1 OK x
        C< a1 OK x
    """,
    "completion of nothing": r"""
        U> z OK x
        U. aborted
        C< * BYE [UNAVAILABLE] server not available, try again later (s1)
        C. closed
    """,
    "go-ahead for nothing": r"""
        C> a1 NOOP
        U< a1 NOOP
        U> + go
        U. aborted
        C< * BYE [UNAVAILABLE] server not available, try again later (s1)
        C. closed
    """,
    "completion before the end": r"""
        C> a1 SEARCH TEXT {3}
        U< a1 SEARCH TEXT {3}
        U> + go
        C< + go
        U> a1 OK x
        C< a1 OK x
        U. aborted
        C< * BYE [UNAVAILABLE] server not available, try again later (s1)
        C. closed
    """,
}
UNKNOWN = {
    "opaque: passed, its literal synchronising (trap 18)": (
        False,
        r"""
        C> a1 XFOO {12+}|a2 EXPUNGE||a3 NOOP
        U< a1 XFOO {12}
        U> a1 BAD x
        C< a1 BAD x
        U< a3 NOOP
        """,
    ),
    "refused: nothing goes up": (
        True,
        r"""
        C> a1 XFOO {12+}|a2 EXPUNGE||a3 XFOO {5}
        C< a1 BAD unknown command|a3 BAD unknown command
        C> a4 NOOP
        U< a4 NOOP
        """,
    ),
}


@pytest.mark.parametrize("script", PLAYS.values(), ids=PLAYS.keys())
def test_play(imap: Make, script: str) -> None:
    imap(logged_in=True).play(script)


@pytest.mark.parametrize(("refuse", "script"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_unknown_command(imap: Make, refuse: bool, script: str) -> None:
    imap(logged_in=True, refuse_unknown=refuse).play(script)


def test_before_login_there_is_little_room(imap: Make) -> None:
    imap().play(r"""
        C> a1 XFOO {99999}
        C< * BYE too much before login
        C. closed
    """)


def test_strange_continuation_is_spliced_where_nothing_is_lost_by_it(imap: Make) -> None:
    stage = imap(greeted=False).play(r"""
        U> * PREAUTH [CAPABILITY IMAP4rev1 LITERAL+] x
        C< * PREAUTH [CAPABILITY IMAP4rev1 LITERAL+] x
        C> a1 XFOO
        U< a1 XFOO
        U> + what is this?
        C< + what is this?
        C> \0\r\n\n{3+}
        U< \0\r\n\n{3+}
        U> anything
        C< anything
    """)
    assert stage.relay.spliced


class Mailboxes:
    """Refuses one mailbox, renames another, and breaks the line for a third."""

    @hookimpl
    def command(self, command: Command) -> Reject | Close | None:
        if command.name in ("SELECT", "UID STORE") and b"evil" in command.arguments:
            return Reject("not\r\nthis one")
        if command.arguments == b"away":
            return Close("go away")
        if command.arguments == b"old":
            command.arguments = b"new"
        if command.arguments == b"two":
            command.arguments = b"a\r\nb NOOP"
        if command.arguments == b"three":
            command.arguments = b"a {3}"
        return None


COMMANDS = {
    "refused": "C> a1 SELECT evil|C< a1 NO [CANNOT] not this one",
    "refused, second word": "C> a1 uid store evil|C< a1 NO [CANNOT] not this one",
    "refused, not waiting": "C> a1 SELECT evil {12+}\\na2 EXPUNGE\\r\\n|C< a1 NO [CANNOT] not this one",
    "closed": "C> a1 SELECT away|C< * BYE go away|C. closed|U. closed",
    "rewritten": "C> a1 sElect old|U< a1 sElect new",
    "untouched": "C> a1 SELECT   other|U< a1 SELECT   other",
    "more than a line": "C> a1 SELECT two|C< a1 NO [UNAVAILABLE] local error (s1)",
    "a literal": "C> a1 SELECT three|C< a1 NO [UNAVAILABLE] local error (s1)",
}


@pytest.mark.parametrize("rows", COMMANDS.values(), ids=COMMANDS.keys())
def test_command_hook(imap: Make, rows: str) -> None:
    imap(Mailboxes(), logged_in=True).play(rows.replace("|", "\n"))


def test_many_commands_are_bounded(imap: Make) -> None:
    stage = imap(logged_in=True)
    stage.say("client", b"".join(b"a%d NOOP\r\n" % number for number in range(3000)))
    assert stage.upstream.heard.count(b"\r\n") == 1000
    assert stage.client.paused == {"held"}
    stage.upstream.heard = b""
    stage.say("upstream", b"a0 OK\r\na1 OK\r\n")
    assert stage.upstream.heard == b"a1000 NOOP\r\na1001 NOOP\r\n"
