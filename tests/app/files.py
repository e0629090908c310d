"""Configurations as files in a folder, and what is said of them."""

import sys
from pathlib import Path

from mailweir.app.config import Configuration
from mailweir.app.reading import Reading, read

SOUND = """\
listeners:
  mx:
    protocol: smtp
    listen: 127.0.0.1:2525
    upstream: mta
upstreams:
  mta:
    address: mail.example.org:25
"""
"""Nine lines with the empty one behind it: rows append from line 9 on."""

POLICY = """
import pydantic
from mailweir import hookimpl

class Policy:
    class Settings(pydantic.BaseModel):
        tries: int = 3
        password: str = ""

    def __init__(self, settings):
        pass

    @hookimpl
    def rcpt_to(self, recipient):
        pass

class Watch:
    @hookimpl
    def session_closed(self, session):
        pass

class Router:
    @hookimpl
    def route(self, session):
        pass
"""
"""The file policy.py: a plugin that is asked, one that is told, one that names upstreams."""

ENTRIES = """\
plugins:
  policy: {use: './policy.py:Policy'}
  watch: {use: './policy.py:Watch'}
"""


def with_line(line: str) -> str:
    """SOUND with this line (or lines) in its listener, from line 6 on."""
    return SOUND.replace("upstream: mta\n", f"upstream: mta\n    {line}\n")


def reading(folder: Path, text: str | bytes) -> Reading:
    """What the file m.yaml with this text gives."""
    file = folder / "m.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(file)


def mistakes(folder: Path, text: str | bytes) -> list[str]:
    """What is said of such a file, without what differs from machine to machine."""
    said = []
    for mistake in reading(folder, text).mistakes:
        before, _, line = str(mistake).partition("/m.yaml:")
        assert before == str(folder)
        said.append(line.replace(before, "DIR").replace(sys.executable, "PYTHON"))
    return said


def configuration(folder: Path, text: str) -> Configuration:
    """What a file without any mistake says."""
    found = reading(folder, text)
    assert found.mistakes == []
    assert found.configuration is not None
    return found.configuration
