"""Every expression of the dashboard and of the alerts, run by a real Prometheus that scrapes a busy proxy."""

import contextlib
import json
import re
import smtplib
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from end2end.fakes import SmtpFake
from end2end.machine import Daemon, free_port, locate, wait_until
from end2end.weir import Mailweir, Start

GRAFANA = Path(__file__).parents[2] / "grafana"
BREAKS = """
from mailweir import Reject, hookimpl

@hookimpl
def rcpt_to(recipient):
    if recipient.local == "broken":
        raise RuntimeError("on purpose")
    if recipient.local == "refused":
        return Reject("not here")
"""


def expressions() -> list[str]:
    board = json.loads((GRAFANA / "dashboards" / "mailweir-overview.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


class Prometheus:
    """A real one, which scrapes one target every second."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            f"rule_files: [{GRAFANA / 'prometheus' / 'mailweir-alerts.yml'}]\n"
            "scrape_configs:\n"
            f"  - {{job_name: mailweir, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}\n"
        )
        self.daemon = Daemon(
            [
                locate("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            folder / "prometheus.log",
        )
        self.daemon.wait_for_ports(self.port)

    def get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expression: str) -> list[Any]:
        """The vector that an expression gives now."""
        result: list[Any] = self.get("query", query=expression)["result"]
        return result


@pytest.fixture
def busy(tmp_path: Path, start: Start) -> Iterator[Mailweir]:
    """A proxy with mail, refusals, failures, an unreachable upstream and a certificate behind it."""
    policy = tmp_path / "policy.py"
    policy.write_text(BREAKS)
    upstream = SmtpFake()
    weir = start(
        {
            "mx": {"protocol": "smtp", "upstream": "mta", "plugins": ["policy"]},
            "dead": {"protocol": "smtp", "upstream": "nowhere"},
        },
        {"mta": upstream.upstream, "nowhere": {"address": f"127.0.0.1:{free_port()}"}},
        plugins={"policy": {"use": str(policy)}},
    )
    weir.forgives = "RuntimeError|Traceback"
    yield weir
    upstream.stop()


def send(weir: Mailweir) -> None:
    """A message that goes through, and three that don't."""
    with smtplib.SMTP("127.0.0.1", weir.ports["mx"]) as client:
        client.sendmail("a@example.org", ["b@example.org"], "Subject: hi\r\n\r\nhi\r\n")
        for recipient in ("broken@example.org", "refused@example.org"):
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@example.org", [recipient], "Subject: hi\r\n\r\nhi\r\n")
    with contextlib.suppress(smtplib.SMTPException):
        smtplib.SMTP("127.0.0.1", weir.ports["dead"])


def rising(prometheus: Prometheus, weir: Mailweir) -> bool:
    """Prometheus sees messages pass; send some more if not."""
    if prometheus.query("sum(rate(mailweir_messages_total[1m])) > 0"):
        return True
    send(weir)
    return False


def test_every_expression(busy: Mailweir, tmp_path: Path) -> None:
    send(busy)
    prometheus = Prometheus(tmp_path, busy.admin)
    try:
        wait_until("a first scrape", lambda: prometheus.query('up{job="mailweir"} == 1'))
        send(busy)
        wait_until("a rate", lambda: rising(prometheus, busy))
        empty = []
        for expression in expressions():
            asked = expression.replace("$__rate_interval", "1m").replace("$listener", ".*")
            if not prometheus.query(asked):
                empty.append(expression)
        # what nobody did here: log in, shake hands, own a certificate, break the rules, lose an upstream
        quiet = re.compile(
            r"mailweir_(logins|tls_handshakes|tls_certificate_expiry|protocol_errors|upstream_lost)_"
        )
        assert [expression for expression in empty if not quiet.search(expression)] == []
        rules = prometheus.get("rules")["groups"][0]["rules"]
        assert rules
        wait_until(
            "every alert rule evaluated without an error",
            lambda: all(rule["health"] == "ok" for rule in prometheus.get("rules")["groups"][0]["rules"]),
            90,
        )
    finally:
        prometheus.daemon.stop()
