"""Commands put to plugins with all that they say, literals included, and sent up as the plugins left them."""

import pytest

from mailweir.hookspecs import hookimpl
from mailweir.session import Command
from mailweir.verdict import Close, Reject
from relay.imap.conftest import Make


class Policy:
    """Opens nothing for writing, moves one mailbox, and knows one secret one."""

    def __init__(self) -> None:
        self.seen: list[Command] = []

    @hookimpl
    def command(self, command: Command) -> Reject | Close | None:
        self.seen.append(command)
        if "Secret" in (command.mailbox, command.target):
            return Reject("no such mailbox")
        if command.mailbox == "Bye":
            return Close("go away")
        if command.name == "SELECT":
            command.name = "EXAMINE"
        if command.mailbox == "Old":
            command.mailbox = "New & better"
        if command.mailbox == "Broken":
            command.mailbox = ""
        command.items = tuple("BODY.PEEK[]" if item == "BODY[]" else item for item in command.items)
        return None


CONVERSATIONS = {
    "another command": "C> a Select INBOX\nU< a EXAMINE INBOX",
    "one item": "C> a UID fetch 1:*  (FLAGS BODY[])\nU< a UID fetch 1:*  (FLAGS BODY[])",
    "one item of a lawful one": "C> a UID fetch 1:* (FLAGS BODY[])\nU< a UID fetch 1:* (FLAGS BODY.PEEK[])",
    "a mailbox": 'C> a STATUS "Old" (MESSAGES)\nU< a STATUS "New &- better" (MESSAGES)',
    "a secret": 'C> a SELECT "Secret"\nC< a NO [CANNOT] no such mailbox',
    "a secret in letters of another kind": "C> a SELECT &AFMAZQBjAHIAZQB0-\nC< a NO [CANNOT] no such mailbox",
    "a secret in a literal": r"""
        C> a SELECT {6}
        C< + OK
        C> Secret
        C< a NO [CANNOT] no such mailbox
    """,
    "a secret in a literal without waiting": "C> a COPY 1 {6+}|Secret|b NOOP\nC< a NO [CANNOT] no such mailbox\nU< b NOOP",
    "closed in a literal": "C> a SELECT {3+}|Bye\nC< * BYE go away\nC. closed\nU. closed",
    "a literal that nobody minds": r"""
        C> a STATUS {5}
        C< + OK
        C> Other (MESSAGES)
        U< a STATUS {5}
        U> + go
        U< Other (MESSAGES)
        U> a OK done
        C< a OK done
    """,
    "a literal in the place of which a string goes up": 'C> a status {3+}|Old (MESSAGES)\nU< a status "New &- better" (MESSAGES)',
    "two literals, one of them changed": r"""
        C> a RENAME {3+}|Old {5+}|Other
        U< a RENAME "New &- better" {5}
        U> + go
        U< Other
        U> a OK done
        C< a OK done
    """,
    "keys with a literal": r"""
        C> a SEARCH SUBJECT {2+}|hi BODY[]
        U< a SEARCH SUBJECT {2}
        U> + go
        U< hi BODY.PEEK[]
    """,
    "no command": "C> a STATUS Broken (X)\nC< a NO [UNAVAILABLE] local error (s1)",
    "no command in a literal": "C> a STATUS {6+}|Broken (X)|b NOOP\nC< a NO [UNAVAILABLE] local error (s1)\nU< b NOOP",
    "too long": "C> a SELECT {70000}\nC< a BAD command too long",
    "refused by upstream in its literal": r"""
        C> a STATUS {5+}|Other (MESSAGES)|b NOOP
        U< a STATUS {5}
        U> a NO no
        C< a NO no
        U< b NOOP
    """,
    "appending": r"""
        C> a APPEND Old (\\Seen) {2}
        U< a APPEND "New &- better" (\\Seen) {2}
        U> + go
        C< + go
        C> hi
        U< hi
    """,
    "appending in UTF-8": r"""
        C> a APPEND Old UTF8 (~{2}
        U< a APPEND "New &- better" UTF8 (~{2}
        U> + go
        C< + go
        C> hi)
        U< hi)
    """,
    "appending to a secret": "C> a APPEND Secret {2+}|hi|b NOOP\nC< a NO [CANNOT] no such mailbox\nU< b NOOP",
    "appending to a secret in a literal": "C> a APPEND {6+}|Secret {2+}|hi|b NOOP\nC< a NO [CANNOT] no such mailbox\nU< b NOOP",
    "appending to one in a literal": r"""
        C> a APPEND {7}
        C< + OK
        C> a b "c" (\\Seen) {2}
        U< a APPEND "a b \\"c\\"" (\\Seen) {2}
        U> + go
        C< + go
        C> hi
        U< hi
    """,
    "appending to a long name": "C> a APPEND {70000}\nC< a BAD mailbox name too long",
    "replacing in a secret": "C> a UID REPLACE 5 {6+}|Secret {2+}|hi|b NOOP\nC< a NO [CANNOT] no such mailbox\nU< b NOOP",
    "a login is nobody's command": "C> a LOGIN x y\nU< a LOGIN x y",
}  # fmt: skip


@pytest.mark.parametrize("script", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_asked(imap: Make, script: str) -> None:
    imap(Policy(), logged_in=True).play(script)


def test_names_are_utf8_once_enabled(imap: Make) -> None:
    policy = Policy()
    imap(policy, logged_in=True).play("""
        C> a ENABLE UTF8=ACCEPT
        U< a ENABLE UTF8=ACCEPT
        U> * ENABLED UTF8=ACCEPT|a OK done
        C< * ENABLED UTF8=ACCEPT|a OK done
        C> b STATUS "R&D" (X)
        U< b STATUS "R&D" (X)
        C> c APPEND {3+}|R&D {2+}|
        U< c APPEND R&D {2}
    """)
    assert [command.mailbox for command in policy.seen] == [None, "R&D", "R&D"]
