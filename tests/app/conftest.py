"""A folder with what the rows of the tests here name: a plugin, certificates and keys."""

import datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.files import POLICY


@pytest.fixture(scope="session")
def pems() -> dict[str, bytes]:
    """Files of certificates and keys by their names."""
    authority = trustme.CA()
    one, two = (authority.issue_cert(f"{name}.example.org") for name in ("one", "two"))
    key = ec.generate_private_key(ec.SECP256R1())
    signing = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
    old = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime.datetime(2000, 1, 1))
        .not_valid_after(datetime.datetime(2001, 1, 1))
        .sign(key, hashes.SHA256())
    )
    short = rsa.generate_private_key(65537, 1024)
    weak = (
        x509.CertificateBuilder(name, name, short.public_key(), 2)
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(2100, 1, 1))
        .sign(short, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return {
        "one.pem": one.cert_chain_pems[0].bytes(),
        "one.key": one.private_key_pem.bytes(),
        "two.key": two.private_key_pem.bytes(),
        "old.pem": old.public_bytes(pem),
        "old.key": key.private_bytes(pem, form, serialization.NoEncryption()),
        "weak.pem": weak.public_bytes(pem),
        "weak.key": short.private_bytes(pem, form, serialization.NoEncryption()),
        "rsa.key": signing.private_bytes(pem, form, serialization.NoEncryption()),
        "locked.key": key.private_bytes(pem, form, serialization.BestAvailableEncryption(b"x")),
    }


@pytest.fixture
def folder(tmp_path: Path, pems: dict[str, bytes]) -> Path:
    """Where a configuration would lie."""
    (tmp_path / "policy.py").write_text(POLICY)
    for name, octets in pems.items():
        (tmp_path / name).write_bytes(octets)
    return tmp_path
