"""What every mail program reads alike is one reading; what some read otherwise is more; the rest is ambiguous."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.parameters import Ambiguous, structured

READINGS: dict[str, tuple[str, str, dict[str, tuple[str, ...]]]] = {
    "nothing": ("", "", {}),
    "value only": ("Text/Plain", "text/plain", {}),
    "token": ("text/plain; Charset=utf-8", "text/plain", {"charset": ("utf-8",)}),
    "quoted": ('a/b; name="x y.pdf"', "a/b", {"name": ("x y.pdf",)}),
    "semicolon in quotes": ('a/b; name="x;y"; z=1', "a/b", {"name": ("x;y",), "z": ("1",)}),
    "blanks around everything": ('a/b ;  name = "x" ;', "a/b", {"name": ("x",)}),
    "backslash": (r'a/b; name="C:\x.exe"', "a/b", {"name": ("C:x.exe", r"C:\x.exe")}),
    "backslash before a quote": (r'a/b; name="a\"b"', "a/b", {"name": ('a"b', r"a\"b")}),
    "blanks without quotes": ("a/b; name=x.exe .pdf", "a/b", {"name": ("x.exe .pdf", "x.exe")}),
    "comments": ("text/plain (hi); name=x (a)", "text/plain", {"name": ("x (a)", "x")}),
    "comment before the equals sign": ("a/b; name (c) = x", "a/b", {"name": ("x",)}),
    "quoted and a comment": ('a/b; name="x" (a)', "a/b", {"name": ("x",)}),
    "no semicolon": ("a/b name=x", "a/b", {"name": ("x",)}),
    "no value": ("filename=x.exe", "", {"filename": ("x.exe",)}),
    "no equals sign": ("a/b; name; z=1", "a/b", {"z": ("1",)}),
    "empty": ('a/b; name=""; filename=', "a/b", {"name": ("",), "filename": ("",)}),
    "encoded word": ('a/b; name="=?utf-8?q?gr=C3=BCn?="', "a/b", {"name": ("grün",)}),
    "encoded word as a boundary": ("a/b; boundary==?utf-8?q?a?=", "a/b", {"boundary": ("=?utf-8?q?a?=",)}),
    "extended": ("a/b; name*=utf-8'de'gr%C3%BCn", "a/b", {"name": ("grün",)}),
    "extended, Latin-1": ("a/b; name*=iso-8859-1''gr%FCn", "a/b", {"name": ("grün",)}),
    "extended in quotes": ("a/b; name*=\"utf-8''a%20b\"", "a/b", {"name": ("a b",)}),
    "extended without a charset": ("a/b; name*=a%20b", "a/b", {"name": ("a b",)}),
    "continued": ('a/b; name*0="x."; name*1=exe', "a/b", {"name": ("x.exe",)}),
    "continued, out of order": ("a/b; name*1=exe; name*0=x.", "a/b", {"name": ("x.exe",)}),
    "continued and extended": (
        "a/b; name*0*=utf-8''%C3; name*1*=%BC; name*2=%41",
        "a/b",
        {"name": ("ü%41",)},
    ),
    "continued encoded word": (
        'a/b; name*0="=?utf-8?q?x"; name*1=".exe?="',
        "a/b",
        {"name": ("=?utf-8?q?x.exe?=", "x.exe")},
    ),
    "fallback for old programs": (
        "a/b; name=resume.pdf; name*=utf-8''r%C3%A9sum%C3%A9.pdf",
        "a/b",
        {"name": ("résumé.pdf", "resume.pdf")},
    ),
    "two encodings that agree": ("a/b; name==?utf-8?q?x?=; name*=utf-8''x", "a/b", {"name": ("x",)}),
    "charset stands twice": ("a/b; charset=x; charset=y", "a/b", {"charset": ("x",)}),
}

AMBIGUOUS = {
    "not ended": 'a/b; name="x; boundary=y',
    "not ended by a backslash": 'a/b; name="x\\"',
    "name stands twice": "a/b; name=x; NAME=y",
    "boundary stands twice": "a/b; boundary=x; boundary=x",
    "text behind quotes": 'a/b; name="x"y',
    "text before quotes": 'a/b; name=x"y"',
    "quotes twice": 'a/b; name="x" "y"',
    "quotes in the type": '"a/b"; name=x',
    "quotes hidden in a comment": 'a/b (") ; name=x.exe; (")',
    "comment of quotes behind a value": 'a/b; name="x" (") ; name=x.exe; (")',
    "two encodings that differ": "a/b; name=a.pdf; name*=utf-8''b.exe",
    "encoded word that differs": "a/b; name==?utf-8?q?=C3=BC.pdf?=; name*=utf-8''b.pdf",
    "extended and continued": "a/b; name*=x; name*0=y",
    "a section is missing": "a/b; name*0=x; name*2=y",
    "the first section is missing": "a/b; name*1=x",
    "a section with a zero before": "a/b; name*00=x",
    "a section in two encodings": "a/b; name*0=x; name*0*=y",
    "extended boundary": "a/b; boundary*=x",
    "continued boundary": "a/b; boundary*0=x",
    "too many": "a/b" + "; x=y" * 101,
}


@pytest.mark.parametrize(("text", "value", "readings"), READINGS.values(), ids=READINGS.keys())
def test_readings(text: str, value: str, readings: dict[str, tuple[str, ...]]) -> None:
    found = structured(text)
    assert (found.value, found.readings) == (value, readings)
    for name, wanted in readings.items():
        assert found.get(name) == wanted[0]
    assert found.get("none", "default") == "default"


@pytest.mark.parametrize("text", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous(text: str) -> None:
    with pytest.raises(Ambiguous) as caught:
        structured(text)
    assert caught.value.reason


def test_a_hundred_parameters_are_read() -> None:
    assert len(structured("a/b" + "".join(f"; x{at}=y" for at in range(100))).readings) == 100


_token = st.sampled_from(list(" ;=\"\\()*'%?") + ["name", "filename", "boundary", "0", "1", "a", "=?", "\t"])


@given(st.lists(_token))
def test_any_value_is_read_or_ambiguous(tokens: list[str]) -> None:
    try:
        found = structured("".join(tokens))
    except Ambiguous:
        return
    assert all(readings for readings in found.readings.values())


@given(st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs"])))
def test_a_quoted_file_name_is_its_own_reading(name: str) -> None:
    assert structured(f'attachment; size=1; filename="{name}"').get("size") == "1"
    if "=?" not in name:
        assert structured(f'attachment; filename="{name}"').readings["filename"] == (name,)
