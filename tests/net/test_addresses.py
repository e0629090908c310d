"""Addresses as written, as told by sockets, and as our own."""

import pytest

from mailweir.net.addresses import Inherited, Place, Tcp, Unix, is_number, is_own, parse, told
from mailweir.session import Address

WRITTEN: dict[str, Place] = {
    "127.0.0.1:25": Tcp("127.0.0.1", 25),
    "mail.example.org:587": Tcp("mail.example.org", 587),
    "[::1]:0": Tcp("::1", 0),
    "unix:/run/lmtp": Unix("/run/lmtp"),
    "systemd:mx": Inherited("mx"),
}
WRONG = {
    "25": "must be host:port",
    "host:": "must be host:port",
    "host:smtp": "must be host:port",
    "host:65536": "must be host:port",
    "host:²": "must be host:port",
    ":25": "a host must stand before the port: 0.0.0.0:25",
    "::1:25": r"an IPv6 address stands in brackets: \[::1\]:25",
    "unix:": "something must stand behind unix:",
    "systemd:": "something must stand behind systemd:",
}
TOLD = {
    "IPv4": (("192.0.2.1", 25), Address("192.0.2.1", 25)),
    "IPv6": (("2001:db8::1", 25, 0, 0), Address("2001:db8::1", 25)),
    "IPv4 on an IPv6 socket": (("::ffff:192.0.2.1", 25, 0, 0), Address("192.0.2.1", 25)),
    "IPv6 that only looks so": (("::ffff:0:1", 25, 0, 0), Address("::ffff:0:1", 25)),
    "unix": ("/run/lmtp", Address("/run/lmtp")),
    "unix client": ("", Address("")),
    "abstract unix": (b"\0name", Address("\0name")),
    "nothing": (None, Address("")),
}
OWN = {  # target, what we listen on, is it ours
    "the same": (Address("192.0.2.1", 25), Address("192.0.2.1", 25), True),
    "another port": (Address("192.0.2.1", 26), Address("192.0.2.1", 25), False),
    "another host": (Address("192.0.2.2", 25), Address("192.0.2.1", 25), False),
    "loopback, we on all": (Address("127.0.0.1", 25), Address("0.0.0.0", 25), True),
    "IPv6 loopback, we on all": (Address("::1", 25), Address("::", 25), True),
    "a stranger, we on all": (Address("203.0.113.77", 25), Address("0.0.0.0", 25), False),
    "IPv4 written as IPv6": (Address("::ffff:192.0.2.1", 25), Address("192.0.2.1", 25), True),
    "IPv6 written at length": (Address("2001:db8:0:0:0:0:0:1", 25), Address("2001:db8::1", 25), True),
    "any, we on the loopback": (Address("0.0.0.0", 25), Address("127.0.0.1", 25), True),
    "any of IPv6, we on its loopback": (Address("::", 25), Address("::1", 25), True),
    "any, written as IPv6": (Address("::ffff:0.0.0.0", 25), Address("127.0.0.1", 25), True),
    "any, we elsewhere": (Address("0.0.0.0", 25), Address("192.0.2.1", 25), False),
    "with a zone": (Address("fe80::1%eth0", 25), Address("fe80::1%eth0", 25), True),
    "unix by another way": (Address("/tmp/../tmp/x"), Address("/tmp/x"), True),
    "another unix": (Address("/tmp/y"), Address("/tmp/x"), False),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_written(text: str) -> None:
    assert parse(text) == WRITTEN[text]
    assert str(WRITTEN[text]) == text


@pytest.mark.parametrize("text", WRONG)
def test_written_wrongly(text: str) -> None:
    with pytest.raises(ValueError, match=WRONG[text]):
        parse(text)


@pytest.mark.parametrize(("name", "address"), TOLD.values(), ids=TOLD.keys())
def test_told(name: object, address: Address) -> None:
    assert told(name) == address


@pytest.mark.parametrize(("target", "listening", "own"), OWN.values(), ids=OWN.keys())
def test_own(target: Address, listening: Address, own: bool) -> None:
    assert is_own(target, [Address("198.51.100.1", 1), listening]) is own


def test_a_name_is_no_number() -> None:
    assert [is_number(host) for host in ("192.0.2.1", "fe80::1%eth0", "a.example", "")] == [
        True,
        True,
        False,
        False,
    ]
