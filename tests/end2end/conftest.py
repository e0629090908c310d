"""Servers that live as long as the test run, and proxies that live as long as a test."""

import base64
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from end2end.house import ROADS, House, Road
from end2end.peers import Peers
from end2end.tls import Papers, issue
from end2end.weir import Mailweir, Start


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder that the servers' own users may enter; pytest's belongs to root alone."""
    folder = Path(tempfile.mkdtemp(prefix="mailweir-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def papers(place: Path) -> Papers:
    return issue(place / "tls")


@pytest.fixture(scope="session")
def key(place: Path) -> tuple[Path, bytes]:
    """The private key's file, and the record that publishes the public one."""
    private = rsa.generate_private_key(65537, 2048)
    file = place / "dkim.pem"
    file.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    file.chmod(0o600)
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return file, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


@pytest.fixture(scope="session")
def house(place: Path, papers: Papers) -> Iterator[House]:
    """Two Postfix and a Dovecot."""
    house = House(place, papers)
    yield house
    house.stop()


@pytest.fixture(scope="session")
def peers(place: Path, papers: Papers) -> Iterator[Peers]:
    """Postfix, Exim, OpenSMTPD, two of Dovecot's servers, and mailweir in front of each."""
    peers = Peers(place / "peers", papers)
    yield peers
    peers.stop()


@pytest.fixture(scope="session")
def roads(house: House) -> Iterator[Callable[[str], Road]]:
    """Opens roads as they are asked for; all proxies have empty chains, and run till the end."""
    with ExitStack() as open_roads:
        known: dict[str, Road] = {}

        def road(name: str) -> Road:
            if name not in known:
                folder = house.folder / f"road-{name}"
                folder.mkdir()
                known[name] = open_roads.enter_context(house.road(name, folder))
            return known[name]

        yield road


@pytest.fixture(params=ROADS)
def road(roads: Callable[[str], Road], request: pytest.FixtureRequest) -> Road:
    """Each road in turn."""
    return roads(request.param)


@pytest.fixture(scope="session")
def users() -> Iterator[str]:
    """Names nobody had before."""
    return (f"user{number}" for number in itertools.count())


@pytest.fixture
def user(users: Iterator[str]) -> str:
    return next(users)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a proxy: `start(listeners, upstreams, plugins=...)`, see `Mailweir`. It ends with the test."""
    running: list[Mailweir] = []

    def start(*arguments: Any, **rest: Any) -> Mailweir:
        folder = tmp_path / f"weir{len(running)}"
        folder.mkdir()
        running.append(Mailweir(folder, *arguments, **rest))
        return running[-1]

    yield start
    for weir in running:
        weir.stop()
