"""Each way to dress an executable up is a row; what is harmless passes; what is unclear is refused."""

from collections.abc import Callable

import pytest

from mailweir import Reject, Verdict
from mailweir.chain.mistakes import PluginError
from mailweir.testing.weir import Weir
from mailweir_attachments import AT_ONCE, EXTENSIONS, REFUSED, Attachments, plain


def carrying(disposition: str) -> str:
    return f"""\
From: a@example.org
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: application/octet-stream
Content-Disposition: {disposition}

x
--b--
"""


DRESSED = {
    "plain": 'attachment; filename="x.exe"',
    "inline": "inline; filename=x.exe",
    "no disposition at all": "filename=x.exe",
    "capitals": "attachment; filename=X.EXE",
    "double": "attachment; filename=invoice.pdf.exe",
    "dots behind": 'attachment; filename="x.exe..."',
    "blanks behind": 'attachment; filename="x.exe . ."',
    "no quotes": "attachment; filename=x.exe .pdf",
    "a quote behind": r'attachment; filename="x.exe\""',
    "fullwidth": "attachment; filename*=utf-8''x%EF%BC%8E%EF%BD%85xe",
    "zero width": "attachment; filename*=utf-8''x.e%E2%80%8Bxe",
    "soft hyphen behind": "attachment; filename*=utf-8''x.exe%C2%AD",
    "no-break space behind": "attachment; filename*=utf-8''x.exe%C2%A0",
    "NUL": "attachment; filename*=utf-8''x.exe%00.pdf",
    "line end inside": "attachment; filename*=utf-8''x.exe%0D%0A",
    "encoded word": 'attachment; filename="=?utf-8?b?eC5leGU=?="',
    "encoded words": 'attachment; filename="=?utf-8?q?x=2Ee?= =?utf-8?q?xe?="',
    "continued": "attachment; filename*0=x.; filename*1=exe",
    "path": 'attachment; filename="C:\\dir\\x.exe"',
    "stream of a file": 'attachment; filename="x.exe::$DATA"',
    "stream of another name": 'attachment; filename="x.exe:y.pdf"',
    "very long": 'attachment; filename="' + "x" * 5000 + '.exe"',
}

HARMLESS = {
    "another extension": "attachment; filename=x.pdf",
    "no extension": "attachment; filename=exe",
    "extension in the middle": "attachment; filename=x.exe.pdf",
    "longer extension": "attachment; filename=x.exes",
    "no name": "attachment",
    "right to left letters": "attachment; filename*=utf-8''%D7%A9%D7%9C%D7%95%D7%9D%E2%80%8F.pdf",
}


@pytest.mark.parametrize("disposition", DRESSED.values(), ids=DRESSED.keys())
def test_an_executable_is_refused_however_dressed(weir: Weir, disposition: str) -> None:
    answer = weir.plug(Attachments).ask("message", message=carrying(disposition))
    assert isinstance(answer, Reject)
    assert answer.text.isprintable()
    assert "is not allowed" in answer.text


@pytest.mark.parametrize("disposition", HARMLESS.values(), ids=HARMLESS.keys())
def test_other_files_pass(weir: Weir, disposition: str) -> None:
    assert weir.plug(Attachments).ask("message", message=carrying(disposition)) is None


def test_the_refusal_names_the_file(weir: Weir) -> None:
    weir.plug(Attachments)
    answer = weir.ask("message", message=carrying('x; filename="a\N{SNOWMAN}b.exe"'))
    assert answer == Reject("attachment a\N{SNOWMAN}b.exe is not allowed")
    forged = weir.ask("message", message=carrying("x; filename*=us-ascii''a%0D%0A250%20ok.exe"))
    assert forged == Reject("attachment a 250 ok.exe is not allowed")


def test_a_name_that_turns_around_is_refused(weir: Weir) -> None:
    answer = weir.plug(Attachments).ask("message", message=carrying("x; filename*=utf-8''a%E2%80%AEfdp.txt"))
    assert answer == Reject("attachment a fdp.txt is not allowed")
    assert REFUSED.cell("direction").value > 0


NESTED = """\
From: a@example.org
Content-Type: multipart/mixed; boundary=one

--one
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=two

--two
Content-Type: message/rfc822

Content-Type: application/pdf; name=x.scr

--two--
--one--
"""


def test_any_depth(weir: Weir) -> None:
    assert weir.plug(Attachments).ask("message", message=NESTED) == Reject("attachment x.scr is not allowed")


@pytest.mark.parametrize("stage", ["smtp", "lmtp", "append", "retr", "fetch"])
def test_every_stage(weir: Weir, stage: str) -> None:
    weir.plug(Attachments)
    assert isinstance(weir.ask("message", message=weir.message(NESTED, stage)), Reject)


UNCLEAR = {
    "partial": ("Content-Type: message/partial; id=x; number=1\n\nx\n", "piece of a message"),
    "two types": ("Content-Type: a/b\nContent-Type: c/d\n\nx\n", "two fields content-type"),
    "uuencode": ("From: a\n\nbegin 644 x.pdf\n#0V%T\n`\nend\n", "packed in uuencode"),
    "TNEF": ("Content-Type: application/ms-tnef; name=winmail.dat\n\nx\n", "packed in tnef"),
}


@pytest.mark.parametrize(("text", "reason"), UNCLEAR.values(), ids=UNCLEAR.keys())
def test_ambiguous(weir: Weir, text: str, reason: str) -> None:
    before = REFUSED.cell("ambiguous").value
    answer = weir.plug(Attachments).ask("message", message=text)
    assert isinstance(answer, Reject)
    assert reason in answer.text
    assert REFUSED.cell("ambiguous").value == before + 1


@pytest.mark.parametrize("text", [row[0] for row in UNCLEAR.values()], ids=UNCLEAR.keys())
def test_ambiguous_passes_if_the_keeper_says_so(weir: Weir, text: str) -> None:
    assert weir.plug(Attachments, ambiguous="pass").ask("message", message=text) is None


def test_what_was_seen_before_it_became_ambiguous_counts(weir: Weir) -> None:
    text = carrying("x; filename=x.exe").replace("--b--", "--bb")
    weir.plug(Attachments, ambiguous="pass")
    assert weir.ask("message", message=text) == Reject("attachment x.exe is not allowed")


def test_a_uuencoded_executable_is_refused_by_its_name(weir: Weir) -> None:
    weir.plug(Attachments, ambiguous="pass")
    answer = weir.ask("message", message="From: a\n\nbegin 644 x.exe\nend\n")
    assert answer == Reject("attachment x.exe is not allowed")


def test_settings(weir: Weir) -> None:
    weir.plug(
        Attachments,
        extensions=[".Tar.GZ"],
        names=["Invoice*.html"],
        types=["Application/*"],
        text="no {name} here",
    )

    def asked(content_type: str, name: str) -> Verdict | object:
        return weir.ask("message", message=f'Content-Type: {content_type}; name="{name}"\n\nx\n')

    assert asked("text/plain", "a.tar.gz") == Reject("no a.tar.gz here")
    assert asked("text/plain", "dir/INVOICE 7.html") == Reject("no dir/INVOICE 7.html here")
    assert asked("application/pdf", "") == Reject("no application/pdf here")
    assert asked("text/plain", "x.exe") is None
    assert asked("text/plain", "a.gz") is None


def test_nothing_is_refused_if_nothing_is_listed(weir: Weir) -> None:
    weir.plug(Attachments, extensions=[], types=[])
    assert weir.ask("message", message=NESTED) is None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"extensions": [""]}, "an extension is a word"),
        ({"types": ["pdf"]}, "a pair of words"),
        ({"ambiguous": "maybe"}, "ambiguous"),
        ({"extension": ["exe"]}, "extensions"),
    ],
)
def test_mistakes_in_settings(weir: Weir, options: dict[str, object], complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        weir.plug(Attachments, **options)


def test_a_large_message_is_judged_off_the_loop(weir: Weir, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[str] = []

    async def to_thread(function: Callable[..., object], *arguments: object) -> object:
        handed.append(function.__name__)
        return function(*arguments)

    monkeypatch.setattr("asyncio.to_thread", to_thread)
    weir.plug(Attachments)
    assert weir.ask("message", message=carrying("x; filename=x.pdf")) is None
    assert not handed
    large = carrying("x; filename=x.exe").replace("\nx\n", "\n" + "x\n" * AT_ONCE)
    assert isinstance(weir.ask("message", message=large), Reject)
    assert handed == ["judge"]


def test_the_defaults_are_as_they_are_compared() -> None:
    assert all(plain(word) == word for word in EXTENSIONS.split())
    assert sorted(EXTENSIONS.split()) == EXTENSIONS.split()


def test_on_the_wire(weir: Weir) -> None:
    """Refused in the words of SMTP, and upstream never sees a message."""
    stage = weir.plug(Attachments).play("""
        U> 220 mail.example.org
        C< 220 mail.example.org
        C> HELO me
        U< HELO me
        U> 250 mail.example.org
        C< 250 mail.example.org
        C> MAIL FROM:<ann@example.org>
        U< MAIL FROM:<ann@example.org>
        U> 250 ok
        C< 250 ok
        C> RCPT TO:<bob@example.net>
        U< RCPT TO:<bob@example.net>
        U> 250 ok
        C< 250 ok
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
    """)
    stage.say("client", b"Content-Type: application/pdf; name=x.exe\r\n\r\nx\r\n.\r\n")
    assert stage.client.heard.startswith(b"550 ")
    assert b"attachment x.exe is not allowed" in stage.client.heard
    assert b"x.exe" not in stage.upstream.heard
