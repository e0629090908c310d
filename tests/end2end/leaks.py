"""Finds a secret in what a program wrote, in whatever form it got there."""

import base64
from collections.abc import Iterator


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """What to look for, each with its name: the octets, hexadecimal, and base64 wherever the secret begins in it.

    What lies before the secret shifts base64 by 0, 1 or 2 octets; the digits that also hold bits of its
    neighbours are left out.
    """
    octets = secret.encode()
    yield "as it is", octets
    yield "in hexadecimal", octets.hex().encode()
    for shift in range(3):
        digits = base64.b64encode(bytes(shift) + octets).rstrip(b"=")
        whole = (shift + len(octets)) * 8 // 6
        yield f"in base64, {shift} octets behind a border", digits[-(-shift * 8 // 6) : whole]


def found(secret: str, text: str) -> list[str]:
    """The forms in which `secret` is in `text`; none is as it should be."""
    octets = text.encode()
    folded = octets.lower()
    return [
        name
        for name, form in forms(secret)
        if form in octets or (name == "in hexadecimal" and form in folded)
    ]
