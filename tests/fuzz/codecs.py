"""Fuzz targets for the codecs: any octets, cut anywhere, give the same events or the same `ProtocolError`.

The first octet of an input says how the rest is cut (pieces of so many octets), the second which side lines
a relay would take (that a text follows, or a line of SASL). What a codec gave, and what it has left, must be
what came, unless it refused a part.
"""

from collections.abc import Callable, Iterator
from typing import Any

from mailweir.wire import (
    imap,
    imap_arguments,
    imap_mailbox,
    imap_responses,
    imap_tokens,
    pop3,
    smtp,
    smtp_path,
)
from mailweir.wire.dots import DotReader, stray, stuff, unstuff
from mailweir.wire.errors import ProtocolError
from mailweir.wire.smtp_text import DotWriter, Strays, stuffing

LIMIT = 64
"""Octets of a line, so that inputs can be short."""

Seen = list[tuple[str, bytes]]
Target = Callable[[bytes], None]


def pieces(octets: bytes, size: int) -> Iterator[bytes]:
    """Of `size` octets each; all at once if 0."""
    step = size or max(len(octets), 1)
    return (octets[at : at + step] for at in range(0, len(octets), step))


def read(reader: Any, octets: bytes, size: int, steer: Callable[[Any, Any], None]) -> tuple[Seen, bool]:
    """All events, pieces of one text joined, and whether a part was refused. `steer` says how to go on."""
    seen: Seen = []
    refused = False
    for piece in pieces(octets, size):
        reader.feed(piece)
        while True:
            try:
                event = reader.next()
            except ProtocolError as error:
                refused = True
                seen.append(("error", error.text.encode()))
                if error.fatal:
                    return seen, True
                continue
            if event is None:
                break
            kind = type(event).__name__
            raw = event if isinstance(event, bytes) else event.raw
            if seen and kind in BULK and seen[-1][0] == kind:
                seen[-1] = kind, seen[-1][1] + raw
            else:
                seen.append((kind, raw))
            steer(reader, event)
    return seen, refused


BULK = ("Text", "Chunk", "Octets", "bytes")
"""Events of which there may be more or fewer, as the octets were cut."""


def _both(
    make: Callable[[], Any],
    data: bytes,
    steer: Callable[[Any, Any], None],
    *,
    texts: bool = False,
    lines: bool = False,
) -> None:
    """Whole and cut the same; and what was given and is left is what came.

    `texts`: one may be under way, and of what it holds back until it is clear what it is, nothing is left.
    `lines`: a bare LF is given as CRLF, and an error that ends all may come before what stood before it.
    """
    octets = data[2:]
    whole, cut = make(), make()
    seen, refused = read(whole, octets, 0, steer)
    again, _ = read(cut, octets, data[0] + 1, steer)
    alike = lines and refused and seen[-1:] == again[-1:]
    assert alike or seen == again, f"{seen} whole, {again} in pieces of {data[0] + 1}"
    thrown_away = len(octets.rpartition(b"\r\n")[2]) > LIMIT  # a line that is too long
    if not refused and not thrown_away and (not texts or octets.endswith(b"\r\n.\r\n")):
        for reader in (whole, cut):
            given = b"".join(raw for _, raw in seen) + reader.rest()
            assert given == octets or (lines and given.replace(b"\r", b"") == octets.replace(b"\r", b""))


def smtp_commands(data: bytes) -> None:
    def steer(reader: smtp.CommandReader, event: smtp.FromClient) -> None:
        if isinstance(event, smtp.Command) and event.verb == "DATA" and data[1] & 1:
            reader.expect_text()
        elif isinstance(event, smtp.Command) and event.verb == "AUTH" and data[1] & 2:
            reader.expect_response()

    if len(data) > 2:
        _both(lambda: smtp.CommandReader(LIMIT), data, steer, texts=bool(data[1] & 1))


def smtp_replies(data: bytes) -> None:
    if len(data) > 2:
        _both(smtp.ReplyReader, data, lambda reader, event: None)


def smtp_text(data: bytes) -> None:
    """What is stuffed and read again is the same text, with a CRLF at its end."""
    if len(data) < 2:
        return
    size, text = data[0] + 1, data[2:]
    writer = DotWriter()
    wire = b"".join(writer.write(piece) for piece in pieces(text, size)) + writer.end()
    reader = DotReader()
    read_again = b""
    behind = list(pieces(wire + b"NOOP", size))
    while behind and not reader.ended:
        read_again += b"".join(reader.feed(behind.pop(0)))
    ended = text if text.endswith(b"\r\n") or not text else text + b"\r\n"
    assert reader.ended and reader.rest + b"".join(behind) == b"NOOP"
    assert unstuff(read_again, at_line_start=True) == ended
    assert stuff(ended, at_line_start=True) == read_again
    assert stuffing(read_again, at_line_start=True) == len(read_again) - len(ended)
    strays, cut = Strays(), list(pieces(text, size))
    found = [strays.found(piece, end=number == len(cut) - 1) for number, piece in enumerate(cut)]
    assert any(found) == stray(text)


def smtp_paths(data: bytes) -> None:
    """Whatever stands there, it is read or it isn't."""
    for keyword in (b"FROM:", b"TO:"):
        for octets in (data, keyword + data):
            read = smtp_path.path(octets, keyword)
            if read is not None:
                smtp_path.parameters(read.parameters)


def pop3_commands(data: bytes) -> None:
    def steer(reader: pop3.CommandReader, event: Any) -> None:
        reader.response(isinstance(event, pop3.Command) and event.verb == "AUTH" and bool(data[1] & 1))

    if len(data) > 2:
        _both(lambda: pop3.CommandReader(LIMIT, LIMIT + 32), data, steer)


def pop3_replies(data: bytes) -> None:
    def steer(reader: pop3.ReplyReader, event: Any) -> None:
        if isinstance(event, pop3.Reply) and event.ok and data[1] & 1:
            reader.text()

    if len(data) > 2:
        _both(lambda: pop3.ReplyReader(LIMIT), data, steer, texts=bool(data[1] & 1))


def imap_client(data: bytes) -> None:
    def steer(reader: imap.ClientReader, event: Any) -> None:
        if isinstance(event, imap.CommandLine):
            reader.dialogue = event.name == "IDLE" and bool(data[1] & 1)
        elif isinstance(event, imap.Line) and reader.dialogue:
            reader.dialogue = event.text.upper() != b"DONE"
        if isinstance(event, imap.Line) and event.literal is not None and event.literal.sync:
            if data[1] & 2:
                reader.literal_follows()
            else:
                reader.unit_over()

    if len(data) > 2:
        _both(lambda: imap.ClientReader(1024), data, steer)


def imap_server(data: bytes) -> None:
    if len(data) > 2:
        _both(imap_responses.ServerReader, data, lambda reader, event: None, lines=True)


def imap_words(data: bytes) -> None:
    """The tokens of a line: nothing but what they say they give; a quoted string may be cut anywhere."""
    at = data[0] if data else 0
    state = imap_tokens.quoting(data)
    assert state == imap_tokens.quoting(data[at:], imap_tokens.quoting(data[:at]))
    literal = imap_tokens.announced(data)
    if literal is not None:
        assert imap_tokens.nearly_announced(data) is not None
        assert data.endswith(b"}") and literal.announce(literal.size).startswith((b"{", b"~{"))
    imap_tokens.tokens(data)
    imap_tokens.strings(data)


def imap_commands(data: bytes) -> None:
    """A tree whose words stand where they say; a mailbox's name that is spelt anew is the same name."""
    try:
        found = imap_arguments.parse([data])
    except imap_arguments.Unreadable:
        found = ()
    for word in imap_arguments.words(found):
        assert word.string or data[word.begin[1] : word.end[1]] == word.value
        same = imap_arguments.Edit(word.begin, word.end, data[word.begin[1] : word.end[1]])
        assert imap_arguments.edited([data], [], [same]) == ([data], [])
    for utf8 in (False, True):
        name = imap_mailbox.decoded(data, utf8=utf8)
        if name is not None:
            assert imap_mailbox.decoded(imap_mailbox.encoded(name, utf8=utf8), utf8=utf8) == name


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        smtp_commands,
        smtp_replies,
        smtp_text,
        smtp_paths,
        pop3_commands,
        pop3_replies,
        imap_client,
        imap_server,
        imap_words,
        imap_commands,
    )
}
