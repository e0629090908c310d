"""Tables of what clients and servers say, each read whole, octet by octet, in two pieces, and with a tail."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailweir.wire.errors import ProtocolError
from mailweir.wire.smtp import (
    COMMAND_LINE,
    REPLY_LINE,
    REPLY_LINES,
    SASL_LINE,
    Bdat,
    Chunk,
    Command,
    CommandReader,
    FromClient,
    ReplyReader,
    Text,
)

Seen = tuple[str, bytes] | str
"""An event's kind and its octets (pieces of one text joined), or what was wrong."""

COMMANDS: dict[str, tuple[bytes, list[Seen]]] = {
    "a verb": (b"NOOP\r\n", [("NOOP", b"")]),
    "any case": (b"mail From:<a@b> SIZE=1\r\n", [("MAIL", b"From:<a@b> SIZE=1")]),
    "blanks stay": (b"RSET \r\nHELP  x \r\n", [("RSET", b""), ("HELP", b" x ")]),
    "octets beyond ASCII": (b"MAIL FROM:<\xc3\xa9@b>\r\n", [("MAIL", b"FROM:<\xc3\xa9@b>")]),
    "digits and hyphens in a verb": (b"X-EXPS a\r\nXEXCH50\r\n", [("X-EXPS", b"a"), ("XEXCH50", b"")]),
    "an empty line": (b"\r\n", ["500 not a command line"]),
    "a blank before the verb": (b" XCLIENT ADDR=::1\r\n", ["500 not a command line"]),
    "a tab before the verb": (b"\tDATA\r\n", ["500 not a command line"]),
    "VT and FF before the verb": (b"\x0bDATA\r\n\x0cDATA\r\n", ["500 not a command line"] * 2),
    "a tab behind the verb": (b"XCLIENT\tADDR=::1\r\n", ["500 not a command line"]),
    "a colon in the verb": (b"MAIL:\r\n", ["500 not a command line"]),
    "letters of other scripts": (b"N\xc3\xb6OP\r\n", ["500 not a command line"]),
    "bare LF is no line's end": (b"MAIL FROM:<a@b>\nRCPT TO:<c@d>\r\n", ["500 not a command line"]),
    "bare CR": (b"NOOP\rQUIT\r\nNOOP\r\n", ["500 not a command line", ("NOOP", b"")]),
    "CR CR LF": (b"NOOP\r\r\nNOOP\r\n", ["500 not a command line", ("NOOP", b"")]),
    "NUL": (b"NOOP \0\r\nNOOP\r\n", ["500 not a command line", ("NOOP", b"")]),
    "as long as may be": (b"X" * (COMMAND_LINE - 2) + b"\r\n", [("X" * (COMMAND_LINE - 2), b"")]),
    "too long": (b"X" * (COMMAND_LINE - 1) + b"\r\nNOOP\r\n", ["500 line too long", ("NOOP", b"")]),
    "far too long": (b"X" * 99999 + b"\r\nNOOP\r\n", ["500 line too long", ("NOOP", b"")]),
    "a chunk": (b"BDAT 3\r\n\n.\rNOOP\r\n", [("BDAT", b"3"), ("chunk", b"\n.\r"), ("NOOP", b"")]),
    "the last chunk": (
        b"bdat 2 lAST \r\nhiNOOP\r\n",
        [("BDAT", b"2 lAST "), ("chunk", b"hi"), ("NOOP", b"")],
    ),
    "an empty chunk": (b"BDAT 0 LAST\r\nNOOP\r\n", [("BDAT", b"0 LAST"), ("chunk", b""), ("NOOP", b"")]),
    "a chunk that looks like commands": (b"BDAT 6\r\nQUIT\r\n", [("BDAT", b"6"), ("chunk", b"QUIT\r\n")]),
    "BDAT without a size": (b"BDAT\r\n", ["501 BDAT takes a size and maybe LAST!"]),
    "BDAT of a word": (b"BDAT abc\r\n", ["501 BDAT takes a size and maybe LAST!"]),
    "BDAT of less than nothing": (b"BDAT -1\r\n", ["501 BDAT takes a size and maybe LAST!"]),
    "BDAT of more than a size": (b"BDAT 1 LAST x\r\n", ["501 BDAT takes a size and maybe LAST!"]),
    "BDAT of twenty digits": (b"BDAT " + b"9" * 20 + b"\r\n", ["501 BDAT takes a size and maybe LAST!"]),
}

MENDED: dict[str, tuple[bytes, list[Seen]]] = {  # to a reader that ends lines at LF
    "CRLF": (b"NOOP\r\nRSET\r\n", [("NOOP", b""), ("RSET", b"")]),
    "LF": (b"MAIL FROM:<a@b>\nRCPT TO:<c@d>\r\n", [("MAIL", b"FROM:<a@b>"), ("RCPT", b"TO:<c@d>")]),
    "an empty line": (b"\n", ["500 not a command line"]),
    "CR": (b"NOOP\rQUIT\nNOOP\n", ["500 not a command line", ("NOOP", b"")]),
    "CR CR LF": (b"NOOP\r\r\nNOOP\n", ["500 not a command line", ("NOOP", b"")]),
    "NUL": (b"NOOP \0\nNOOP\n", ["500 not a command line", ("NOOP", b"")]),
    "far too long": (b"X" * 99999 + b"\nNOOP\n", ["500 line too long", ("NOOP", b"")]),
    "a chunk": (b"BDAT 3\n\n.\rNOOP\n", [("BDAT", b"3"), ("chunk", b"\n.\r"), ("NOOP", b"")]),
}

REPLIES: dict[str, tuple[bytes, list[Seen]]] = {
    "one line": (b"250 ok\r\n", [("250", b"250 ok\r\n")]),
    "a code alone": (b"250\r\n", [("250", b"250\r\n")]),
    "a code and a blank": (b"354 \r\n", [("354", b"354 \r\n")]),
    "lines": (b"250-a\r\n250-\r\n250\r\n", [("250", b"250-a\r\n250-\r\n250\r\n")]),
    "codes that differ: the last rules": (b"250-a\r\n550 b\r\n", [("550", b"250-a\r\n550 b\r\n")]),
    "two": (b"250 a\r\n421 b\r\n", [("250", b"250 a\r\n"), ("421", b"421 b\r\n")]),
    "octets beyond ASCII": (b"250 \xff\0\r\n", [("250", b"250 \xff\0\r\n")]),
    "another protocol": (b"+OK\r\n", ["500 not a reply!"]),
    "sendmail's VERB": (b"050 talking\r\n", ["500 not a reply!"]),
    "no code of ours": (b"650 x\r\n", ["500 not a reply!"]),
    "four digits": (b"2500\r\n", ["500 not a reply!"]),
    "an empty line": (b"\r\n", ["500 not a reply!"]),
    "as long as may be": (
        b"250 " + b"x" * (REPLY_LINE - 6) + b"\r\n",
        [("250", b"250 " + b"x" * 4090 + b"\r\n")],
    ),
    "too long": (b"250 " + b"x" * REPLY_LINE + b"\r\n", ["500 line too long"]),
    "too long, and goes on": (b"250 " + b"x" * REPLY_LINE, ["500 line too long"]),
    "too many lines": (b"250-x\r\n" * REPLY_LINES, ["500 a reply without end!"]),
    "too much": ((b"250-" + b"x" * 4000 + b"\r\n") * 17, ["500 a reply without end!"]),
}


def wrong(error: ProtocolError) -> str:
    return f"{error.code} {error.text}" + ("!" if error.fatal else "")


def commands(*pieces: bytes, mend: bool = False) -> list[Seen]:
    """All that the reader gives for these pieces, up to the first fatal error."""
    reader, seen = CommandReader(mend=mend), list[Seen]()
    chunk: bytes | None = None
    for piece in pieces:
        reader.feed(piece)
        while True:
            try:
                event = reader.next()
            except ProtocolError as error:
                seen.append(wrong(error))
                if error.fatal:
                    return seen
                continue
            if event is None:
                break
            if isinstance(event, Chunk):
                chunk = (chunk or b"") + event.raw
                if event.end:
                    seen.append(("chunk", chunk))
                    chunk = None
            else:
                assert isinstance(event, Command)
                assert event.raw[:-2].partition(b" ")[2] == event.arguments
                seen.append((event.verb, event.arguments))
    if chunk is not None:
        seen.append(("part of a chunk", chunk))
    return seen


def replies(*pieces: bytes) -> list[Seen]:
    reader, seen = ReplyReader(), list[Seen]()
    for piece in pieces:
        reader.feed(piece)
        try:
            while (reply := reader.next()) is not None:
                seen.append((str(reply.code), reply.raw))
        except ProtocolError as error:
            seen.append(wrong(error))
            return seen
    return seen


def octets_of(wire: bytes) -> Sequence[bytes]:
    return [bytes([octet]) for octet in wire]


@pytest.mark.parametrize(("wire", "seen"), COMMANDS.values(), ids=COMMANDS.keys())
def test_commands(wire: bytes, seen: list[Seen]) -> None:
    assert commands(wire) == seen
    assert commands(*octets_of(wire)) == seen
    for cut in range(1, min(len(wire), 100)):
        assert commands(wire[:cut], wire[cut:]) == seen
    if not str(seen[-1]).endswith("!"):
        assert commands(wire + b"NOOP x\r\n") == [*seen, ("NOOP", b"x")]


@pytest.mark.parametrize(("wire", "seen"), MENDED.values(), ids=MENDED.keys())
def test_commands_that_may_end_in_lf(wire: bytes, seen: list[Seen]) -> None:
    assert commands(wire, mend=True) == seen
    assert commands(*octets_of(wire), mend=True) == seen
    for cut in range(1, min(len(wire), 100)):
        assert commands(wire[:cut], wire[cut:], mend=True) == seen
    assert commands(wire + b"NOOP x\n", mend=True) == [*seen, ("NOOP", b"x")]


def test_lines_that_were_mended_end_in_crlf() -> None:
    reader = CommandReader(mend=True)
    reader.feed(b"AUTH LOGIN\nQQ==\nBDAT 1\nxNOOP\r\n")
    raw = []
    while (event := reader.next()) is not None:
        raw.append(event.raw)
        if raw == [b"AUTH LOGIN\r\n"]:
            reader.expect_response()
    assert raw == [b"AUTH LOGIN\r\n", b"QQ==\r\n", b"BDAT 1\r\n", b"x", b"NOOP\r\n"]


@pytest.mark.parametrize(("wire", "seen"), REPLIES.values(), ids=REPLIES.keys())
def test_replies(wire: bytes, seen: list[Seen]) -> None:
    assert replies(wire) == seen
    assert replies(*octets_of(wire)) == seen
    for cut in range(1, min(len(wire), 100)):
        assert replies(wire[:cut], wire[cut:]) == seen
    if isinstance(seen[-1], tuple):
        assert replies(wire + b"220 x\r\n") == [*seen, ("220", b"220 x\r\n")]


def test_a_text_comes_when_the_relay_says_so() -> None:
    for pieces in ([b"DATA\r\n..hi\r\n.\r\nQUIT\r\n"], octets_of(b"DATA\r\n..hi\r\n.\r\nQUIT\r\n")):
        reader, raw, after = CommandReader(), b"", list[FromClient]()
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next()) is not None:
                if isinstance(event, Command) and event.verb == "DATA":
                    reader.expect_text()
                elif isinstance(event, Text):
                    raw += event.raw
                else:
                    after.append(event)
        assert raw == b"..hi\r\n.\r\n"
        assert [event.raw for event in after] == [b"QUIT\r\n"]


RESPONSES = {
    "base64": (b"AGE=\r\n", "AGE="),
    "what looks like a command": (b"QUIT\r\n", "QUIT"),
    "nothing": (b"\r\n", ""),
    "give up": (b"*\r\n", "*"),
    "as long as may be": (b"A" * (SASL_LINE - 2) + b"\r\n", "A" * (SASL_LINE - 2)),
    "too long": (b"A" * SASL_LINE + b"\r\n", "500 line too long"),
    "bare LF": (b"A\nNOOP\r\n", "501 not a response"),
    "NUL": (b"A\0\r\n", "501 not a response"),
}


@pytest.mark.parametrize(("wire", "seen"), RESPONSES.values(), ids=RESPONSES.keys())
def test_one_response_and_then_commands_again(wire: bytes, seen: str) -> None:
    for pieces in ([wire + b"NOOP\r\n"], octets_of(wire + b"NOOP\r\n")):
        reader, got = CommandReader(), list[str]()
        reader.expect_response()
        for piece in pieces:
            reader.feed(piece)
            try:
                while (event := reader.next()) is not None:
                    got.append(event.raw[:-2].decode())
            except ProtocolError as error:
                got.append(wrong(error))
                if (event := reader.next()) is not None:
                    got.append(event.raw[:-2].decode())
        assert got == [seen, "NOOP"]


def test_a_size_may_be_any_number_and_costs_nothing() -> None:
    reader = CommandReader()
    reader.feed(b"BDAT 999999999999999999 LAST\r\nx")
    command = reader.next()
    assert isinstance(command, Bdat) and command.last and command.size == 999999999999999999
    chunk = reader.next()
    assert isinstance(chunk, Chunk) and (chunk.raw, chunk.end) == (b"x", False)


def test_a_size_that_servers_would_cut_off_is_refused() -> None:
    reader = CommandReader()
    reader.feed(b"BDAT 9223372036854775809 LAST\r\nx")  # 2^63 + 1, which may be 1 in 64 bits
    with pytest.raises(ProtocolError) as raised:
        reader.next()
    assert raised.value.fatal


def test_a_reply_line_has_no_lf_inside() -> None:
    reader = ReplyReader()
    reader.feed(b"250 ok\n250 and another\r\n")
    with pytest.raises(ProtocolError, match="not a reply"):
        reader.next()


def test_a_line_without_end_is_not_kept() -> None:
    reader = CommandReader()
    for _ in range(1000):
        reader.feed(b"x" * 4096)
        assert reader.next() is None
    assert reader.pending <= COMMAND_LINE


@pytest.mark.parametrize(
    ("behind", "only"),
    [(b"QUIT\r\n", True), (b"quit\r\n", True), (b"", False), (b"QUIT", False), (b"QUIT now\r\n", False)]
    + [(b"QUIT\r\nNOOP\r\n", False), (b"QUIT\r\nN", False), (b"NOOP\r\nQUIT\r\n", False)],
)
def test_only_one_command_is_left(behind: bytes, only: bool) -> None:
    reader = CommandReader()
    reader.feed(b"DATA\r\n")
    reader.next()
    reader.expect_text()
    reader.feed(b"QUIT\r\n")
    assert not reader.only("QUIT")  # of the text
    reader.feed(b".\r\n" + behind)
    reader.next()
    assert reader.only("QUIT") is only


@pytest.mark.parametrize(
    ("behind", "only"),
    [(b"xQUIT\r\n", True), (b"xBDAT 6\r\nQUIT\r\nQUIT\r\n", True), (b"xBDAT 0 LAST\r\nQUIT\r\n", True)]
    + [(b"QUIT\r\n", False), (b"xBDAT 7\r\nQUIT\r\n", False), (b"xBDAT x\r\nQUIT\r\n", False)],
)
def test_only_chunks_and_one_command_are_left(behind: bytes, only: bool) -> None:
    reader = CommandReader()
    reader.feed(b"BDAT 3\r\nab")
    assert isinstance(reader.next(), Bdat)
    assert isinstance(reader.next(), Chunk)
    reader.feed(behind)
    assert reader.only("QUIT") is only
    assert isinstance(reader.next(), Chunk)  # nothing was taken


@pytest.mark.parametrize(
    ("behind", "only"),
    [(b"textquit\r\n", True), (b"textQUIT", False), (b"texQUIT\r\n", False), (b"QUIT\r\n", False)]
    + [(b"text", False), (b"textNOOP\r\nQUIT\r\n", False)],
)
def test_only_one_command_is_left_behind_a_chunk(behind: bytes, only: bool) -> None:
    reader = CommandReader()
    reader.feed(b"BDAT 4 LAST\r\n" + behind)
    reader.next()
    assert reader.only("QUIT") is only


def test_what_is_secret_is_not_shown() -> None:
    reader = CommandReader()
    reader.feed(b"AUTH PLAIN AHUAcA==\r\nAHUAcA==\r\n")
    command = reader.next()
    reader.expect_response()
    assert "AHUAcA" not in f"{command!r} {reader.next()!r}"


def test_rest_gives_what_was_not_read() -> None:
    reader = CommandReader()
    reader.feed(b"XFOO\r\nraw\0")
    assert reader.next() is not None
    assert (reader.rest(), reader.pending) == (b"raw\0", 0)
    answers = ReplyReader()
    answers.feed(b"250-a\r\n250")
    assert answers.next() is None
    assert (answers.rest(), answers.pending) == (b"250-a\r\n250", 0)


WORDS = st.sampled_from(
    [b"NOOP", b"BDAT 3", b" LAST", b"\r\n", b"\r", b"\n", b"250", b"-", b" ", b"x", b"\0", b"99"]
)


@given(st.lists(WORDS, max_size=30), st.data())
def test_any_octets_cut_anywhere_give_the_same(words: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(words)
    cut = data.draw(st.integers(0, len(wire)))
    assert commands(wire[:cut], wire[cut:]) == commands(wire) == commands(*octets_of(wire))
    assert replies(wire[:cut], wire[cut:]) == replies(wire) == replies(*octets_of(wire))
