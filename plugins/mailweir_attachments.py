r"""Refuses messages that carry what nobody should open.

    plugins:
      attachments:
        extensions: [exe, scr, tar.gz]      # the default is EXTENSIONS
        names: ["invoice*.html"]            # patterns, for the whole name
        types: [application/x-msdownload]   # MIME types; "application/*" is fine
        ambiguous: reject                   # reject | pass: MIME that mail programs read differently
        text: "attachment {name} is not allowed"

Asked wherever a whole message is met: sent, delivered, appended, and fetched by POP3. Parts are found at any depth,
in multiparts and in messages within messages; all readings of a file name are judged (`mailweir.parts`),
each as the recipient's system would take it: without the blanks and dots that Windows drops at its end,
without invisible characters, up to a NUL or a path's separator. A name that turns its own direction
(U+202E, which shows "gpj.exe" as "exe.jpg") is refused whatever it ends in. Files that are packed in
uuencode or TNEF, and MIME that isn't by the book, are `ambiguous`.

What is in an archive is not looked at; refuse the archive's extension instead.
"""

import asyncio
import re
import unicodedata
from collections.abc import Awaitable
from fnmatch import fnmatchcase
from typing import Literal, get_args

from pydantic import BaseModel, field_validator

from mailweir import Ambiguous, Counter, Message, Part, Reject, hookimpl, parts, printable

EXTENSIONS = (
    "ade adp apk app appinstaller application appref-ms appx appxbundle bat cab chm cmd com cpl deb desktop"
    " diagcab diagcfg diagpkg dll dmg elf exe gadget hlp hta img inf ins iso isp jar jnlp js jse lib library-ms"
    " lnk mde mjs mobileconfig msc msh msi msix msixbundle msp mst msu nsh ocx pif pkg ps1 ps1xml ps2 psc1 psm1"
    " pyc pyw pyz pyzw reg rpm run scf scr sct search-ms searchconnector-ms settingcontent-ms sh shb shs sys udl"
    " url vb vbe vbs vhd vhdx vxd website wim ws wsc wsf wsh xbap xll"
)
"""What runs when it is opened, or brings along what does: near to what the large providers refuse."""

TYPES = [
    "application/hta",
    "application/vnd.microsoft.portable-executable",
    "application/x-dosexec",
    "application/x-ms-shortcut",
    "application/x-msdos-program",
    "application/x-msdownload",
]

AT_ONCE = 2 * 1024 * 1024
"""Octets that are walked through on the spot, in 6 ms at most; larger messages are walked in a thread."""

REFUSED = Counter("mailweir_attachments_refused_total", "Messages refused for what they carry.", ("reason",))

Reason = Literal["ambiguous", "direction", "extension", "name", "type"]

_DROPPED = " .\t\r\n\"'"
_TURNING = re.compile("[\u202d\u202e]")
_INVISIBLE = re.compile(
    "[\x01-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


class Attachments:
    """The plugin."""

    class Settings(BaseModel):
        extensions: list[str] = EXTENSIONS.split()
        names: list[str] = []
        types: list[str] = TYPES
        ambiguous: Literal["reject", "pass"] = "reject"
        text: str = "attachment {name} is not allowed"

        @field_validator("extensions")
        @classmethod
        def _words(cls, value: list[str]) -> list[str]:
            endings = [plain(extension).lstrip("*.") for extension in value]
            if not all(endings):
                raise ValueError("an extension is a word like exe or tar.gz")
            return endings

        @field_validator("types")
        @classmethod
        def _pairs(cls, value: list[str]) -> list[str]:
            for one in value:
                if one.count("/") != 1:
                    raise ValueError("a MIME type is a pair of words like application/pdf")
            return [one.lower() for one in value]

    def __init__(self, settings: Settings) -> None:
        words = "|".join(map(re.escape, settings.extensions)) or r"(?!)"
        self._ending = re.compile(rf"\.(?:{words})[{re.escape(_DROPPED)}]*(?:[/\\:\0]|\Z)")
        self._names = [plain(pattern) for pattern in settings.names]
        self._types = settings.types
        self._ambiguous = settings.ambiguous == "reject"
        self._text = settings.text
        self._cells = {reason: REFUSED.cell(reason) for reason in get_args(Reason)}

    @hookimpl(edits=False)
    def message(self, message: Message) -> Reject | Awaitable[Reject | None] | None:
        if message.size > AT_ONCE:
            return self._later(message)
        return self._verdict(self.judge(message))

    async def _later(self, message: Message) -> Reject | None:
        return self._verdict(await asyncio.to_thread(self.judge, message))

    def _verdict(self, found: tuple[Reason, str] | None) -> Reject | None:
        if found is None:
            return None
        reason, what = found
        self._cells[reason].add()
        if reason == "ambiguous":
            return Reject(f"message refused: {what}")
        return Reject(self._text.replace("{name}", what))

    def judge(self, message: Message) -> tuple[Reason, str] | None:
        """Why the message is refused, and what people are told about it; `None` if it isn't."""
        try:
            for part in parts(message):
                reason = self._reason(part)
                if reason:
                    return reason, printable(_INVISIBLE.sub(" ", part.name), 100) or part.content_type
                if part.packed and self._ambiguous:
                    return "ambiguous", f"files packed in {part.packed}"
        except Ambiguous as error:
            if self._ambiguous:
                return "ambiguous", printable(error.reason, 200)
        return None

    def _reason(self, part: Part) -> Reason | None:
        if any(fnmatchcase(part.content_type, pattern) for pattern in self._types):
            return "type"
        for name in part.names:
            if _TURNING.search(name):
                return "direction"
            taken = plain(name)
            if self._ending.search(taken):
                return "extension"
            last = re.split(r"[/\\]", taken)[-1]
            for pattern in self._names:
                if fnmatchcase(taken, pattern) or fnmatchcase(last, pattern):
                    return "name"
        return None


def plain(name: str) -> str:
    r"""A file name as the system that saves it takes it, for comparing: its two ends, if it is very long.

    >>> plain("Invoice.pdf.\uff25XE\u200b . ")
    'invoice.pdf.exe'
    """
    if len(name) > 600:  # no file system takes more than 255
        name = name[:300] + name[-300:]
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).casefold().strip(_DROPPED)
