"""Certificates, keys and CA files: whether what lies there can be used."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates


def pair_mistakes(certificate: Path, key: Path) -> Iterator[tuple[str, str, bool]]:
    """What is wrong with a pair: which of the two (`certificate`, `key`), why, and whether that only warns."""
    chain: list[Certificate] = []
    try:
        chain = load_pem_x509_certificates(certificate.read_bytes())
    except OSError as error:
        yield "certificate", _unreadable(certificate, error), False
    except ValueError:
        yield "certificate", f"{certificate} holds no certificate in PEM form", False
    try:
        public = load_pem_private_key(key.read_bytes(), None).public_key()
    except OSError as error:
        yield "key", _unreadable(key, error), False
    except TypeError:
        yield "key", f"{key} is encrypted; mailweir can't ask for its passphrase", False
    except (ValueError, UnsupportedAlgorithm):
        yield "key", f"{key} holds no private key in PEM form", False
    else:
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if chain and chain[0].public_key().public_bytes(*form) != public.public_bytes(*form):
            yield "key", f"{key} is not the key of {certificate}; the server's certificate comes first", False
    if chain and chain[0].not_valid_after_utc < datetime.now(UTC):
        yield "certificate", f"{certificate} expired on {chain[0].not_valid_after_utc:%Y-%m-%d}", True


def authorities_mistake(path: Path) -> str:
    """What is wrong with a CA file; empty if nothing is."""
    try:
        load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        return _unreadable(path, error)
    except ValueError:
        return f"{path} holds no certificate in PEM form"
    return ""


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no file {path}"
    return f"{path} can't be read: {error.strerror}"
