"""Lines as they leave, from all three sources, in all three formats; what a line may never do."""

import json
import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger

from mailweir import log, log_event
from mailweir.session import Credentials

FIELDS: dict[str, log.Value] = {
    "session": "abc",
    "sender": "a b@example.org",
    "subject": 'x" y=z\r\nFrom: root\x1b[2J',
    "size": 1024,
    "seconds": 0.1234567,
    "by": None,
    "name": "Zoë",
    "empty": "",
}

LINES = {
    "json": r'{"time":"T","level":"info","event":"message","session":"abc","sender":"a b@example.org",'
    r'"subject":"x\" y=z\r\nFrom: root\u001b[2J","size":1024,"seconds":0.123457,"name":"Zo\u00eb","empty":""}',
    "logfmt": r"time=T level=info event=message session=abc sender="
    r'"a b@example.org" subject="x\" y=z\r\nFrom: root\u001b[2J" size=1024 seconds=0.123457 name="Zo\u00eb" empty=""',
    "console": r"C info    message session=abc sender="
    r'"a b@example.org" subject="x\" y=z\r\nFrom: root\u001b[2J" size=1024 seconds=0.123457 name="Zo\u00eb" empty=""',
}


class Lines:
    """A writer whose octets stay here."""

    def __init__(self, format: log.Format = "json", later: log.Later | None = None) -> None:
        self.said = b""
        self.writer = log.Writer()
        self.writer.format = format
        self.writer.later = later
        self.writer._write = self._write  # type: ignore[method-assign]

    def _write(self, data: memoryview, end: float) -> int:
        self.said += data
        return len(data)


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged as JSON since it was last asked."""
    log.setup("json", "info")
    yield lambda: [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    log.setup("json", "info")
    log._writer.later = None


@pytest.mark.parametrize("format", LINES)
def test_line(format: log.Format) -> None:
    lines = Lines(format)
    lines.writer.line("info", "message", FIELDS)
    said = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "T", lines.said.decode())
    said = re.sub(r"^\d\d:\d\d:\d\d ", "C ", said)
    assert said == LINES[format] + "\n"


def test_time_is_utc_with_milliseconds() -> None:
    assert log.stamp(1_700_000_000.0625) == "2023-11-14T22:13:20.062Z"


@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.floats() | st.booleans() | st.none()), st.text()
)
def test_a_line_is_one_line_in_plain_ascii(fields: dict[str, Any], event: str) -> None:
    for format in ("json", "logfmt"):
        lines = Lines(format)
        lines.writer.line("info", event, fields)
        assert re.fullmatch(rb"[ -~]+\n", lines.said)
        if format == "json":
            found = json.loads(lines.said)
            assert found["event"] == event
            assert set(found) - {"time", "level", "event"} == {
                log._key(key) for key, value in fields.items() if value is not None
            }


@given(st.text(), st.text())
def test_a_console_line_has_no_control_characters(event: str, value: str) -> None:
    lines = Lines("console")
    lines.writer.line("info", event, {"value": value})
    assert lines.said.count(b"\n") == 1 and lines.said[:-1].decode(errors="replace").isprintable()


def test_colour_stands_around_the_level_only() -> None:
    lines = Lines("console")
    lines.writer.colour = True
    lines.writer.line("error", "broken", {"a": "b"})
    assert lines.said[9:] == b"\x1b[31merror  \x1b[0m broken a=b\n"


def test_no_colour_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    log.setup("console")
    log_event("hello", {})
    assert "\x1b" not in capfd.readouterr().out
    log.setup("json")


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_a_terminal_and_no_color(no_colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    log.setup("console")
    assert log._writer.colour is not bool(no_colour)
    log.setup("json")
    assert not log._writer.colour


def test_structlog(said: Callable[[], list[dict[str, Any]]]) -> None:
    logger = log.logger(session="abc")
    logger.debug("unseen")
    logger.warning("upstream unreachable", upstream="mta", tries=3)
    (line,) = said()
    del line["time"]
    assert line == {
        "level": "warning",
        "event": "upstream unreachable",
        "session": "abc",
        "upstream": "mta",
        "tries": 3,
    }


def test_structlog_exception(said: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        raise KeyError("x")
    except KeyError:
        log.logger(session="abc").exception("internal error")
    (line,) = said()
    assert line["level"] == "error" and line["exception"].endswith("KeyError: 'x'")


def test_console_shows_a_traceback_below_the_line() -> None:
    lines = Lines("console")
    lines.writer.line("error", "broken", {"exception": 'Traceback:\n  "x"\nError: \x1b[2J', "a": 1})
    assert lines.said[9:] == b'error   broken a=1\n    Traceback:\n      "x"\n    Error: \\u001b[2J\n'


def test_level(said: Callable[[], list[dict[str, Any]]]) -> None:
    for level in ("debug", "info", "warning", "error"):
        log.setup("json", level)
        logger = log.logger()
        logger.debug("debug")
        logger.info("info")
        logger.warning("warning")
        logger.error("error")
    assert "".join(line["event"][0] for line in said()) == "diweiwewee"


def test_event_is_written_at_every_level(said: Callable[[], list[dict[str, Any]]]) -> None:
    log.setup("json", "error")
    log_event("message", {"size": 1})
    (line,) = said()
    assert (line["level"], line["event"], line["size"]) == ("info", "message", 1)


class TestBridge:
    @pytest.fixture(autouse=True)
    def bridged(self) -> Iterator[None]:
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        log.bridge()
        yield
        root.handlers, root.level = handlers, level

    def test_standard_library(self, said: Callable[[], list[dict[str, Any]]]) -> None:
        logging.getLogger("some.module").info("took %d s", 3)
        logging.getLogger("some.module").debug("unseen")
        logging.getLogger("some.module").log(35, "between")
        lines = said()
        assert [(line["level"], line["event"], line["logger"]) for line in lines] == [
            ("info", "took 3 s", "some.module"),
            ("warning", "between", "some.module"),
        ]

    def test_arguments_that_do_not_fit(self, said: Callable[[], list[dict[str, Any]]]) -> None:
        log._Handler().emit(logging.LogRecord("lib", 30, "lib.py", 1, "took %d s", ("long",), None))
        assert said()[0]["event"] == "took %d s"

    def test_standard_library_exception(self, said: Callable[[], list[dict[str, Any]]]) -> None:
        try:
            raise ValueError("no")
        except ValueError:
            logging.exception("failed")
        (line,) = said()
        assert line["level"] == "error" and line["exception"].endswith("ValueError: no")

    def test_twisted(self, said: Callable[[], list[dict[str, Any]]]) -> None:
        log._from_twisted(_event(Logger("net").info, "factory {name} starts", name="x"))
        log._from_twisted(_event(Logger("net").warn, "factory {name} is odd", name="x"))
        (line,) = said()
        assert (line["level"], line["event"], line["logger"]) == ("warning", "factory x is odd", "net")

    def test_twisted_info_is_debug(self, said: Callable[[], list[dict[str, Any]]]) -> None:
        log.setup("json", "debug")
        log._from_twisted(_event(Logger("net").info, "factory starts"))
        assert said()[0]["level"] == "debug"

    def test_twisted_failure(self, said: Callable[[], list[dict[str, Any]]]) -> None:
        def fail(text: str) -> None:
            try:
                raise ValueError("AUTH PLAIN AGJvYgBzZWNyZXQ=")
            except ValueError:
                logger.failure(text)

        logger = Logger("net")
        log._from_twisted(_event(fail, "broken", logger))
        (line,) = said()
        assert line["level"] == "critical" and "AUTH PLAIN [redacted]" in line["exception"]


def _event(say: Callable[..., None], text: str, logger: Logger | None = None, **facts: object) -> Any:
    """The event that a Twisted logger makes of this."""
    events: list[Any] = []
    logger = logger or say.__self__  # type: ignore[attr-defined]
    assert logger is not None
    logger.observer = events.append
    say(text, **facts)
    return events[0]


SECRETS = {
    "secret by name": ({"password": "swordfish"}, {"password": "[redacted]"}),
    "in any case": ({"Authorization": "Bearer x"}, {"Authorization": "[redacted]"}),
    "AUTH": ({"line": "AUTH PLAIN AGJvYgBzZWNyZXQ="}, {"line": "AUTH PLAIN [redacted]"}),
    "AUTH in octets": ({"line": b"auth plain AGJvYg=="}, {"line": "b'auth plain [redacted]"}),
    "PASS": ({"line": "PASS sword fish"}, {"line": "PASS [redacted]"}),
    "LOGIN": ({"line": "a1 LOGIN bob swordfish"}, {"line": "a1 LOGIN bob [redacted]"}),
    "AUTHENTICATE": ({"line": "a AUTHENTICATE XOAUTH2 dXNl"}, {"line": "a AUTHENTICATE XOAUTH2 [redacted]"}),
    "HTTP": ({"head": "x\nAuthorization: Bearer abc\ny"}, {"head": "x\nAuthorization: [redacted]\ny"}),
    "credentials": (
        {"who": Credentials("PLAIN", "bob", "swordfish")},
        {"who": "Credentials(PLAIN, user='bob')"},
    ),
    "no secret": (
        {"line": "PASSIVE mode", "count": 3, "by": None},
        {"line": "PASSIVE mode", "count": 3, "by": None},
    ),
    "AUTH alone": ({"line": "AUTH PLAIN"}, {"line": "AUTH PLAIN"}),
}


@pytest.mark.parametrize(("fields", "clean"), SECRETS.values(), ids=SECRETS)
def test_redaction(fields: Mapping[str, Any], clean: Mapping[str, Any]) -> None:
    assert log.redact(dict(fields)) == clean


class TestWaiting:
    def test_lines_wait_for_one_timer(self) -> None:
        timers: list[tuple[float, Callable[[], None]]] = []
        lines = Lines(later=lambda delay, call: timers.append((delay, call)))
        lines.writer.line("info", "one", {})
        lines.writer.line("info", "two", {})
        assert lines.said == b"" and [delay for delay, _ in timers] == [log.DELAY]
        timers[0][1]()
        assert lines.said.count(b"\n") == 2
        lines.writer.line("info", "three", {})
        assert len(timers) == 2

    @pytest.mark.parametrize("level", ["warning", "error", "critical"])
    def test_warnings_never_wait(self, level: str) -> None:
        lines = Lines(later=lambda delay, call: None)
        lines.writer.line("info", "one", {})
        lines.writer.line(level, "two", {})
        assert lines.said.count(b"\n") == 2

    def test_a_full_buffer_never_waits(self) -> None:
        lines = Lines(later=lambda delay, call: None)
        lines.writer.line("info", "x" * log.BUFFER, {})
        assert len(lines.said) > log.BUFFER

    def test_other_threads_set_no_timer(self) -> None:
        timers: list[float] = []
        lines = Lines(later=lambda delay, call: timers.append(delay))
        thread = threading.Thread(target=lines.writer.line, args=("info", "one", {}))
        thread.start()
        thread.join()
        assert lines.said.count(b"\n") == 1 and not timers


class TestBrokenOutput:
    def test_a_reader_that_left_costs_the_lines(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        writer = log.Writer()
        writer.descriptor = writing
        writer.line("info", "one", {})
        writer.line("info", "two", {})
        os.close(writing)
        assert writer.lost == 2

    def test_a_full_nonblocking_pipe_is_waited_for(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        writer = log.Writer()
        writer.descriptor = writing
        event = "x" * 200_000
        thread = threading.Thread(target=writer.line, args=("info", event, {}))
        thread.start()
        said = b""
        while not said.endswith(b"\n"):
            said += os.read(reading, 65536)
        thread.join()
        os.close(reading)
        os.close(writing)
        assert json.loads(said)["event"] == event and writer.lost == 0

    def test_a_torn_line_does_not_tear_the_next(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = Lines("logfmt")
        answers: list[Callable[[memoryview], int]] = [lambda data: 3, _full_disk, _full_disk]
        with monkeypatch.context() as patched:
            patched.setattr(lines.writer, "_write", lambda data, end: answers.pop(0)(data))
            lines.writer.line("info", "one", {})
            lines.writer.line("info", "two", {})
        lines.writer.line("info", "three", {})
        torn, told, three = lines.said.splitlines()
        assert torn == b"" and told.endswith(b'level=warning event="log lines lost" lines=2')
        assert three.endswith(b"event=three")
        lines.writer.line("info", "four", {})
        assert lines.said.count(b"\n") == 4 and lines.writer.lost == 2

    @pytest.mark.parametrize("blocking", [True, False])
    def test_a_reader_that_takes_nothing_holds_nobody_up(
        self, blocking: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "PATIENCE", 0.2)
        reading, writing = os.pipe()
        os.set_blocking(writing, blocking)
        writer = log.Writer()
        writer.descriptor = writing
        began = time.monotonic()
        for _ in range(50):
            writer.line("info", "x" * 100_000, {})
        assert time.monotonic() - began < 2
        assert writer.lost == 50
        while select.select([reading], [], [], 0)[0]:
            os.read(reading, 1 << 20)
        writer.line("info", "again", {})
        torn, told, again = os.read(reading, 4096).splitlines()
        assert torn == b"" and json.loads(told)["lines"] == 50
        assert json.loads(again)["event"] == "again"
        os.close(reading)
        os.close(writing)


def _full_disk(data: memoryview) -> int:
    raise OSError(28, "No space left on device")
