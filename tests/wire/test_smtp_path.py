"""Arguments of MAIL and RCPT as clients write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.smtp_path import Path, edit, parameters, path

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


EDITS: dict[str, tuple[bytes, str | None, str | None, bytes]] = {
    "nothing": (b"to: <A@b>  x", None, None, b"to: <A@b>  x"),
    "an address": (b"to: <A@b>  x=\xff", "c@d", None, b"to: <c@d>  x=\xff"),
    "a source route goes with it": (b"TO:<@h:a@b>", "c@d", None, b"TO:<c@d>"),
    "no brackets": (b"TO:a@b x", "c@d", None, b"TO:<c@d> x"),
    "nobody": (b"TO:<a@b>", "", None, b"TO:<>"),
    "quoted": (b'TO:<"a b"@c> x', '"d e"@c', None, b'TO:<"d e"@c> x'),
    "parameters": (b"TO:<@h:a@b>  x", None, "x y=1", b"TO:<@h:a@b>  x y=1"),
    "no parameters any more": (b"TO:<a@b> x", None, "", b"TO:<a@b>"),
    "the first parameters": (b"TO:<a@b>", None, "x", b"TO:<a@b> x"),
    "a blank at the end": (b"TO:<a@b>  ", None, "x", b"TO:<a@b>  x"),
    "both": (b"TO:<a@b> x", "c@d", "y", b"TO:<c@d> y"),
    "UTF-8": ("TO:<é@b>".encode(), "ü@b", None, "TO:<ü@b>".encode()),
    "Latin-1 stays": (b"TO:<\xe9@b>", "é@c", None, b"TO:<\xe9@c>"),
    "beyond Latin-1": (b"TO:<\xe9@b>", "ł@c", None, "TO:<ł@c>".encode()),
    "what nobody could read": (b"TO:<a", "a@b", "x", b"TO:<a@b> x"),
    "what nobody could read, alone": (b"TO:<a", "a@b", None, b"TO:<a@b>"),
}


@pytest.mark.parametrize(("arguments", "address", "given", "edited"), EDITS.values(), ids=EDITS.keys())
def test_edit(arguments: bytes, address: str | None, given: str | None, edited: bytes) -> None:
    assert edit(arguments, b"TO:", address, given) == edited


@given(
    st.text('<>@:"\\ a=').map(str.encode),
    st.sampled_from(["", "c@d", '"e >"@f']),
    st.sampled_from(["", "x", "x  y=1"]),
)
def test_what_is_written_is_read(rest: bytes, address: str, given: str) -> None:
    read = path(b"TO:" + rest, b"TO:")
    if read is not None:
        assert edit(b"TO:" + rest, b"TO:") == b"TO:" + rest
        assert path(edit(b"TO:" + rest, b"TO:", address), b"TO:") == Path(address, read.parameters)
        assert path(edit(b"TO:" + rest, b"TO:", given=given), b"TO:") == Path(read.address, given)
