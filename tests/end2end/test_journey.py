"""Mail programs at every end of real servers: the same results through mailweir as directly.

Each test runs on every road, those without mailweir included, with the same expectation.
"""

import imaplib
import poplib
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from end2end import clients
from end2end.clients import READ, SENDER, SUBMIT, Read, Submit, delivered
from end2end.dovecot import PASSWORD
from end2end.house import House, Road

pytestmark = pytest.mark.real

MESSAGE = (
    b"From: Writer <writer@example.net>\r\n"
    b"To: Reader <reader@example.org>\r\n"
    b"Subject:  Two  blanks, a\r\n\tfold and a tab\t\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <one@example.net>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"\r\n"
    b"Gr\xc3\xbc\xc3\x9fe\r\n"
    b".\r\n"
    b"..two dots\r\n"
    b"From the start of a line\r\n"
    b"\r\n" + b"a long line " * 70 + b"\r\n"
    b"the end\r\n"
)


@pytest.mark.parametrize("submit", SUBMIT.values(), ids=SUBMIT.keys())
def test_submit_relay_deliver(house: House, road: Road, user: str, submit: Submit, tmp_path: Path) -> None:
    submit(road, user, MESSAGE, tmp_path)
    (message,) = house.wait_for_mail(user)
    assert delivered(message) == MESSAGE
    assert f"Return-Path: <{SENDER}>\n".encode() in message


@pytest.mark.parametrize("read", READ.values(), ids=READ.keys())
def test_read(house: House, road: Road, user: str, read: Read, tmp_path: Path) -> None:
    with clients.lmtp(road) as client:
        for number in range(3):
            client.sendmail(SENDER, [f"{user}@{road.domain}"], MESSAGE + b"%d\r\n" % number)
    house.wait_for_mail(user, 3)
    found = [delivered(message) for message in read(road, user, tmp_path)]
    assert sorted(found) == [MESSAGE + b"%d\r\n" % number for number in range(3)]


def test_a_wrong_password_is_refused_by_the_server_and_the_session_lives(road: Road, user: str) -> None:
    with clients.smtp(road) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(user, "wrong")
        assert refused.value.smtp_code == 535 and b"authentication failed" in refused.value.smtp_error
        client.login(user, PASSWORD)
    reading = clients.imap(road, user)
    assert reading.logout()[0] == "BYE"
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        clients.imap(road, user, password="wrong")
    with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\] Authentication failed"):
        clients.pop3(road, user, password="wrong")


def test_who_did_not_log_in_may_not_relay(road: Road, user: str) -> None:
    with clients.smtp(road) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail(SENDER, [f"{user}@{road.domain}"], MESSAGE)
        (reply,) = refused.value.recipients.values()
        address = f"{user}@{road.domain}"
        assert reply == (554, f"5.7.1 <{address}>: Recipient address rejected: Access denied".encode())
        assert client.noop() == (250, b"2.0.0 Ok")


def test_lmtp_answers_for_each_recipient(house: House, road: Road, users: Iterator[str]) -> None:
    good, other = next(users), next(users)
    with clients.lmtp(road) as client:
        assert client.mail(SENDER)[0] == 250
        assert client.rcpt(f"{good}@{road.domain}")[0] == 250
        assert client.docmd("RCPT TO:<")[0] == 501
        assert client.rcpt(f"{other}@{road.domain}")[0] == 250
        code, first = client.data(MESSAGE)
        assert code == 250 and f"<{good}@{road.domain}>".encode() in first
        code, second = client.getreply()
        assert code == 250 and f"<{other}@{road.domain}>".encode() in second
    assert [delivered(message) for message in house.wait_for_mail(other)] == [MESSAGE]


def test_bdat(house: House, road: Road, user: str) -> None:
    with clients.smtp(road) as client:
        client.login(user, PASSWORD)
        assert client.has_extn("chunking")
        client.mail(SENDER)
        client.rcpt(f"{user}@{road.domain}")
        half = len(MESSAGE) // 2
        for part, last in ((MESSAGE[:half], b""), (MESSAGE[half:], b" LAST")):
            client.send(b"BDAT %d%s\r\n%s" % (len(part), last, part))
            assert client.getreply()[0] == 250
    (message,) = house.wait_for_mail(user)
    assert delivered(message) == MESSAGE


def test_pipelining(house: House, road: Road, user: str) -> None:
    with clients.smtp(road) as client:
        client.login(user, PASSWORD)
        address = f"{user}@{road.domain}".encode()
        client.send(b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nRCPT TO:<\r\nDATA\r\n" % (SENDER.encode(), address))
        assert [client.getreply()[0] for _ in range(4)] == [250, 250, 501, 354]
        client.send(smtplib._quote_periods(MESSAGE) + b".\r\nNOOP\r\nQUIT\r\n")  # type: ignore[attr-defined]
        assert [client.getreply()[0] for _ in range(3)] == [250, 250, 221]
        client.close()
    (message,) = house.wait_for_mail(user)
    assert delivered(message) == MESSAGE


def test_ten_megabytes(house: House, road: Road, user: str) -> None:
    line = bytes(range(32, 127)) + b"\r\n"
    text = MESSAGE + line * (10_000_000 // len(line))
    with clients.lmtp(road) as client:
        client.sendmail(SENDER, [f"{user}@{road.domain}"], text)
    (stored,) = house.wait_for_mail(user)
    assert delivered(stored) == text
    reading = clients.imap(road, user)
    reading.select(readonly=True)
    fetched = reading.fetch("1", "(BODY.PEEK[TEXT])")[1][0][1]  # type: ignore[index]
    assert fetched == text.partition(b"\r\n\r\n")[2]
    reading.logout()


def test_an_imap_session(road: Road, user: str) -> None:
    client = clients.imap(road, user)
    assert client.select()[0] == "OK"
    assert client.append("INBOX", r"(\Flagged)", '"24-Nov-2026 12:00:00 +0000"', MESSAGE)[0] == "OK"
    assert client.append("INBOX", "", '"24-Nov-2026 12:00:01 +0000"', MESSAGE)[0] == "OK"
    assert client.search(None, "FLAGGED")[1] == [b"1"]
    assert client.fetch("1", "(RFC822.SIZE)")[1] == [b"1 (RFC822.SIZE %d)" % len(MESSAGE)]
    part = client.fetch("1", "(BODY.PEEK[]<10.20>)")[1][0]
    assert isinstance(part, tuple) and part[1] == MESSAGE[10:30]
    assert client.store("2", "+FLAGS", r"(\Seen)")[1] == [b"2 (FLAGS (\\Seen \\Recent))"]
    assert client.uid("MOVE", "1", "Trash")[0] == "OK"
    assert client.select("Trash")[1] == [b"1"]
    assert client.select()[1] == [b"1"]
    client.send(b"I1 IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    other = clients.imap(road, user)
    other.append("INBOX", "", "", MESSAGE)
    assert b"EXISTS" in client.readline()
    client.send(b"DONE\r\n")
    while not (line := client.readline()).startswith(b"I1 "):
        pass
    assert line.startswith(b"I1 OK")
    assert other.logout()[0] == client.logout()[0] == "BYE"


def test_a_pop3_session(road: Road, user: str) -> None:
    with clients.lmtp(road) as deliver:
        for _ in range(2):
            deliver.sendmail(SENDER, [f"{user}@{road.domain}"], MESSAGE)
    client = clients.pop3(road, user)
    assert client.stat()[0] == 2
    assert len(client.list()[1]) == len(client.uidl()[1]) == 2
    assert client.top(1, 2)[1][-2:] == ["Grüße".encode(), b"."]
    assert client.retr(1)[1][-1] == b"the end"
    with pytest.raises(poplib.error_proto, match="-ERR"):
        client.retr(3)
    client.dele(1)
    client.quit()
    again = clients.pop3(road, user)
    assert again.stat()[0] == 1
    again.quit()
