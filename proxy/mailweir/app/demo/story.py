"""A message travels, is told about, and every step is checked.

Written by `email`, submitted by `smtplib`, read by `poplib` and `imaplib`: clients that know nothing of
mailweir. The story is printed as it happens.
"""

import base64
import contextlib
import email
import email.message
import email.utils
import imaplib
import poplib
import smtplib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dkim

from mailweir.app.demo.world import ANN, BOB, DOMAIN, HOST, PASSWORD, SELECTOR, World, WorldError

SENDER, RECIPIENT = f"{ANN}@{DOMAIN}", f"{BOB}@example.net"


class Wrong(Exception):
    """A step was not as it should be."""


class Story:
    """Prints, and knows whether everything was right."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.started = time.monotonic()
        self._log_read = 0

    def chapter(self, title: str) -> None:
        print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n{title}", flush=True)

    def say(self, text: str) -> None:
        for line in text.splitlines():
            print(f"   {line}", flush=True)

    def check(self, right: bool, sentence: str) -> None:
        """Say that something is so, or end the story because it isn't."""
        if not right:
            raise Wrong(sentence)
        self.say(f"[ok] {sentence}")

    def hops(self, *needles: str) -> None:
        """Print the access log's lines about the hops just made; each needle is one line's listener."""
        found: list[str] = []
        end = time.monotonic() + 5
        while time.monotonic() < end and len(found) < len(needles):
            lines = self.world.log().splitlines()[self._log_read :]
            found = [
                line
                for needle in needles
                for line in lines
                if f"listener={needle}" in line and "event=message" in line
            ][: len(needles)]
            time.sleep(0.05)
        self.check(len(found) >= len(needles), f"logged, one line a hop ({', '.join(needles)}):")
        for line in found:
            self.say(f"     {line}")
        self._log_read = len(self.world.log().splitlines())


def shorten(text: str, most: int) -> str:
    """The text, or its beginning and dots."""
    return text if len(text) <= most else f"{text[:most]}..."


def write(subject: str) -> email.message.EmailMessage:
    """A message as a mail program would write it."""
    message = email.message.EmailMessage()
    message["From"] = f"Ann <{SENDER}>"
    message["To"] = f"Bob <{RECIPIENT}>"
    message["Subject"] = subject
    message["Message-ID"] = f"<{time.time_ns()}@{DOMAIN}>"
    message["Date"] = email.utils.formatdate()
    message.set_content("Hello Bob,\n\n.a line that begins with a dot, to see whether it survives\n\nAnn\n")
    return message


def submit(world: World, message: email.message.EmailMessage) -> None:
    """Hand a message in, as a mail program does: STARTTLS, login, send."""
    with smtplib.SMTP(HOST, world.ports["submission"]) as client:
        client.starttls(context=world.tls())
        client.login(ANN, PASSWORD)
        client.send_message(message, SENDER, [RECIPIENT])


def submission(story: Story) -> None:
    story.chapter("1. Ann's mail program submits a message")
    story.say(
        f"{SENDER} -> {RECIPIENT}, to 127.0.0.1:{story.world.ports['submission']}, STARTTLS, AUTH PLAIN"
    )
    submit(story.world, write("A message for the weir"))
    story.check(True, "accepted; mailweir said 250 because two MTAs and the mailbox had said it before")
    story.hops("submission", "delivery")


def reading(story: Story) -> bytes:
    story.chapter("2. Bob reads it by POP3")
    client = poplib.POP3(HOST, story.world.ports["pop3"])
    client.user(BOB)
    client.pass_(PASSWORD)
    count, size = client.stat()
    story.check(count == 1, f"one message of {size} octets waits")
    octets = b"\r\n".join([*client.retr(1)[1], b""])
    client.quit()
    story.say("its header, top first:")
    fields = email.message_from_bytes(octets)
    for name, value in fields.items():
        story.say(f"     {name}: {shorten(' '.join(value.split()), 90)}")
    story.check(b"\r\n.a line that begins with a dot" in octets, "the line that begins with a dot is whole")
    return octets


def signature(story: Story, octets: bytes) -> None:
    story.chapter("3. The signature that the plugin dkim added on the way out")
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(story.world.dns_key)
    name = f"{SELECTOR}._domainkey.{DOMAIN}."

    def dns(asked: bytes, timeout: int = 5) -> bytes | None:
        return record if asked.decode() == name else None

    story.say(f"verified by dkimpy with the key that DNS would give for {name}")
    story.check(bool(dkim.verify(octets, dnsfunc=dns)), "it verifies, after two MTAs and a mailbox")
    broken = octets.replace(b"Hello Bob", b"Hello Eve")
    story.check(not dkim.verify(broken, dnsfunc=dns), "and does not for a changed text")


def trash(story: Story, octets: bytes) -> None:
    story.chapter("4. Bob reads it by IMAP and moves it to the trash")
    with imaplib.IMAP4(HOST, story.world.ports["imap"]) as client:
        client.login(BOB, PASSWORD)
        client.create("Trash")
        client.select("INBOX")
        part = client.fetch("1", "(UID BODY.PEEK[])")[1][0]
        assert isinstance(part, tuple)
        story.check(part[1] == octets, "the same octets as by POP3")
        kind, _ = client.uid("MOVE", part[0].split(b"UID ")[1].split()[0].decode(), "Trash")
        story.check(kind == "OK", "moved to Trash")
        story.check(client.select("INBOX")[1] == [b"0"], "INBOX is empty")
        story.check(client.select("Trash")[1] == [b"1"], "Trash holds it")


def attachment(story: Story) -> None:
    story.chapter("5. A forbidden attachment is refused on the way")
    message = write("Your invoice")
    message.add_attachment(b"MZ", maintype="application", subtype="pdf", filename="invoice.pdf.exe")
    try:
        submit(story.world, message)
    except smtplib.SMTPDataError as error:
        reply = error.smtp_error.decode() if isinstance(error.smtp_error, bytes) else error.smtp_error
        story.check(error.smtp_code == 550, f"Ann's mail program is told: {error.smtp_code} {reply}")
    else:
        raise Wrong("invoice.pdf.exe was let through")
    story.hops("submission")
    with imaplib.IMAP4(HOST, story.world.ports["imap"]) as client:
        client.login(BOB, PASSWORD)
        story.check(client.select("INBOX")[1] == [b"0"], "and nothing arrived")


def numbers(story: Story) -> None:
    story.chapter("6. What Prometheus would read")
    metrics = story.world.admin("/metrics")
    wanted = (
        "mailweir_messages_total{",
        "mailweir_attachments_refused_total{",
        "mailweir_tls_handshakes_total{",
    )
    lines = [line for line in metrics.splitlines() if line.startswith(wanted) and not line.endswith(" 0.0")]
    for line in lines:
        story.say(f"     {line}")
    story.check(any('verdict="rejected"' in line for line in lines), "the refused message is counted")
    story.say(f"all of them: http://{HOST}:{story.world.ports['admin']}/metrics")


def tell(world: World) -> None:
    """All chapters, in order."""
    story = Story(world)
    story.chapter("mailweir demo: proxy and mail servers run on this machine, on loopback only")
    story.say(
        "mail program -> [mailweir] -> MTA -> MTA -> [mailweir] -> mailbox <- [mailweir] <- mail program"
    )
    story.say(f"configuration: {world.configuration}")
    submission(story)
    octets = reading(story)
    signature(story, octets)
    trash(story, octets)
    attachment(story)
    numbers(story)
    story.chapter(f"All as it should be, in {time.monotonic() - story.started:.1f} s.")


def stay(world: World, wait: Callable[[], None]) -> None:
    """Say what can be tried, and keep everything up until the terminal says stop."""
    ports = world.ports
    text = f"""
It stays up. In another terminal (curl and swaks are packages of Debian) try:

   tail -f {world.folder}/mailweir.log &
   curl --user {BOB}:{PASSWORD} 'imap://{HOST}:{ports["imap"]}/Trash;MAILINDEX=1'
   swaks --server {HOST}:{ports["submission"]} --tls --auth-user {ANN} --auth-password {PASSWORD} \\
         --from {SENDER} --to {RECIPIENT}
   curl --user {BOB}:{PASSWORD} pop3://{HOST}:{ports["pop3"]}/1
   curl -s http://{HOST}:{ports["admin"]}/metrics | grep mailweir_
   {program()} plugins {world.configuration}

Then write a file of your own that names your own servers: conf/mailweir.yaml shows every key.
Ctrl-C ends everything."""
    try:
        print(text, flush=True)
        wait()
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be what went
            print("\nEnding everything.", flush=True)


def program() -> str:
    """How to call mailweir in a terminal that knows nothing of our virtual environment."""
    beside = Path(sys.executable).with_name("mailweir")
    return str(beside) if beside.exists() else "mailweir"


def main(once: bool) -> int:
    """0 if every step was as it should be, 1 if not; stays up in a terminal unless `once`."""
    try:
        with World() as world:
            try:
                tell(world)
            except (Wrong, OSError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto) as error:
                print(f"\nThis was not as it should be: {error}\n\nmailweir's log:\n{world.log()[-4000:]}")
                return 1
            if not once and sys.stdout.isatty():
                stay(world, lambda: time.sleep(1e9))
    except WorldError as error:
        print(f"The demo could not start: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
