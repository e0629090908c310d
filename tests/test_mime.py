"""Trees of parts, cut anywhere; what programs read differently is ambiguous; cost is bounded."""

from collections.abc import Iterator

import pytest
import stringzilla
from hypothesis import given, settings
from hypothesis import strategies as st

from mailweir import mime
from mailweir.envelope import Envelope
from mailweir.headers import BLOCK
from mailweir.message import Message
from mailweir.mime import Ambiguous, Limits, Part, parts
from mailweir.spool import PIECE, Spool


def message(text: bytes) -> Message:
    end = text.find(b"\r\n\r\n")
    head = b"\r\n" if text.startswith(b"\r\n") else text[: end + 4] if end >= 0 else text
    made = Message("m1", "smtp", Envelope(), head)
    spooled = Spool().open()
    spooled.write(text)
    made.attach(spooled, whole=True)
    return made


def mail(text: str) -> bytes:
    """Lines of a test, indented as they stand here, as octets with CRLF."""
    lines = text.strip("\n").split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "".join(line[indent:] + "\r\n" for line in lines).encode().removesuffix(b"\r\n")


def tree(found: Iterator[Part]) -> list[str]:
    return [
        "  " * part.depth
        + " ".join(filter(None, [part.content_type, part.disposition, *map(repr, part.names), part.packed]))
        for part in found
    ]


MIXED = mail("""
    From: a@example.org
    Content-Type: multipart/mixed; boundary="one"

    preamble
    --one
    Content-Type: multipart/alternative; boundary=two

    --two

    plain
    --two
    Content-Type: text/html

    <p>--two
    --two--
    epilogue
    --one\t
    Content-Type: application/pdf; name="a.pdf"
    Content-Disposition: attachment;
      filename*=utf-8''%61.pdf
    Content-Transfer-Encoding: base64

    AAAA
    --one
    Content-Type: message/rfc822

    Subject: inner
    Content-Type: multipart/mixed; boundary=three

    --three
    Content-Disposition: inline; filename="=?utf-8?q?=C3=BC.txt?="

    --three--
    --one--
    epilogue
    """)

TREES: dict[str, tuple[bytes, list[str]]] = {
    "no MIME": (b"From: a\r\n\r\nhello\r\n", ["text/plain"]),
    "no header": (b"\r\nhello\r\n", ["text/plain"]),
    "no body": (b"From: a\r\n", ["text/plain"]),
    "nothing": (b"", ["text/plain"]),
    "not a type": (b"Content-Type: text\r\n\r\n", ["text/plain"]),
    "mbox line": (b"From a@example.org Mon\r\nFrom: a\r\n\r\n", ["text/plain"]),
    "one file": (b"Content-Type: A/B; name=x.exe\r\n\r\n", ["a/b 'x.exe'"]),
    "name and file name": (
        b"Content-Type: a/b; name=x\r\nContent-Disposition: attachment; filename=y\r\n\r\n",
        ["a/b attachment 'y' 'x'"],
    ),
    "mixed": (
        MIXED,
        [
            "multipart/mixed",
            "  multipart/alternative",
            "    text/plain",
            "    text/html",
            "  application/pdf attachment 'a.pdf'",
            "  message/rfc822",
            "    multipart/mixed",
            "      text/plain inline 'ü.txt'",
        ],
    ),
    "digest": (
        mail("""
        Content-Type: multipart/digest; boundary=b

        --b

        Content-Type: a/b; name=x

        --b
        Content-Type: text/plain

        --b--"""),
        ["multipart/digest", "  message/rfc822", "    a/b 'x'", "  text/plain"],
    ),
    "part without header or body": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n\r\n--b\r\nX: y\r\n--b--",
        ["multipart/mixed", "  text/plain", "  text/plain", "  text/plain"],
    ),
    "forwarded in a row": (
        b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: a/b\r\n\r\n",
        ["message/rfc822", "  message/rfc822", "    a/b"],
    ),
    "external body": (
        b"Content-Type: message/external-body; name=x\r\n\r\nContent-Type: a/b; name=y\r\n\r\n",
        ["message/external-body 'x'", "  a/b 'y'"],
    ),
    "boundary that begins like the one around it": (
        mail("""
        Content-Type: multipart/mixed; boundary=b

        --b
        Content-Type: multipart/mixed; boundary=bb

        --bb
        --bb--
        --b--"""),
        ["multipart/mixed", "  multipart/mixed", "    text/plain"],
    ),
    "same boundary again, after its end": (
        mail("""
        Content-Type: multipart/mixed; boundary=a

        --a
        Content-Type: multipart/mixed; boundary=b

        --b
        --b--
        --a
        Content-Type: multipart/mixed; boundary=b

        --b
        --b--
        --a--"""),
        ["multipart/mixed", "  multipart/mixed", "    text/plain", "  multipart/mixed", "    text/plain"],
    ),
    "uuencode": (
        b"From: a\r\n\r\nbegin 644 x.exe\r\n#86)C\r\nend\r\nbegin 0755  y z.com\r\nnot begin 644 n\r\n",
        [
            "text/plain",
            "  application/octet-stream 'x.exe' uuencode",
            "  application/octet-stream 'y z.com' uuencode",
        ],
    ),
    "uuencode in quoted-printable": (
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nbe=\r\ngin=206=344 =78.exe\r\n",
        ["text/plain", "  application/octet-stream 'x.exe' uuencode"],
    ),
    "uuencode in base64": (
        b"Content-Transfer-Encoding: BASE64\r\n\r\nYmVnaW4gNjQ0IHguZX\r\nhlDQp\r\nhYmMNCg\r\n",
        ["text/plain", "  application/octet-stream 'x.exe' uuencode"],
    ),
    "talk of beginnings": (
        b"From: a\r\n\r\nbegin with 644\r\n begin 644 x\r\nbegin\r\nbegin 9 x\r\n",
        ["text/plain"],
    ),
    "uuencode as an encoding": (
        b"Content-Type: a/b; name=x\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 y\r\n",
        ["a/b 'x' uuencode"],
    ),
    "TNEF": (b"Content-Type: application/ms-tnef\r\n\r\n", ["application/ms-tnef tnef"]),
    "TNEF by its name": (
        b"Content-Type: application/octet-stream; name=WinMail.dat\r\n\r\n",
        ["application/octet-stream 'WinMail.dat' tnef"],
    ),
}

PARTED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"

AMBIGUOUS: dict[str, tuple[bytes, str]] = {
    "partial": (b"Content-Type: message/partial; id=1; number=1\r\n\r\n", "piece of a message"),
    "two types": (b"Content-Type: a/b\r\ncontent-type : a/b\r\n\r\n", "two fields content-type"),
    "two encodings": (
        b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        "two fields content-transfer-encoding",
    ),
    "two dispositions": (
        PARTED + b"--b\r\nContent-Disposition: inline\r\nContent-Disposition: inline\r\n\r\n--b--",
        "two fields content-disposition",
    ),
    "two encodings of a name": (
        b"Content-Disposition: x; filename==?utf-8?q?a.pdf?=; filename*=utf-8''a.exe\r\n\r\n",
        "two encodings",
    ),
    "encoded multipart": (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        "forbids",
    ),
    "encoded message": (
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
        "forbids",
    ),
    "no boundary": (b"Content-Type: multipart/mixed\r\n\r\n", "boundary is missing"),
    "empty boundary": (b'Content-Type: multipart/mixed; boundary=""\r\n\r\n', "boundary is missing"),
    "boundary ends with a blank": (b'Content-Type: multipart/mixed; boundary="b "\r\n\r\n', "boundary is"),
    "boundary too long": (
        b"Content-Type: multipart/mixed; boundary=" + b"b" * 71 + b"\r\n\r\n",
        "boundary is",
    ),
    "boundary of two readings": (b"Content-Type: multipart/mixed; boundary=a b\r\n\r\n", "boundary is"),
    "boundary with a backslash": (b'Content-Type: multipart/mixed; boundary="a\\b"\r\n\r\n', "boundary is"),
    "boundary beyond ASCII": ("Content-Type: multipart/mixed; boundary=ü\r\n\r\n".encode(), "boundary is"),
    "boundary of what is no type": (
        b"Content-Type: multi part; boundary=b\r\n\r\n",
        "Content-Type is not one",
    ),
    "multipart without subtype": (b"Content-Type: multipart\r\n\r\n", "Content-Type is not one"),
    "never begun": (PARTED + b"text\r\n", "without end"),
    "never ended": (PARTED + b"--b\r\n\r\ntext\r\n", "without end"),
    "begun at the very end": (PARTED + b"--b", "without end"),
    "never ended inside": (
        PARTED + b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n--b--\r\n",
        "without end",
    ),
    "goes on behind its end": (PARTED + b"--b\r\n\r\n--b--\r\n--b\r\n\r\n--b--\r\n", "goes on behind"),
    "ends twice": (PARTED + b"--b\r\n\r\n--b--\r\n--b--\r\n", "goes on behind"),
    "boundary within its own": (
        PARTED + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n--b--\r\n",
        "within its own",
    ),
    "boundary that looks like an end": (
        PARTED + b"--b\r\nContent-Type: multipart/mixed; boundary=b--\r\n\r\n--b--\r\n",
        "within its own",
    ),
    "almost a boundary": (PARTED + b"--b\r\n\r\n--bc\r\n--b--\r\n", "almost"),
    "text behind an end": (PARTED + b"--b\r\n\r\n--b--x\r\n", "almost"),
    "endless blanks behind a boundary": (PARTED + b"--b" + b" " * 2000 + b"\r\n\r\n--b--\r\n", "almost"),
    "LF before a boundary": (PARTED + b"text\n--b\r\n\r\n--b--\r\n", "CR or LF alone"),
    "LF behind a boundary": (PARTED + b"--b\n\r\n--b--\r\n", "CR or LF alone"),
    "LF in a header": (b"From: a\n\nContent-Type: a/b\r\n\r\n", "LF or NUL alone"),
    "CR in a header": (b"From: a\rContent-Type: a/b\r\n\r\n", "LF or NUL alone"),
    "NUL in a header": (b"Content-Type: a/b; name=x.exe\0.pdf\r\n\r\n", "LF or NUL alone"),
    "LF in a part's header": (PARTED + b"--b\r\nFrom: a\n\n\r\n\r\n--b--\r\n", "LF or NUL alone"),
    "not a field": (b"From: a\r\nno field\r\nContent-Type: a/b\r\n\r\n", "not a field"),
    "not a field, in a part": (PARTED + b"--b\r\nFrom x\r\nno field\r\n\r\n--b--\r\n", "not a field"),
    "begins with a folding": (b" Content-Type: a/b\r\n\r\n", "not a field"),
    "type too long": (b"Content-Type: a/b; x=" + b"y" * 33_000 + b"\r\n\r\n", "octets"),
    "too many fields": (b"A: b\r\n" * 501 + b"\r\n", "fields"),
    "header of a part too long": (
        PARTED + b"--b\r\nA: " + b"b" * (BLOCK + 100_000) + b"\r\n--b--\r\n",
        "too big",
    ),
    "too many parameters": (b"Content-Type: a/b" + b"; x=y" * 101 + b"\r\n\r\n", "parameters"),
    "too many parts": (PARTED + b"--b\r\n\r\n" * 1000 + b"--b--\r\n", "more than 1000 parts"),
    "too many files in a text": (b"From: a\r\n\r\n" + b"begin 644 x\r\n" * 1000, "more than 1000 parts"),
    "messages too deep": (b"Content-Type: message/rfc822\r\n\r\n" * 51, "deeper than 50"),
    "multiparts too deep": (
        b"".join(
            b"Content-Type: multipart/mixed; boundary=%03d\r\n\r\n--%03d\r\n" % (at, at) for at in range(51)
        ),
        "deeper than 50",
    ),
}


@pytest.mark.parametrize(("text", "wanted"), TREES.values(), ids=TREES.keys())
def test_tree(text: bytes, wanted: list[str]) -> None:
    assert tree(parts(message(text))) == wanted


@pytest.mark.parametrize(("text", "reason"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous(text: bytes, reason: str) -> None:
    with pytest.raises(Ambiguous, match=reason):
        list(parts(message(text)))


def pieced(text: bytes, sizes: list[int], room: int) -> list[str]:
    """The walk over a body that comes in other pieces, read ahead by `room` octets only."""
    whole = message(text)
    body = b"".join(whole.body())
    cuts, at = [], 0
    for size in [*sizes, len(body)]:
        cuts.append(body[at : at + size])
        at += size
    try:
        return tree(mime._Walk(cuts, Limits(), room).run(whole.headers))
    except Ambiguous as error:
        return [error.reason]


@pytest.mark.parametrize(
    "text",
    [*(row[0] for row in TREES.values()), *(row[0] for row in AMBIGUOUS.values() if len(row[0]) < 1000)],
)
def test_cuts_make_no_difference(text: bytes) -> None:
    whole = pieced(text, [], PIECE)
    assert pieced(text, [1] * len(text), 1) == whole
    for cut in range(len(text)):
        assert pieced(text, [cut], 1) == whole


_piece = st.sampled_from(
    [b"\r\n", b"\n", b"--a", b"--b", b"--ab", b"--", b" ", b"x", b"begin 644 y", b"=", b":"]
    + [
        b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"
        for boundary in (b"a", b"b", b"ab")
    ]
    + [b"Content-Type: message/rfc822\r\n\r\n", b"Content-Transfer-Encoding: base64\r\n"]
)


@settings(max_examples=300)
@given(st.lists(_piece), st.lists(st.integers(1, 30)))
def test_anything_is_a_tree_or_ambiguous_however_cut(pieces: list[bytes], sizes: list[int]) -> None:
    text = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"".join(pieces)
    assert pieced(text, sizes, 1) == pieced(text, [], PIECE)


_leaf = st.builds(
    lambda text: b"Content-Type: a/b\r\n\r\n" + text,
    st.binary(max_size=30).filter(lambda text: b"--" not in text),
)


def _multipart(children: list[bytes], boundary: str) -> bytes:
    delimiter = b"\r\n--" + boundary.encode()
    body = b"".join(delimiter + b"\r\n" + child for child in children)
    return f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode() + body + delimiter + b"--"


@given(
    st.recursive(
        _leaf,
        lambda child: st.tuples(st.lists(child, min_size=1, max_size=3), st.uuids()).map(
            lambda drawn: _multipart(drawn[0], drawn[1].hex)
        ),
    )
)
def test_every_leaf_is_met(text: bytes) -> None:
    found = list(parts(message(text)))
    assert [part.content_type for part in found].count("a/b") == text.count(b"Content-Type: a/b\r\n\r\n")
    assert len(found) == text.count(b"Content-Type: ")


def test_memory_is_a_piece_and_a_header() -> None:
    def body() -> Iterator[bytes]:
        yield b"--b\r\nContent-Type: a/b\r\n\r\n"
        for _ in range(64):
            yield b"x" * PIECE
        yield b"\r\n--b--\r\n"

    walk = mime._Walk(body(), Limits())
    largest, more = 0, walk._more

    def watched() -> bool:
        nonlocal largest
        found = more()
        largest = max(largest, len(walk._data))
        return found

    walk._more = watched  # type: ignore[method-assign]
    assert len(tree(walk.run(message(PARTED).headers))) == 2
    assert largest < 3 * PIECE


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that look like delimiters of nothing, at the greatest depth: a search a piece and level."""
    depth = 40
    head = b"".join(
        b"Content-Type: multipart/mixed; boundary=%03d\r\n\r\n--%03d\r\n" % (at, at) for at in range(depth)
    )
    text = head + b"\r\n" + b"--x\r\n\r\n--\r\n" * 200_000
    searches, find = 0, stringzilla.find

    def counted(*arguments: object) -> int:
        nonlocal searches
        searches += 1
        found: int = find(*arguments)
        return found

    monkeypatch.setattr(stringzilla, "find", counted)
    with pytest.raises(Ambiguous, match="without end"):
        list(parts(message(text)))
    assert searches < depth * (len(text) / PIECE + 2 * depth)
