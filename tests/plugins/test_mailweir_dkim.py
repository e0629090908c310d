"""What leaves verifies with dkimpy and with OpenDKIM; what may not be signed leaves as it came, and is logged."""

import asyncio
import base64
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mailweir_dkim
from mailweir import Address, Envelope, Field, Headers, Message, Session
from mailweir.chain.mistakes import PluginError
from mailweir.spool import Spool
from mailweir.testing.weir import Weir
from mailweir_dkim import AT_ONCE, HEADERS, OVERSIGN, SIGNED, Dkim, Unsigned, author_domain

RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()
PKCS8 = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

RECORDS = {
    "rsa._domainkey.example.org": "v=DKIM1; k=rsa; p="
    + base64.b64encode(
        RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode(),
    "ed._domainkey.example.org": "v=DKIM1; k=ed25519; p="
    + base64.b64encode(ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode(),
}

FROM = "From: Ann <ann@example.org>\r\n"
BLOCK = FROM + "To: bob@example.net\r\nSubject: hello\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n"

SHAPES: dict[str, bytes] = {
    "no final CRLF": f"{BLOCK}\r\nhello".encode(),
    "blanks at the end, no final CRLF": f"{BLOCK}\r\nhello \t ".encode(),
    "dots": f"{BLOCK}\r\n.\r\n..\r\n.x\r\n".encode(),
    "very long lines": (BLOCK + "X-Long: " + "x " * 20_000 + "\r\n\r\n" + "y \t" * 60_000 + "\r\n").encode(),
    "empty body": f"{BLOCK}\r\n".encode(),
    "empty lines only": f"{BLOCK}\r\n\r\n \r\n\r\n".encode(),
    "no body": BLOCK.encode(),
    "8-bit": BLOCK.replace("hello", "Grüße").encode("latin-1") + "\r\nschöne Grüße\r\n".encode(),
    "folded headers": BLOCK.replace("hello", "hello\r\n there \t\r\n\tyou").encode() + b"\r\nx\r\n",
    "From alone": f"{FROM}\r\nhello\r\n".encode(),
    "many From-like fields": (
        "X-From: a@x\r\nFrom-X: b@x\r\n" + BLOCK + "Resent-From: c@x\r\n>From: d@x\r\n\r\nFrom: e@x\r\n"
    ).encode(),
    "fields twice": (BLOCK + "To: c@x\r\nReferences: <1>\r\nReferences: <2>\r\n\r\nx\r\n").encode(),
    "signed already": b"DKIM-Signature: v=1; a=rsa-sha256; d=x; s=y; h=from; bh=; b=\r\n" + BLOCK.encode(),
    "blanks and empty lines": f"{BLOCK}\r\n a  b\t\tc \r\n\r\n \r\n\t x\r\n\r\n\r\n".encode(),
    "10 MB": BLOCK.encode() + b"\r\n" + b"0123456789 abcdefg  hijklmnopq\t rstuvwxyz \r\n" * 240_000,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where keys lie, and what OpenDKIM needs."""
    folder = tmp_path_factory.mktemp("dkim")
    (folder / "rsa.pem").write_bytes(
        RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (folder / "ed.pem").write_bytes(ED.private_bytes(*PKCS8))
    (folder / "seed").write_bytes(
        base64.b64encode(ED.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    )
    (folder / "records").write_text("".join(f"{name} {record}\n" for name, record in RECORDS.items()))
    (folder / "opendkim.conf").write_text(f"Mode v\nTestPublicKeys {folder}/records\nSyslog no\n")
    return folder


@pytest.fixture
def weir(weir: Weir, folder: Path) -> Weir:
    weir.folder = folder
    weir.session.login = "ann"
    return weir


Log = list[dict[str, Any]]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The fields of each line that the plugin wrote."""
    lines: Log = []

    def log_event(event: str, fields: dict[str, Any]) -> None:
        assert event == "dkim: not signed"
        lines.append(fields)

    monkeypatch.setattr(mailweir_dkim, "log_event", log_event)
    return lines


def made(octets: bytes, stage: str = "smtp") -> Message:
    end = octets.find(b"\r\n\r\n")
    message = Message("s1.1", stage, Envelope(), octets[: end + 4] if end >= 0 else octets)
    spooled = Spool().open()
    spooled.write(octets)
    message.attach(spooled, whole=True)
    return message


def left(message: Message) -> bytes:
    return b"".join(message.pieces())


def key(selector: str, file: str, domain: str = "example.org") -> dict[str, Any]:
    return {"domain": domain, "selector": selector, "key": {"file": file}}


def by_dkimpy(octets: bytes) -> list[bool]:
    """What dkimpy says of each signature of ours, top first."""

    def record(name: bytes, timeout: int = 5) -> bytes:
        return RECORDS[name.decode().rstrip(".")].encode()

    def verified(at: int) -> bool:
        try:
            return bool(dkim.DKIM(octets).verify(at, dnsfunc=record))
        except dkim.ValidationError:
            return False

    count = octets.partition(b"\r\n\r\n")[0].count(b"d=example.org;")
    return [verified(at) for at in range(count)]


def by_opendkim(octets: bytes, folder: Path) -> list[str]:
    """What OpenDKIM says of each signature, top first."""
    (folder / "message").write_bytes(octets)
    command = [
        "/usr/sbin/opendkim",
        "-x",
        str(folder / "opendkim.conf"),
        "-vv",
        "-t",
        str(folder / "message"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return re.findall(r"dkim=(\w+)", done.stdout)


@pytest.mark.real
@pytest.mark.parametrize("form", ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"])
@pytest.mark.parametrize("octets", SHAPES.values(), ids=SHAPES.keys())
def test_what_leaves_verifies(weir: Weir, octets: bytes, form: str, folder: Path) -> None:
    keys = [key("rsa", "rsa.pem"), key("ed", "ed.pem")]
    message = made(octets)
    assert weir.plug(Dkim, keys=keys, canonicalization=form).ask("sign", message=message) is None
    signed = left(message)
    intact = signed.endswith(octets)  # pytest would print 10 MB
    assert intact
    signatures = [field for field in Headers(signed[: -len(octets)]) if field.name == "dkim-signature"]
    assert ["a=rsa-sha256" in signatures[0].value, "a=ed25519-sha256" in signatures[1].value] == [True, True]
    assert max(len(line) for line in signed[: -len(octets)].split(b"\r\n")) <= 78
    stored = signed if b"\r\n\r\n" not in signed or signed.endswith(b"\r\n") else signed + b"\r\n"
    assert by_dkimpy(stored)[:2] == [True, True]
    assert by_opendkim(stored, folder)[:2] == ["pass", "pass"]


def test_what_leaves_in_chunks_verifies_without_a_final_line_end(weir: Weir) -> None:
    message = made(SHAPES["no final CRLF"])
    weir.plug(Dkim, **key("rsa", "rsa.pem")).ask("sign", message=message)
    assert by_dkimpy(left(message)) == [True]


@pytest.mark.parametrize(
    "change",
    [
        (b"hello", b"hallo"),
        (b"Subject: hello", b"Subject: hello\r\nSubject: other"),
        (b"To: bob", b"Cc: carl@example.org\r\nTo: bob"),
        (b"To: bob", b"From: eve@example.org\r\nTo: bob"),
        (b"\r\nbody", b"\r\nbuddy"),
    ],
)
def test_a_change_on_the_way_is_noticed(weir: Weir, change: tuple[bytes, bytes]) -> None:
    message = made(f"{BLOCK}\r\nbody\r\n".encode())
    weir.plug(Dkim, **key("rsa", "rsa.pem")).ask("sign", message=message)
    signed = left(message)
    assert by_dkimpy(signed) == [True]
    assert signed.count(change[0]) == 1
    assert by_dkimpy(signed.replace(*change)) == [False]


def test_a_seed_is_a_key_and_edits_of_others_are_signed(weir: Weir) -> None:
    message = made(f"{BLOCK}\r\nbody\r\n".encode())
    message.headers.remove("subject")
    message.headers.add("Subject", "other")
    weir.plug(Dkim, **key("ed", "seed")).ask("sign", message=message)
    assert by_dkimpy(left(message)) == [True]
    assert b"Subject: other" in left(message)


_octets = st.lists(st.sampled_from([b"\r\n", b" ", b"\t", b"x", b".", b"\xff", b":"])).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(_octets, st.sampled_from(["relaxed/relaxed", "simple/simple"]))
def test_any_body_verifies(folder: Path, body: bytes, form: str) -> None:
    settings = Dkim.Settings.model_validate(
        {**key("ed", "ed.pem"), "canonicalization": form}, context={"folder": folder}
    )
    message = made(f"{BLOCK}\r\n".encode() + body + b"\r\n")
    Dkim(settings).sign(session(login="ann"), message)
    assert by_dkimpy(left(message)) == [True]


def session(client: str = "192.0.2.1", port: int = 4, login: str = "") -> Session:
    made = Session("s1", "test", "smtp", Address(client, port), Address("192.0.2.2", 25), 0.0)
    made.login = login
    return made


WHO: dict[str, tuple[Session, dict[str, Any], bool]] = {
    "logged in": (session(login="ann"), {}, True),
    "a stranger": (session(), {}, False),
    "from a network": (session(), {"networks": ["192.0.2.0/24"]}, True),
    "from another network": (session("198.51.100.1"), {"networks": ["192.0.2.0/24"]}, False),
    "IPv6": (session("2001:db8::1"), {"networks": ["2001:db8::/32"]}, True),
    "IPv4 in IPv6": (session("::ffff:192.0.2.1"), {"networks": ["192.0.2.0/24"]}, True),
    "link-local": (session("fe80::1%eth0"), {"networks": ["fe80::/10"]}, True),
    "unix socket": (session("/run/x", 0), {"networks": ["unix"]}, True),
    "unix socket, not listed": (session("/run/x", 0), {"networks": ["192.0.2.0/24"]}, False),
    "logged in where that says nothing": (session(login="ann"), {"authenticated": False}, False),
}


@pytest.mark.parametrize(("who", "options", "signed"), WHO.values(), ids=WHO.keys())
def test_who_may_sign(weir: Weir, who: Session, options: dict[str, Any], signed: bool, log: Log) -> None:
    message = made(f"{BLOCK}\r\nbody\r\n".encode())
    weir.plug(Dkim, **key("ed", "ed.pem"), **options).ask("sign", session=who, message=message)
    assert message.headers.edited is signed
    assert (log == []) is signed
    assert signed or "has not logged in" in log[0]["reason"]


AUTHORS = {
    "address": ("a@example.org", "example.org"),
    "brackets": ("<a@example.org>", "example.org"),
    "name": ("Ann B. <a@example.org>", "example.org"),
    "quoted name": ('"B, Ann" <a@Example.ORG>', "example.org"),
    "quoted name with an address": ('"x@evil.example, <y@evil.example>" <a@example.org>', "example.org"),
    "address as a name": ("a@evil.example <a@example.org>", "example.org"),
    "encoded name": ("=?utf-8?q?Ann?= <a@example.org>", "example.org"),
    "comments": ("(x) a@example.org (y)", "example.org"),
    "comment behind": ("Ann <a@example.org> (at home)", "example.org"),
    "quoted local part": ('"a b"@example.org', "example.org"),
    "final dot": ("a@example.org.", "example.org"),
    "IDN": ("a@BÜCHER.example", "xn--bcher-kva.example"),
    "IDN in ASCII": ("a@xn--bcher-kva.example", "xn--bcher-kva.example"),
}

NO_AUTHOR = {
    "none": "Sender: a@example.org\r\n",
    "two fields": "From: a@example.org\r\nFrom: a@example.org\r\n",
    "empty": "From:\r\n",
    "two mailboxes": "From: a@example.org, b@example.org\r\n",
    "two in brackets": "From: <a@example.org> <b@evil.example>\r\n",
    "group": "From: x: a@example.org;\r\n",
    "no domain": "From: Ann\r\n",
    "domain literal": "From: a@[192.0.2.1]\r\n",
    "two at signs": "From: a@evil.example@example.org\r\n",
    "open quotes": 'From: "a@example.org\r\n',
    "open comment": "From: (a@example.org\r\n",
    "nested comment": "From: a@example.org (x (y))\r\n",
    "route": "From: <@x.example:a@example.org>\r\n",
    "too long": f"From: {'x' * 3000} <a@example.org>\r\n",
}


@pytest.mark.parametrize(("value", "domain"), AUTHORS.values(), ids=AUTHORS.keys())
def test_author(value: str, domain: str) -> None:
    assert author_domain(Headers(f"From: {value}\r\n\r\n".encode())) == domain


@pytest.mark.parametrize("block", NO_AUTHOR.values(), ids=NO_AUTHOR.keys())
def test_no_author_no_signature(weir: Weir, block: str, log: Log) -> None:
    octets = f"{block}\r\nhello\r\n".encode()
    message, before = made(octets), SIGNED.cell("from").value
    assert weir.plug(Dkim, **key("ed", "ed.pem")).ask("sign", message=message) is None
    assert left(message) == octets
    assert "From field" in log[0]["reason"]
    assert (log[0]["session"], log[0]["id"]) == ("s1", "s1.1")
    assert SIGNED.cell("from").value == before + 1


@given(st.lists(st.sampled_from(["a", "@", "<", ">", '"', "(", ")", ",", "\\", " ", "example.org", ";"])))
def test_any_from_has_an_author_or_none(tokens: list[str]) -> None:
    block = ("From: " + "".join(tokens) + "\r\n\r\n").encode()
    try:
        domain = author_domain(Headers(block))
    except Unsigned:
        return
    assert domain in block.decode()


OTHERS = {
    "a domain without a key": ("From: a@example.com\r\n\r\n", "no key for example.com"),
    "a subdomain": ("From: a@sub.example.org\r\n\r\n", "no key for sub.example.org"),
    "too many fields": ("X: y\r\n" * 501 + FROM + "\r\n", "more than 500 fields"),
    "From too big": ("From: " + "x" * 40_000 + "\r\n\r\n", "field from of"),
    "a header that begins with a blank": (f" folded\r\n{FROM}\r\n", "belongs to nothing"),
}


@pytest.mark.parametrize(("text", "reason"), OTHERS.values(), ids=OTHERS.keys())
def test_what_can_not_be_signed_passes(weir: Weir, text: str, reason: str, log: Log) -> None:
    message = made(text.encode())
    assert weir.plug(Dkim, **key("ed", "ed.pem")).ask("sign", message=message) is None
    assert left(message) == text.encode()
    assert reason in log[0]["reason"]


@pytest.mark.parametrize("stage", ["append", "retr", "fetch"])
def test_mail_that_is_not_sent_is_not_signed(weir: Weir, stage: str, log: Log) -> None:
    message = made(BLOCK.encode(), stage)
    weir.plug(Dkim, **key("ed", "ed.pem")).ask("sign", message=message)
    assert not message.headers.edited
    assert log == []


def test_each_domain_has_its_keys(weir: Weir) -> None:
    weir.plug(Dkim, **key("rsa", "rsa.pem"), keys=[key("ed", "ed.pem"), key("x", "ed.pem", "Example.NET.")])
    for domain, selectors in (("example.org", ["rsa", "ed"]), ("example.net", ["x"])):
        message = made(f"From: a@{domain}\r\n\r\n".encode())
        weir.ask("sign", message=message)
        values = message.headers.get_all("dkim-signature")
        assert [re.findall(r"\bd=(\S+); s=(\S+);", value) for value in values] == [
            [(domain, selector)] for selector in selectors
        ]


def test_headers_to_sign(weir: Weir) -> None:
    weir.plug(Dkim, **key("ed", "ed.pem"), headers=["Subject", "from", "X-Own"], oversign=["from", "x-own"])
    message = made(f"{BLOCK}X-Own: 1\r\nX-Own: 2\r\n\r\n".encode())
    weir.ask("sign", message=message)
    (value,) = message.headers.get_all("dkim-signature")
    assert "h=subject:from:from:x-own:x-own:x-own;" in value


def test_defaults_are_names_in_order_of_the_list() -> None:
    assert set(OVERSIGN.split()) <= set(HEADERS.split())
    assert all(Field(f"{name}: x".encode()).name == name for name in HEADERS.split())


Kind = Literal["dsa", "small", "locked", "public", "noise", "binary"]


def written(folder: Path, kind: Kind) -> None:
    """A file that holds no key for us."""
    make: dict[Kind, Callable[[], bytes]] = {
        "dsa": lambda: dsa.generate_private_key(1024).private_bytes(*PKCS8),
        "small": lambda: rsa.generate_private_key(65537, 1024).private_bytes(*PKCS8),
        "locked": lambda: RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        "public": lambda: RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "noise": lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "binary": lambda: bytes(range(32)),
    }
    (folder / kind).write_bytes(make[kind]())


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("dsa", "neither RSA nor Ed25519"),
        ("small", "1024 bits; verifiers want 2048"),
        ("locked", "has a passphrase"),
        ("public", "no private key"),
        ("noise", "no private key"),
        ("binary", "neither PEM nor the base64 seed"),
    ],
)
def test_what_is_no_key(
    weir: Weir, folder: Path, kind: Kind, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailweir_dkim, "RSA_BITS", 2048)  # the library makes none that are too small
    written(folder, kind)
    with pytest.raises(PluginError, match=complaint) as caught:
        weir.plug(Dkim, **key("x", kind))
    assert caught.value.problems[0].path == ("key",)
    assert str(folder / kind) in str(caught.value)
    with pytest.raises(PluginError, match=complaint) as caught:
        weir.plug(Dkim, keys=[key("x", kind)])
    assert caught.value.problems[0].path == ("keys", 0, "key")


@pytest.mark.parametrize(
    ("options", "path", "complaint"),
    [
        (key("x", "none.pem"), ("key",), "can't read .*none.pem: No such file"),
        (key("x", "."), ("key",), "can't read .*: Is a directory"),
        ({}, (), "a key is missing"),
        ({"domain": "example.org"}, (), "belong together"),
        (key("x", "ed.pem", "not a domain"), ("domain",), "a domain like"),
        (key("x y", "ed.pem"), ("selector",), "a domain like"),
        ({"keys": [key("x", "ed.pem")] * 2}, (), "two keys for x._domainkey.example.org"),
        ({**key("x", "ed.pem"), "headers": ["to"]}, ("headers",), "must contain from"),
        ({**key("x", "ed.pem"), "headers": ["from", "Received"]}, ("headers",), "received changes"),
        ({**key("x", "ed.pem"), "oversign": ["from", "a b"]}, ("oversign",), "names of header fields"),
        ({**key("x", "ed.pem"), "canonicalization": "none"}, ("canonicalization",), "relaxed/relaxed"),
        ({**key("x", "ed.pem"), "selecter": "x"}, ("selecter",), "did you mean selector"),
    ],
)
def test_mistakes_in_settings(
    weir: Weir, options: dict[str, Any], path: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(PluginError, match=complaint) as caught:
        weir.plug(Dkim, **options)
    assert caught.value.problems[0].path == path


def test_a_key_is_never_printed(weir: Weir, folder: Path) -> None:
    seed = (folder / "seed").read_text()
    options = {**key("x", "seed"), "key": seed}
    assert seed not in repr(Dkim.Settings.model_validate(options))
    with pytest.raises(PluginError) as caught:
        weir.plug(Dkim, **{**options, "key": seed + "!"})
    assert seed not in str(caught.value)


def test_ten_megabytes_hold_the_loop_no_longer_than_50_ms(folder: Path) -> None:
    options = {"keys": [key("rsa", "rsa.pem"), key("ed", "ed.pem")]}
    plugin = Dkim(Dkim.Settings.model_validate(options, context={"folder": folder}))
    longest = 0.0

    async def watched() -> Message:
        nonlocal longest
        message = made(SHAPES["10 MB"])
        answer = plugin.sign(session(login="ann"), message)
        assert answer is not None
        signing = asyncio.ensure_future(answer)
        while not signing.done():
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)
        await signing
        return message

    message = asyncio.run(watched())
    assert len(message.headers.get_all("dkim-signature")) == 2
    assert longest < 0.05


def test_a_small_message_is_signed_on_the_spot_and_a_large_one_is_not(folder: Path) -> None:
    plugin = Dkim(Dkim.Settings.model_validate(key("ed", "ed.pem"), context={"folder": folder}))
    small, large = made(f"{BLOCK}\r\nx\r\n".encode()), made(BLOCK.encode() + b"\r\n" + b"x" * AT_ONCE)
    assert plugin.sign(session(login="ann"), small) is None
    assert small.headers.edited
    later = plugin.sign(session(login="ann"), large)
    assert later is not None
    assert not large.headers.edited
    asyncio.run(_wait(later))
    assert large.headers.edited


async def _wait(later: Any) -> None:
    await later


def test_a_spool_that_fails_is_no_unsigned_message(weir: Weir) -> None:
    message = made(BLOCK.encode() + b"\r\nx")
    assert message._spooled is not None
    message._spooled.close()
    plug = weir.plug(Dkim, **key("ed", "ed.pem"))
    answer = plug.asking("sign", message=message).decision
    assert answer is not None
    assert answer.failed  # type: ignore[union-attr]


ON_THE_WIRE = """
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
"""


@pytest.mark.parametrize("octets", SHAPES.values(), ids=SHAPES.keys())
def test_on_the_wire(weir: Weir, octets: bytes) -> None:
    """The octets that upstream gets verify, dots and all."""
    if not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    stage = weir.plug(Dkim, **key("rsa", "rsa.pem"), networks=["192.0.2.0/24"]).play(ON_THE_WIRE)
    stage.say("client", octets.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    stage.play("U< DATA")
    stage.say("upstream", b"354 go\r\n")
    stage.clock.pump([0.0] * 10)  # a large message goes up in turns
    heard, stage.upstream.heard = stage.upstream.heard, b""
    arrived = heard.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
    intact = heard.endswith(b"\r\n.\r\n") and arrived.endswith(octets)  # pytest would print 10 MB
    assert intact
    assert by_dkimpy(arrived)[0] is True
    stage.play("U> 250 queued\nC< 250 queued")
