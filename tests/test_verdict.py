"""A verdict says what shall happen; text for other people is made safe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.verdict import Accept, Close, Decision, Defer, Discard, Quarantine, Reject, Verdict, printable


@pytest.mark.parametrize("kind", [Defer, Quarantine, Close])
def test_a_code_may_not_contradict(kind: type[Verdict]) -> None:
    kind("later", code=451, status="4.7.1")
    with pytest.raises(ValueError, match="can't be said with code 550"):
        kind("later", code=550)
    with pytest.raises(ValueError, match=r"can't be said with status 5.7.1"):
        kind("later", status="5.7.1")


def test_rejection_and_discard() -> None:
    Reject("no", code=554, status="5.7.1")
    Discard("spam", code=250)
    with pytest.raises(ValueError):
        Reject("no", code=451)
    with pytest.raises(ValueError):
        Discard("spam", code=550)


def test_a_status_is_nothing_but_a_status() -> None:
    with pytest.raises(ValueError, match=r"can't be said with status 5\.7\.1 250 ok"):
        Reject("no", status="5.7.1\r\n250 ok")


def test_a_verdict_of_a_plugin_s_own_is_bound_like_the_one_it_derives_from() -> None:
    class Spam(Reject):
        pass

    with pytest.raises(ValueError, match="Spam can't be said with code 250"):
        Spam("no", code=250)


def test_reasons_stay_with_us() -> None:
    assert [kind("why").said for kind in (Reject, Defer, Close)] == ["why"] * 3
    assert [kind("why").said for kind in (Discard, Quarantine, Accept)] == [""] * 3


def test_only_accept_passes() -> None:
    assert Decision(Accept("friend"), "allow").passes
    assert not any(Decision(kind("x"), "p").passes for kind in (Reject, Defer, Close, Discard, Quarantine))


@given(st.text())
def test_printable_is_one_short_line(text: str) -> None:
    line = printable(text, 50)
    assert len(line) <= 50
    assert line.isprintable()


def test_printable_keeps_words() -> None:
    assert printable("file.exe\r\n250 ok\0") == "file.exe 250 ok"
