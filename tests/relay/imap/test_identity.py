"""ID: what only a proxy may say never goes up, whatever its spelling; the rest passes octet for octet."""

from collections.abc import Callable

import pytest

from mailweir.testing.play import Stage

Make = Callable[..., Stage]

PASSED = [
    "ID NIL",
    r'id ("name" "x" "version" "1 \\\\" "os" NIL)',
    'ID ( "name"  "x" )',
    'ID ("x-origin" "my x-originating-ip")',
    "ID (name x)",
    "ID ()",
]
TAKEN_OUT = {
    'ID ("x-originating-ip" "10.0.0.1")': "ID NIL",
    'ID ("name" "x" "x-originating-ip" "10.0.0.1")': 'ID ("name" "x")',
    'ID ("X-Originating\\\\-IP" "10.0.0.1" "name" "a\\\\"b")': 'ID ("name" "a\\\\"b")',
    'ID ("x-forward-user""root""os"NIL)': 'ID ("os" NIL)',
    "ID (x-session-id 1 x-proxy-ttl 9 X-CONNECTED-NAME NIL name x)": 'ID ("name" "x")',
    'id ("name" {3+}|a b "x-originating-ip" {8+}|10.0.0.1)': 'id ("name" "a b")',
    'ID ("name" {4+}|a\\r\\nb "x-originating-ip" "1")': "ID NIL",
}
UNREADABLE = [
    "ID",
    'ID "x-originating-ip" "10.0.0.1"',
    'ID ("x-originating-ip" "10.0.0.1"',
    'ID ("a" ("x-originating-ip" "10.0.0.1"))',
    'ID ("name" "x" "x-originating-ip")',
    'ID ("name" "x)',
    'ID (NIL "x")',
    "ID (x {)",
    'ID ("name" "x") ("x-originating-ip" "1")',
]


@pytest.mark.parametrize("line", PASSED)
def test_passed(imap: Make, line: str) -> None:
    imap().play(f"C> a {line}\nU< a {line}")


@pytest.mark.parametrize(("line", "up"), TAKEN_OUT.items())
def test_taken_out(imap: Make, line: str, up: str) -> None:
    imap().play(f"C> a {line}|b NOOP\nU< a {up}|b NOOP\nU> * ID NIL|a OK x\nC< * ID NIL|a OK x")


@pytest.mark.parametrize("line", UNREADABLE)
def test_what_cant_be_read_goes_nowhere(imap: Make, line: str) -> None:
    imap().play(f"C> a {line}|b NOOP\nC< a BAD syntax error in ID\nU< b NOOP")


def test_literals_pass_as_they_came(imap: Make) -> None:
    imap().play("""
        C> a ID ("name" {3}
        C< + OK
        C> a b)
        U< a ID ("name" {3}
        U> + go
        U< a b)
        U> a OK x
        C< a OK x
    """)
