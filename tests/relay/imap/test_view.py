"""What plugins see of a command, and what goes up after they changed it."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from mailweir.relay.imap.view import NotSayable, View
from mailweir.session import Command

SEEN: dict[str, tuple[str, list[bytes], list[bytes], dict[str, Any]]] = {
    "a mailbox": ("SELECT", [b"inbox"], [], {"mailbox": "INBOX"}),
    "a mailbox with options": ("SELECT", [b'"Entw&APw-rfe" (CONDSTORE)'], [], {"mailbox": "Entwürfe"}),
    "a literal mailbox": ("EXAMINE", [b"", b""], [b"Sec\\ret"], {"mailbox": "Sec\\ret"}),
    "two mailboxes": ("RENAME", [b"a ", b""], [b"b"], {"mailbox": "a", "target": "b"}),
    "a copy": ("UID COPY", [b"1:3,5 Trash"], [], {"numbers": "1:3,5", "target": "Trash"}),
    "a macro": ("FETCH", [b"1 ALL"], [], {"numbers": "1", "items": ("ALL",)}),
    "items": ("UID FETCH", [b"* (FLAGS BODY[HEADER.FIELDS (TO)]<0.9>) (CHANGEDSINCE 5)"], [], {"numbers": "*", "items": ("FLAGS", "BODY[HEADER.FIELDS (TO)]<0.9>")}),
    "flags": ("STORE", [rb"1 (UNCHANGEDSINCE 5) +Flags.silent (\Seen $Junk)"], [], {"numbers": "1", "how": "+FLAGS.SILENT", "flags": ("\\Seen", "$Junk")}),
    "flags without parentheses": ("STORE", [rb"1 FLAGS \Seen \Deleted"], [], {"numbers": "1", "how": "FLAGS", "flags": ("\\Seen", "\\Deleted")}),
    "a status": ("STATUS", [b"x (MESSAGES UIDNEXT)"], [], {"mailbox": "x", "items": ("MESSAGES", "UIDNEXT")}),
    "a list": ("LIST", [b'"" "%"'], [], {"items": ("%",)}),
    "a list in full": ("LIST", [b'(SUBSCRIBED) "" ("a*" b) RETURN (CHILDREN)'], [], {"items": ("a*", "b")}),
    "keys": ("SEARCH", [b'OR SUBJECT "a b" (NOT SEEN)'], [], {"items": ("OR", "SUBJECT", "a b", "NOT", "SEEN")}),
    "none": ("NOOP", [b""], [], {}),
    "no shape": ("XFOO", [b"a b"], [], {}),
    "unreadable": ("SELECT", [b"a  b"], [], {"readable": False}),
    "too many": ("DELETE", [b"a b"], [], {"readable": False}),
    "too few": ("RENAME", [b"a"], [], {"readable": False}),
    "no name": ("SELECT", [b"a&b"], [], {"readable": False}),
    "no flags at all": ("UID EXPUNGE", [b"1:2"], [], {"numbers": "1:2"}),
    "what EXPUNGE doesn't take": ("EXPUNGE", [b"1:2"], [], {"readable": False}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "texts", "literals", "facts"), SEEN.values(), ids=SEEN)
def test_seen(name: str, texts: list[bytes], literals: list[bytes], facts: dict[str, Any]) -> None:
    view = View(name, texts, literals)
    assert asdict(view.command) == asdict(Command(name, texts[0], **facts))
    assert view.changed() is None


def to(**facts: Any) -> Callable[[Command], None]:
    def change(command: Command) -> None:
        for name, value in facts.items():
            setattr(command, name, value)

    return change


CHANGED: dict[str, tuple[str, list[bytes], list[bytes], dict[str, Any], tuple[str, list[bytes], list[bytes]]]] = {
    "another command": ("SELECT", [b"a (X)"], [], {"name": "EXAMINE"}, ("EXAMINE", [b"a (X)"], [])),
    "another mailbox": ("SELECT", [b'"a" (X)'], [], {"mailbox": "Öl"}, ("SELECT", [b"&ANY-l (X)"], [])),
    "an atom": ("SELECT", [b'"a" (X)'], [], {"mailbox": "b"}, ("SELECT", [b"b (X)"], [])),
    "in the place of a literal": ("STATUS", [b"", b" (X)"], [b"a"], {"mailbox": "b c"}, ("STATUS", [b'"b c" (X)'], [])),
    "peeking": ("FETCH", [b"1 (FLAGS body[])"], [], {"items": ("FLAGS", "BODY.PEEK[]")}, ("FETCH", [b"1 (FLAGS BODY.PEEK[])"], [])),
    "one item alone": ("FETCH", [b"1 RFC822"], [], {"items": ("BODY.PEEK[]",)}, ("FETCH", [b"1 BODY.PEEK[]"], [])),
    "fewer items": ("FETCH", [b"1 (FLAGS BODY[])"], [], {"items": ("FLAGS",)}, ("FETCH", [b"1 (FLAGS)"], [])),
    "more items": ("FETCH", [b"1 FLAGS (X)"], [], {"items": ("FLAGS", "UID")}, ("FETCH", [b"1 (FLAGS UID) (X)"], [])),
    "fewer flags": ("STORE", [rb"1 FLAGS (\Seen \Deleted)"], [], {"flags": ("\\Seen",)}, ("STORE", [rb"1 FLAGS (\Seen)"], [])),
    "no flags": ("STORE", [rb"1 FLAGS \Seen"], [], {"flags": ()}, ("STORE", [b"1 FLAGS ()"], [])),
    "other numbers": ("COPY", [b"1:* a"], [], {"numbers": "1:5"}, ("COPY", [b"1:5 a"], [])),
    "another key": ("SEARCH", [b'SUBJECT "a b"'], [], {"items": ("SUBJECT", "c d")}, ("SEARCH", [b'SUBJECT "c d"'], [])),
    "the whole": ("XFOO", [b"a"], [], {"arguments": b"b"}, ("XFOO", [b"b"], [])),
}  # fmt: skip


@pytest.mark.parametrize(("name", "texts", "literals", "facts", "made"), CHANGED.values(), ids=CHANGED)
def test_changed(
    name: str,
    texts: list[bytes],
    literals: list[bytes],
    facts: dict[str, Any],
    made: tuple[str, list[bytes], list[bytes]],
) -> None:
    view = View(name, texts, literals)
    to(**facts)(view.command)
    assert view.changed() == made


@pytest.mark.parametrize(
    ("name", "arguments", "facts"),
    [
        ("SELECT", b"a", {"name": "DELETE"}),
        ("SELECT", b"a", {"mailbox": ""}),
        ("NOOP", b"", {"mailbox": "a"}),
        ("NOOP", b"", {"items": ("a",)}),
        ("FETCH", b"1 FLAGS", {"numbers": "x"}),
        ("FETCH", b"1 FLAGS", {"numbers": ""}),
        ("FETCH", b"1 FLAGS", {"items": ("FLAGS UID",)}),
        ("FETCH", b"1 FLAGS", {"items": ('"FLAGS"',)}),
        ("FETCH", b"1 (FLAGS)", {"items": ("FLAGS)\r\nb DELETE x (",)}),
        ("SEARCH", b"SEEN", {"items": ("SEEN", "DELETED")}),
    ],
)
def test_what_is_no_command(name: str, arguments: bytes, facts: dict[str, Any]) -> None:
    view = View(name, [arguments], [])
    to(**facts)(view.command)
    with pytest.raises(NotSayable):
        view.changed()


def test_names_in_utf8() -> None:
    view = View("SELECT", ['"R&D ü"'.encode()], [], utf8=True)
    assert view.command.mailbox == "R&D ü"
    view.command.mailbox = "Ö"
    assert view.changed() == ("SELECT", [b"", b""], ["Ö".encode()])
