"""Files that are no YAML, or not quite: where it goes wrong, in words that help."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.files import SOUND, configuration, mistakes
from mailweir.app.document import Document

# fmt: off
FILES = {  # name: (the whole file, every mistake in it)
    "empty": ("", ["1:1: is empty"]),
    "comments only": ("# nothing\n", ["1:1: is empty"]),
    "not UTF-8": (b"a: 1\nb: \xff\n", ["2:1: is not UTF-8"]),
    "control character": ("a: \x01\n", ["1:4: is not YAML: a control character stands here"]),
    "tab": ("a:\n\tb: 1\n", ["2:1: is not YAML: a tab stands here; indent by spaces"]),
    "colon": ("a: b: c\n", ["1:5: is not YAML: a second `: ` in one line; indent what belongs below, or quote the text"]),
    "open list": ("a: [1\n", ["2:1: is not YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'"]),
    "open quote": ("a: 'swordfish\n", ["2:1: is not YAML: while scanning a quoted scalar found unexpected end of stream"]),
    "alias": ("a: *swordfish\n", ["1:4: is not YAML: an alias (*) without its anchor (&); a text that begins with * stands in quotes"]),
    "tag": ("a: !swordfish x\n", ["1:4: is not YAML: a tag (!) that means nothing here; a text that begins with ! stands in quotes"]),
    "two documents": (SOUND + "---\na: 1\n", ["9:1: is not YAML: a second document begins here (---); there can be one only"]),
    "said twice": (SOUND + "log: {level: debug, level: info}\nlog: {}\n", ["9:21: log.level: stands here twice, first on line 9", "10:1: log: stands here twice, first on line 9"]),
    "no date": ("a: 2026-99-99\n", ["1:1: a: no such key; there are listeners, upstreams, plugins, certificates, admin, log, limits, spool", "1:1: listeners: there must be at least one", "1:4: a: is no such number or date; a text stands in quotes"]),
    "no number": ("!!int x\n", ["1:1: is no such number or date; a text stands in quotes", "1:1: is empty"]),
    "null": ("null\n", ["1:1: is empty"]),
    "too deep": ("[" * 5000, ["1:1: is nested too deeply"]),
    "endless": (SOUND + "plugins: &a {policy: *a}\n", ["9:10: plugins.policy: an alias that holds itself", "9:14: warning: plugins.policy: no listener lists it"]),
}
# fmt: on


@pytest.mark.parametrize(("text", "said"), FILES.values(), ids=FILES)
def test_mistake(folder: Path, text: str | bytes, said: list[str]) -> None:
    assert mistakes(folder, text) == said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (mistake,) = Document(tmp_path / "none.yaml").mistakes
    assert str(mistake) == f"{tmp_path}/none.yaml:1:1: can't be read: No such file or directory"


def test_yaml_is_1_2(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("a: yes\nb: 010\nc: 10:30\nd: none\ne: ~\nf: true\n25: x\ng: 1.5\nh: ''\n")
    assert Document(file).data == {
        "a": "yes",
        "b": 10,
        "c": "10:30",
        "d": "none",
        "e": None,
        "f": True,
        "25": "x",
        "g": 1.5,
        "h": "",
    }


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    (folder / "m.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert Document(folder / "m.yaml").data == {"a": 1}


def test_anchors_and_merge_keys(folder: Path) -> None:
    text = SOUND.replace("  mx:\n", "  mx: &mx\n").replace(
        "upstreams:\n", "  two:\n    listen: 127.0.0.1:2526\n    <<: *mx\nupstreams:\n"
    )
    found = configuration(folder, text)
    assert (found.listeners["two"].upstream, found.listeners["two"].listen) == ("mta", ["127.0.0.1:2526"])


def test_a_merged_value_is_found_where_it_is_written(folder: Path) -> None:
    text = SOUND.replace("  mx:\n", "  mx: &mx\n").replace("smtp", "smpt")
    text = text.replace("upstreams:\n", "  two:\n    <<: *mx\n    listen: 127.0.0.1:2526\nupstreams:\n")
    assert [line.partition(", ")[0] for line in mistakes(folder, text)] == [
        "3:15: listeners.mx.protocol: must be smtp",
        "3:15: listeners.two.protocol: must be smtp",
    ]


def test_places(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("a:\n  - b: 1\n  - c:\n")
    document = Document(file)
    assert document.has(("a", 1, "c")) and not document.has(("a", 2))
    assert str(document.mistake(("a", 0, "b"), "x")) == f"{file}:2:8: a.0.b: x"
    assert str(document.mistake(("a", 0, "b"), "x", at_key=True)) == f"{file}:2:5: a.0.b: x"
    assert str(document.mistake(("a", 1, "c"), "x")) == f"{file}:3:5: a.1.c: x"
    assert str(document.mistake(("a", 1, "z", "y"), "x", warning=True)) == f"{file}:3:5: warning: a.1.z.y: x"


@given(st.text("abc: -[]{}*&!|>'\"#\n\t%@,?~<1\x00é"))
def test_any_text_is_data_or_a_mistake(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text)
    document = Document(file)
    assert document.data is not None or document.mistakes or text
