r"""Content-Type and Content-Disposition taken apart: `value; attribute=value ...` (RFC 2045 5.1, RFC 2183).

Mail programs disagree about everything that is not written by the book, so a parameter has *readings*:
each value that some program may take it for. Blanks in a value that has no quotes, a backslash that may be
meant, encoded words inside quotes (RFC 2047 forbids them, everybody sends them), extended and continued
values (RFC 2231). Where even the structure is in doubt, `Ambiguous` is raised.

For one field, which `headers.FIELD` bounds; linear in its length.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from mailweir.headers import decoded, text_of

PARAMETERS = 100
"""Parameters of one field at most; real ones have up to five, twenty with a continued file name."""

UNIQUE = {"boundary", "filename", "name"}
"""Attributes that decide what a part is. Of others that stand twice the first counts."""

_SEGMENT = re.compile(r'(?:[^;"]++|"(?:[^"\\]|\\.)*+")*+', re.DOTALL)
_ATTRIBUTE = re.compile(r"([^\s*=]+)(?:\*(\d{1,3}))?(\*)?", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"\s*(?:\([^()"]*\)\s*)?', re.DOTALL)
_COMMENT = re.compile(r'\([^()"]*+\)')


class Ambiguous(ValueError):
    """Two mail programs would see different things here. `reason` is for our log and for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Structured:
    """A field's value: the first word in lower case, and each attribute's readings, likeliest first."""

    value: str = ""
    readings: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, attribute: str, default: str = "") -> str:
        """The likeliest reading of an attribute."""
        return self.readings.get(attribute, (default,))[0]


def structured(text: str, limit: int = PARAMETERS) -> Structured:
    """Take an unfolded value apart.

    >>> found = structured('attachment; filename="a.pdf"; size=3')
    >>> found.value, found.get("filename"), found.readings["size"]
    ('attachment', 'a.pdf', ('3',))
    """
    segments = _segments(text, limit)
    head = _COMMENT.sub(" ", segments[0])
    if '"' in head:
        raise Ambiguous("quotes where a word should be")
    words = head.split()
    if words and "=" in words[0]:
        words.insert(0, "")  # "Content-Disposition: filename=x": no value, as some programs send it
    segments[0] = " ".join(words[1:])
    collected: dict[str, dict[tuple[str, bool], tuple[str, ...]]] = {}
    for segment in segments:
        name, equals, value = segment.partition("=")
        attribute = _ATTRIBUTE.fullmatch(_COMMENT.sub("", name).strip())
        if equals and attribute:
            forms = collected.setdefault(attribute[1].lower(), {})
            key = (attribute[2] or "", bool(attribute[3]))
            if key not in forms:
                forms[key] = _readings(value.strip())
            elif attribute[1].lower() in UNIQUE:
                raise Ambiguous(f"{attribute[1]} stands twice")
    return Structured(
        words[0].lower() if words else "",
        {name: _united(name, forms) for name, forms in collected.items()},
    )


def _segments(text: str, limit: int) -> list[str]:
    segments, at = [], 0
    while at <= len(text):
        found = _SEGMENT.match(text, at)
        assert found is not None  # it matches nothing at all
        if found.end() < len(text) and text[found.end()] == '"':
            raise Ambiguous("a quoted string without end")
        segments.append(found[0])
        at = found.end() + 1
        if len(segments) > limit + 1:
            raise Ambiguous(f"more than {limit} parameters")
    return segments


def _readings(value: str) -> tuple[str, ...]:
    """What a value may be taken for."""
    if '"' in value:
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise Ambiguous("text beside a quoted string")
        meant = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
        return tuple(dict.fromkeys([meant, quoted[1]]))
    bare = re.split(r"[\s(]", value, maxsplit=1)[0]
    return tuple(dict.fromkeys([value, bare]))


def _united(name: str, forms: dict[tuple[str, bool], tuple[str, ...]]) -> tuple[str, ...]:
    """One attribute's forms - plain, extended, continued - as readings."""
    plain = forms.pop(("", False), ())
    if name == "boundary":
        if forms:
            raise Ambiguous("a boundary in an encoding")
        return plain
    plain = tuple(dict.fromkeys(decoded(reading) for reading in plain))
    extended = _extended(name, forms)
    if not plain or not extended:
        return plain or extended
    if name in UNIQUE and not _agree(plain[0], extended[0]):
        raise Ambiguous(f"two encodings of {name} that differ")
    return tuple(dict.fromkeys([*extended, *plain]))


def _extended(name: str, forms: dict[tuple[str, bool], tuple[str, ...]]) -> tuple[str, ...]:
    """RFC 2231 3 and 4: `name*`, or `name*0`, `name*1*` and so on, put together."""
    if not forms:
        return ()
    whole = forms.pop(("", True), None)
    if whole is not None:
        if forms:
            raise Ambiguous(f"{name} is continued and whole")
        forms[("0", True)] = whole
    sections = sorted(forms.items(), key=lambda form: int(form[0][0]))
    if [number for (number, _), _ in sections] != [str(count) for count in range(len(sections))]:
        raise Ambiguous(f"sections of {name} are missing or doubled")
    charset, octets = "", b""
    for at, ((_, percent), readings) in enumerate(sections):
        text = readings[0]
        if at == 0 and percent and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        octets += unquote_to_bytes(text) if percent else text.encode("utf-8", "surrogatepass")
    text = text_of(octets, charset)
    return tuple(dict.fromkeys([text, decoded(text)]))


def _agree(plain: str, extended: str) -> bool:
    """The same, or a plain form for old programs that keeps the extension (as in RFC 6266 4.3)."""
    if plain == extended:
        return True
    ending = plain.rpartition(".")[2].casefold()
    return plain.isascii() and "." in plain and ending == extended.rpartition(".")[2].casefold()
