"""Sizes, durations, addresses: what is taken, and what is said of the rest."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.files import SOUND, configuration, mistakes
from mailweir.app.values import duration, limit, size

SIZES = {
    "0": 0,
    "17": 17,
    "17b": 17,
    "1kB": 1000,
    "1KB": 1000,
    "1.5 KiB": 1536,
    "1MiB": 2**20,
    "2 GiB": 2**31,
}
DURATIONS = {"0": 0, "10": 10, "500ms": 0.5, "60s": 60, "1.5m": 90, "5 min": 300, "2h": 7200, "1d": 86400}
NO_AMOUNTS: list[object] = [
    "",
    "x",
    "1x",
    "-1",
    "1 1",
    "1e3",
    "1.",
    "nan",
    "inf",
    "1,5s",
    "٣s",
    None,
    True,
    [],
    -1,
    float("nan"),
]

LISTEN = {  # what stands behind `listen: `: what is said of it
    "localhost": "must be host:port, [v6]:port, unix:/path or systemd:NAME",
    "127.0.0.1:65536": "must be host:port, [v6]:port, unix:/path or systemd:NAME",
    "'::1:25'": "an IPv6 address stands in brackets: [::1]:25",
    "':25'": "a host must stand before the port: 0.0.0.0:25 is all of IPv4",
    "25": "must be host:port, [v6]:port, unix:/path or systemd:NAME",
    "": "must be an address like 127.0.0.1:2525, or a list of them",
    "[]": "must be an address like 127.0.0.1:2525, or a list of them",
    "a b:25": "a b is no host",
    "a..b:25": "a..b is no host",
    f"{'x' * 64}.example.org:25": f"{'x' * 64}.example.org is no host",
    "'unix:'": "something must stand behind unix:",
}

ADDRESS = {  # what stands behind an upstream's `address: `: what is said of it
    "mail.example.org": "must be host:port, [v6]:port or unix:/path",
    "25": "must be host:port, [v6]:port or unix:/path",
    "0.0.0.0:25": "no server can be reached there",
    "'[::]:25'": "no server can be reached there",
    "example.org:0": "no server can be reached there",
    "systemd:mx": "systemd: names sockets to listen on; write host:port or unix:/path",
}


@pytest.mark.parametrize(("text", "octets"), SIZES.items())
def test_size(text: str, octets: int) -> None:
    assert size(text) == limit(text) == octets


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_duration(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("value", NO_AMOUNTS)
def test_no_amount(value: object) -> None:
    for read, like in ((size, "a size like"), (duration, "a duration like")):
        with pytest.raises(ValueError, match=f"must be {like}"):
            read(value)


def test_no_limit() -> None:
    assert limit("none") == limit(None) == 0
    with pytest.raises(ValueError, match=r"or none$"):
        limit("nothing")


@given(st.text())
def test_any_text_is_an_amount_or_a_mistake(text: str) -> None:
    for read in (size, duration):
        with suppress(ValueError):
            assert read(text) >= 0


@pytest.mark.parametrize(("address", "said"), LISTEN.items())
def test_listen(folder: Path, address: str, said: str) -> None:
    (line,) = mistakes(folder, SOUND.replace("127.0.0.1:2525", address))
    assert line.partition(": ")[2] == f"listeners.mx.listen: {said}"


@pytest.mark.parametrize(("address", "said"), ADDRESS.items())
def test_address(folder: Path, address: str, said: str) -> None:
    assert mistakes(folder, SOUND.replace("mail.example.org:25", address)) == [
        f"8:14: upstreams.mta.address: {said}"
    ]


def test_the_wrong_one_of_a_list_is_named(folder: Path) -> None:
    text = SOUND.replace("127.0.0.1:2525", "\n      - 127.0.0.1:2525\n      - localhost")
    (line,) = mistakes(folder, text)
    assert line.startswith("6:9: listeners.mx.listen.1: must be host:port")


def test_unix_sockets_lie_beside_the_configuration(folder: Path) -> None:
    text = SOUND.replace("127.0.0.1:2525", "unix:in").replace("mail.example.org:25", "unix:/run/out")
    found = configuration(folder, text)
    assert found.listeners["mx"].listen == [f"unix:{folder}/in"]
    assert found.upstreams["mta"].address == ["unix:/run/out"]
