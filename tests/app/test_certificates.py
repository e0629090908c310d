"""Pairs of files that can't serve, and which of the two is to be mended."""

from pathlib import Path

import pytest

from mailweir.app.certificates import authorities_mistake, pair_mistakes

# fmt: off
PAIRS = {  # name: (certificate, key, what is said)
    "sound": ("one.pem", "one.key", []),
    "neither": ("no.pem", "no.key", [("certificate", "there is no file DIR/no.pem", False), ("key", "there is no file DIR/no.key", False)]),
    "no certificate in it": ("one.key", "one.key", [("certificate", "DIR/one.key holds no certificate in PEM form", False)]),
    "no key in it": ("one.pem", "one.pem", [("key", "DIR/one.pem holds no private key in PEM form", False)]),
    "passphrase": ("one.pem", "locked.key", [("key", "DIR/locked.key is encrypted; mailweir can't ask for its passphrase", False)]),
    "directory": (".", "one.key", [("certificate", "DIR can't be read: Is a directory", False)]),
    "another's key": ("one.pem", "two.key", [("key", "DIR/two.key is not the key of DIR/one.pem; the server's certificate comes first", False)]),
    "expired": ("old.pem", "old.key", [("certificate", "DIR/old.pem expired on 2001-01-01", True)]),
}
# fmt: on


@pytest.mark.parametrize(("certificate", "key", "said"), PAIRS.values(), ids=PAIRS)
def test_pair(folder: Path, certificate: str, key: str, said: list[tuple[str, str, bool]]) -> None:
    found = pair_mistakes(folder / certificate, folder / key)
    assert [(which, why.replace(str(folder), "DIR"), warns) for which, why, warns in found] == said


def test_authorities(folder: Path) -> None:
    assert authorities_mistake(folder / "one.pem") == ""
    assert authorities_mistake(folder / "no.pem") == f"there is no file {folder}/no.pem"
    assert authorities_mistake(folder / "one.key") == f"{folder}/one.key holds no certificate in PEM form"
