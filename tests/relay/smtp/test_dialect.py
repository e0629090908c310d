"""The differences between SMTP and LMTP."""

from collections.abc import Callable

from mailweir.relay.smtp.dialect import DIALECTS
from mailweir.testing.play import Stage

Make = Callable[..., Stage]


def test_each_protocol_has_its_row() -> None:
    assert [dialect.stage for dialect in DIALECTS.values()] == list(DIALECTS) == ["smtp", "lmtp"]


def test_hello_of_the_other_protocol(smtp: Make) -> None:
    smtp(upto="greeted").play("""
        C> LHLO me
        C< 500 command not recognized (s1)
    """)
    smtp(upto="greeted", protocol="lmtp").play("""
        C> EHLO me|HELO me
        C< 500 command not recognized (s1)|500 command not recognized (s1)
    """)
