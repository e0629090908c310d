"""What a message gives before and after all of it is here, and with what edits."""

from mailweir.envelope import Envelope
from mailweir.message import Message
from mailweir.spool import PIECE, Spool

HEAD = b"From: a@example.org\r\nSubject: hello\r\n\r\n"


def whole(body: bytes, memory: int = PIECE) -> Message:
    message = Message("s1.1", "smtp", Envelope("a@example.org"), HEAD)
    spooled = Spool(memory=memory).open()
    spooled.write(HEAD + body)
    message.attach(spooled, whole=True)
    return message


def test_with_its_header_alone() -> None:
    message = Message("s1.1", "smtp", Envelope(), HEAD)
    assert not message.whole
    assert message.size == message.leaving == len(HEAD)
    assert list(message.body()) == []
    assert list(message.pieces()) == [HEAD]


def test_whole_and_untouched() -> None:
    message = whole(b"body\r\n")
    assert message.whole
    assert message.size == message.leaving == len(HEAD) + 6
    assert b"".join(message.body()) == b"body\r\n"
    assert b"".join(message.pieces()) == HEAD + b"body\r\n"


def test_edits_change_what_leaves_and_not_what_came() -> None:
    message = whole(b"body\r\n")
    message.headers.remove("subject")
    message.headers.add("X-Seen", "yes")
    wanted = b"X-Seen: yes\r\nFrom: a@example.org\r\n\r\nbody\r\n"
    assert b"".join(message.pieces()) == wanted
    assert message.leaving == len(wanted)
    assert message.size == len(HEAD) + 6
    assert b"".join(message.body()) == b"body\r\n"


def test_a_large_body_comes_in_pieces_from_disk() -> None:
    body = bytes(range(256)) * 1024
    message = whole(body, memory=0)
    pieces = list(message.pieces())
    assert b"".join(pieces) == HEAD + body
    assert max(map(len, pieces)) <= PIECE


def test_no_header_gives_no_empty_piece() -> None:
    message = Message("s1.1", "smtp", Envelope(), b"")
    assert list(message.pieces()) == []
