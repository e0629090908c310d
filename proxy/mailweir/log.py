"""One line an event, on standard output: JSON, logfmt, or for people at a terminal.

structlog, the standard library's logging and Twisted's all end in the same writer, so every line has the
same shape: time, level, event, then what is known about it. Control characters are escaped in every value,
so text out of a message can't become a line of its own. `write` is for the one line that every message
costs: it takes the straight way to the writer, without structlog.

Lines may wait 0.1 seconds (`BUFFER` octets at most) when `setup` was given a timer; warnings and worse
never wait. A reader that went away, or takes nothing for `PATIENCE` seconds, costs the lines, not the
proxy: mail is not held up, and the log says how many lines are missing once it is read again. Secrets are not logged to begin with;
`redact` is the net below, for exceptions and plugins.
"""

import functools
import logging
import os
import re
import select
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger
    from twisted.logger import ILogObserver, LogEvent

Format = Literal["json", "logfmt", "console"]
Level = Literal["debug", "info", "warning", "error"]
Value = str | int | float | None
Later = Callable[[float, Callable[[], None]], object]

BUFFER = 32 * 1024
DELAY = 0.1
PATIENCE = 1.0
"""Seconds that a full pipe is waited for, once: the loop stands still meanwhile."""
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
COLOURS = {"debug": 2, "info": 32, "warning": 33, "error": 31, "critical": 31}
SECRET_KEYS = {"authorization", "credentials", "pass", "password", "secret", "token"}
REDACTED = "[redacted]"

_BARE = re.compile(r"[!#-<>-~]+")
_SECRETS = re.compile(
    r"""((?:^|["'])(?:[^\s"']+[ ])?
    (?:AUTH(?:ENTICATE)?[ ]+[\w-]+[ ]+|PASS[ ]+|LOGIN[ ]+\S+[ ]+|Authorization:[ ]*))\S.*""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


class Writer:
    """Renders lines and hands them to a file descriptor. One for each process; any thread may write."""

    def __init__(self) -> None:
        self.format: Format = "json"
        self.level = LEVELS["info"]
        self.descriptor = 1
        self.colour = False
        self.later: Later | None = None
        self.lost = 0
        self._lines: list[str] = []
        self._octets = 0
        self._torn = False
        self._missing = 0
        self._stuck = False
        self._lock = threading.Lock()
        self._home = threading.get_ident()

    def line(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Render one line and write it, now or a moment later. Level is not looked at."""
        line = RENDER[self.format](self, level, event, fields)
        with self._lock:
            waits = bool(self._lines)
            self._lines.append(line)
            self._octets += len(line)
            calm = self._octets < BUFFER and level in ("info", "debug")
        if self.later is None or not calm or threading.get_ident() != self._home:
            self.flush()
        elif not waits:
            self.later(DELAY, self.flush)

    def flush(self) -> None:
        """Write what waits. What can't be written is lost and counted in `lost`."""
        with self._lock:
            lines, self._lines, self._octets = self._lines, [], 0
            if not lines:
                return
            text = "".join(lines)
            if self._missing:
                text = RENDER[self.format](self, "warning", "log lines lost", {"lines": self._missing}) + text
            data = memoryview(("\n" * self._torn + text).encode("utf-8", "backslashreplace"))
            end = time.monotonic() + (0 if self._stuck else PATIENCE)
            try:
                while data:
                    data = data[self._write(data, end) :]
                    self._torn = bool(data)
                self._missing, self._stuck = 0, False
            except OSError as error:
                self.lost += len(lines)
                self._missing += len(lines)
                self._stuck = isinstance(error, TimeoutError)

    def _write(self, data: memoryview, end: float) -> int:
        """Write what surely does not block; `TimeoutError` if the reader takes nothing until `end`."""
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            ready = select.poll()
            ready.register(self.descriptor, select.POLLOUT)
            if not ready.poll(max(end - time.monotonic(), 0) * 1000):
                raise TimeoutError("nobody reads the log")
            data = data[: select.PIPE_BUF]
        try:
            return os.write(self.descriptor, data)
        except BlockingIOError:  # somebody who shares the pipe made it non-blocking, and was faster
            return 0


def stamp(now: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    return f"{_second(int(now))}.{int(now * 1000) % 1000:03d}Z"


@functools.lru_cache(2)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


@functools.lru_cache(1024)
def _key(key: str) -> str:
    """A key that breaks no format and is none of the three that every line begins with."""
    clean = re.sub(r"[^\w.-]", "_", key, flags=re.ASCII) or "_"
    return clean + "_" if clean in ("time", "level", "event") else clean


def _scalar(value: object) -> str | None:
    """Numbers as JSON writes them; None for what is text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and abs(value) < 1e15:
        return repr(round(value, 6))
    return None


def _json(writer: Writer, level: str, event: str, fields: Mapping[str, Any]) -> str:
    parts = [f'{{"time":"{stamp(time.time())}","level":"{level}","event":{quote(event)}']
    for key, value in fields.items():
        kind = value.__class__
        if kind is str:
            parts.append(f'"{_key(key)}":{quote(value)}')
        elif kind is int:
            parts.append(f'"{_key(key)}":{value}')
        elif value is not None:
            parts.append(f'"{_key(key)}":{_scalar(value) or quote(str(value))}')
    return ",".join(parts) + "}\n"


def _pairs(fields: Mapping[str, Any]) -> list[str]:
    """`key=value`; a value that is not plain printable ASCII stands in quotes, escaped as in JSON."""
    parts = []
    for key, value in fields.items():
        if value is not None:
            text = value if value.__class__ is str else _scalar(value) or str(value)
            parts.append(f"{_key(key)}={text if _BARE.fullmatch(text) else quote(text)}")
    return parts


def _logfmt(writer: Writer, level: str, event: str, fields: Mapping[str, Any]) -> str:
    name = event if _BARE.fullmatch(event) else quote(event)
    head = f"time={stamp(time.time())} level={level} event={name}"
    return " ".join([head, *_pairs(fields)]) + "\n"


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else quote(char)[1:-1] for char in text)


def _console(writer: Writer, level: str, event: str, fields: Mapping[str, Any]) -> str:
    clock = time.strftime("%H:%M:%S")
    rest = {key: value for key, value in fields.items() if key != "exception"}
    word = f"\x1b[{COLOURS[level]}m{level:<7}\x1b[0m" if writer.colour else f"{level:<7}"
    line = " ".join([clock, word, _visible(event), *_pairs(rest)])
    trace = [f"    {_visible(part)}" for part in str(fields.get("exception") or "").split("\n") if part]
    return "\n".join([line, *trace]) + "\n"


RENDER: dict[Format, Callable[[Writer, str, str, Mapping[str, Any]], str]] = {
    "json": _json,
    "logfmt": _logfmt,
    "console": _console,
}
_writer = Writer()
flush = _writer.flush


def write(event: str, fields: Mapping[str, Value]) -> None:
    """One line of level info, at whatever level the log is set to. `None` leaves a field out.

    For what happens once a message: a fifth of the cost of a structlog call. Nothing is redacted here.
    """
    _writer.line("info", event, fields)


def logger(**facts: object) -> "FilteringBoundLogger":
    """A structlog logger that says `facts` on each line: `logger(session=session.id)`.

    It costs next to nothing until it says something, and keeps the level that is set then.
    """
    import structlog

    lazy: FilteringBoundLogger = structlog.get_logger(**facts)
    return lazy


def redact(fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what names itself a secret, and what stands behind AUTH, PASS, LOGIN or Authorization."""
    for key, value in fields.items():
        if key.lower() in SECRET_KEYS:
            fields[key] = REDACTED
        elif value is not None and not isinstance(value, int | float):
            fields[key] = _without_secrets(str(value))
    return fields


def _without_secrets(text: str) -> str:
    return _SECRETS.sub(rf"\1{REDACTED}", text)


def setup(format: Format = "json", level: Level = "info", later: Later | None = None) -> None:
    """Begin, or go on with other settings (SIGHUP). `later` is a reactor's `callLater`."""
    import structlog

    flush()
    if sys.stdout is None:  # started with it closed, and descriptor 1 may be anybody's by now
        _writer.descriptor = os.open(os.devnull, os.O_WRONLY)
    _writer.format, _writer.level, _writer.later = format, LEVELS[level], later
    _writer.colour = format == "console" and os.isatty(_writer.descriptor) and not os.environ.get("NO_COLOR")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            _from_structlog,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_writer.level),
        logger_factory=lambda *_: None,
        cache_logger_on_first_use=False,
    )


def _from_structlog(_: object, method: str, fields: MutableMapping[str, Any]) -> Any:
    import structlog

    event = str(fields.pop("event", ""))
    level = {"exception": "error", "warn": "warning", "msg": "info"}.get(method, method)
    _writer.line(level, event, redact(fields))
    raise structlog.DropEvent


def bridge() -> None:
    """Take in what the standard library's logging and Twisted's say from now on. Once a process."""
    from twisted.logger import globalLogBeginner

    logging.basicConfig(handlers=[_Handler()], level=logging.DEBUG, force=True)
    globalLogBeginner.beginLoggingTo(
        [cast("ILogObserver", _from_twisted)], redirectStandardIO=False, discardBuffer=True
    )


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < _writer.level:
            return
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[0]:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        level = [name for name, least in LEVELS.items() if least <= max(record.levelno, LEVELS["debug"])][-1]
        try:
            event = record.getMessage()
        except (TypeError, ValueError):
            event = str(record.msg)
        _writer.line(level, _without_secrets(event), redact(fields))


def _from_twisted(event: "LogEvent") -> None:
    """Twisted's info (factories that start and stop) is our debug."""
    from twisted.logger import formatEvent

    level = {"info": "debug", "warn": "warning"}.get(event["log_level"].name, event["log_level"].name)
    if LEVELS[level] < _writer.level:
        return
    failure = event.get("log_failure")
    fields: dict[str, Any] = {"logger": event.get("log_namespace")}
    if failure is not None:
        fields["exception"] = failure.getTraceback()
    _writer.line(level, _without_secrets(formatEvent(event)), redact(fields))
