"""The window, asked over real sockets."""

import asyncio
from urllib.parse import quote

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from twisted.internet.task import Clock

from mailweir import metrics
from mailweir.admin.http import site
from mailweir.net.addresses import parse
from mailweir.net.ports import open_ports

PAGES = {  # request line: (status, the first words of the body)
    "GET /health": (200, "ok"),
    "GET /ready": (200, "ready"),
    "GET /ready?verbose=1": (200, "ready"),
    "GET /": (404, "not found"),
    "GET /nowhere": (404, "not found"),
    "GET /metrics/x": (404, "not found"),
    f"GET /{quote('../metrics')}": (404, "not found"),
    "POST /ready": (405, "GET is all there is"),
    "DELETE /metrics": (405, "GET is all there is"),
}


class Running:
    """A program that may be ready or not."""

    def __init__(self, unready: str = "") -> None:
        self.unready = unready


def raw(said: bytes, status: Running | None = None) -> bytes:
    """All that is answered to those octets; what is not answered at all times out."""

    async def main() -> bytes:
        ports = await open_ports(parse("127.0.0.1:0"), site(status or Running(), Clock()))
        reader, writer = await asyncio.open_connection(ports[0].address.host, ports[0].address.port)
        writer.write(said)
        async with asyncio.timeout(20):
            answer = await reader.read(-1)
        writer.close()
        ports[0].close()
        return answer

    return asyncio.run(main())


def ask(line: str, status: Running | None = None, accept: str = "*/*") -> tuple[int, dict[str, str], str]:
    """Status, header fields and body of one answer."""
    answer = raw(f"{line} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode(), status)
    head, _, body = answer.decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    return int(first.split()[1]), dict(field.lower().split(": ", 1) for field in fields), body


@pytest.mark.parametrize("line", PAGES)
def test_pages(line: str) -> None:
    status, fields, body = ask(line)
    assert (status, body.startswith(PAGES[line][1])) == (PAGES[line][0], True)
    assert fields["content-type"] == "text/plain; charset=utf-8" and "twisted" not in fields["server"]


def test_head_has_no_body() -> None:
    assert ask("HEAD /health")[0::2] == (200, "")


def test_not_ready_says_why_and_is_healthy_all_the_same() -> None:
    assert ask("GET /ready", Running("stopping"))[0::2] == (503, "stopping\n")
    assert ask("GET /health", Running("stopping"))[0::2] == (200, "ok\n")


def test_metrics_in_both_forms() -> None:
    metrics.CONNECTIONS.cell("window", "smtp").add(3)
    metrics.SESSION_SECONDS.cell("window", "smtp").observe(0.2)
    _, fields, plain = ask("GET /metrics")
    assert fields["content-type"].startswith("text/plain; version=")
    _, fields, newer = ask("GET /metrics", accept="application/openmetrics-text; version=1.0.0")
    assert fields["content-type"].startswith("application/openmetrics-text")
    for read, text in ((parser.text_string_to_metric_families, plain), (openmetrics_families, newer)):
        samples = {
            (sample.name, sample.labels.get("listener", ""), sample.labels.get("le", "")): sample.value
            for family in read(text)
            for sample in family.samples
        }
        assert samples["mailweir_connections_total", "window", ""] == 3
        assert samples["mailweir_session_duration_seconds_bucket", "window", "+Inf"] == 1
        assert samples["process_open_fds", "", ""] > 0


@pytest.mark.parametrize("version", ["zzz", "1.0.x;escaping", "1;escaping=\\", ""])
def test_a_form_that_nobody_knows(version: str) -> None:
    status, fields, _ = ask("GET /metrics", accept=f"application/openmetrics-text; version={version}")
    assert status == 200 and "version" in fields["content-type"]


def test_a_connection_is_for_one_request() -> None:
    """A scraper that says thousands at once can't keep the loop from mail."""
    assert raw(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 50).count(b"HTTP/1.1 200") == 1


def test_a_body_is_stored_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: pytest.fail("a file for a body"))
    asked = b"POST /ready HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
    assert raw(asked).startswith(b"HTTP/1.1 405")
