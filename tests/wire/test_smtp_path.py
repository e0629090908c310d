"""Arguments of MAIL and RCPT as clients write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.smtp_path import Path, parameters, path

PATHS: dict[str, tuple[bytes, Path | None]] = {
    "usual": (b"FROM:<a@b.example>", Path("a@b.example", "")),
    "any case": (b"From:<a@b>", Path("a@b", "")),
    "a blank behind the colon": (b"FROM: <a@b>", Path("a@b", "")),
    "nobody": (b"FROM:<>", Path("", "")),
    "parameters": (b"FROM:<a@b> SIZE=1  BODY=8BITMIME", Path("a@b", "SIZE=1  BODY=8BITMIME")),
    "a blank at the end": (b"FROM:<a@b> ", Path("a@b", "")),
    "no domain": (b"FROM:<Postmaster>", Path("Postmaster", "")),
    "no brackets": (b"FROM:a@b SIZE=1", Path("a@b", "SIZE=1")),
    "a source route": (b"FROM:<@x,@y:a@b>", Path("a@b", "")),
    "quoted": (rb'FROM:<"a >@\"b"@c> X', Path(r'"a >@\"b"@c', "X")),
    "an escape": (rb"FROM:<a\>b@c>", Path(r"a\>b@c", "")),
    "UTF-8": ("FROM:<é@b>".encode(), Path("é@b", "")),
    "Latin-1": (b"FROM:<\xe9@b>", Path("é@b", "")),
    "a literal": (b"FROM:<a@[IPv6:::1]>", Path("a@[IPv6:::1]", "")),
    "another keyword": (b"TO:<a@b>", None),
    "nothing": (b"FROM:", None),
    "not closed": (b"FROM:<a@b", None),
    "a quote not closed": (b'FROM:<"a@b>', None),
    "octets behind the bracket": (b"FROM:<a@b>x", None),
    "two words": (b"FROM <a@b>", None),
}


@pytest.mark.parametrize(("arguments", "read"), PATHS.values(), ids=PATHS.keys())
def test_path(arguments: bytes, read: Path | None) -> None:
    assert path(arguments, b"FROM:") == read


def test_parameters() -> None:
    assert parameters("size=1 SMTPUTF8 AUTH=<> X=a=b") == {
        "SIZE": "1",
        "SMTPUTF8": "",
        "AUTH": "<>",
        "X": "a=b",
    }


@given(st.text('<>@:"\\ a').map(str.encode))
def test_any_arguments_are_read_or_not(arguments: bytes) -> None:
    read = path(b"TO:" + arguments, b"TO:")
    assert read is None or read.address.encode() in arguments
