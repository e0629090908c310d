"""Plain numbers on the way in, Prometheus's text on the way out."""

import subprocess
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mailweir.metrics import FAMILIES, Counter, Everything, Gauge, Histogram


@pytest.fixture
def families() -> Iterator[None]:
    before = dict(FAMILIES)
    yield
    FAMILIES.clear()
    FAMILIES.update(before)


def text() -> str:
    registry = CollectorRegistry()
    registry.register(Everything())
    return generate_latest(registry).decode()


@pytest.mark.usefixtures("families")
def test_what_is_counted_is_told() -> None:
    Counter("mailweir_test_things_total", "Things.", ("kind",)).cell("a").add(3)
    Gauge("mailweir_test_level", "Level.").cell().set(-1.5)
    histogram = Histogram("mailweir_test_seconds", "Time.", (), (0.1, 1.0)).cell()
    for seconds in (0.1, 0.2, 5.0):
        histogram.observe(seconds)
    lines = text().splitlines()
    assert 'mailweir_test_things_total{kind="a"} 3.0' in lines
    assert "mailweir_test_level -1.5" in lines
    assert 'mailweir_test_seconds_bucket{le="0.1"} 1.0' in lines
    assert 'mailweir_test_seconds_bucket{le="1.0"} 2.0' in lines
    assert 'mailweir_test_seconds_bucket{le="+Inf"} 3.0' in lines
    assert "mailweir_test_seconds_sum 5.3" in lines


@pytest.mark.usefixtures("families")
def test_what_is_forgotten_is_not_told() -> None:
    gauge = Gauge("mailweir_test_gone", "Gone.", ("kind",))
    gauge.cell("a").set(1)
    gauge.forget()
    gauge.cell("b").set(1)
    assert 'kind="a"' not in text()
    assert 'mailweir_test_gone{kind="b"} 1.0' in text().splitlines()


@pytest.mark.usefixtures("families")
def test_a_name_is_taken_once() -> None:
    Counter("mailweir_test_twice_total", "Once.")
    with pytest.raises(ValueError, match="already"):
        Counter("mailweir_test_twice_total", "Twice.")


@pytest.mark.usefixtures("families")
def test_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="labels"):
        Counter("mailweir_test_labels_total", "Labels.", ("a", "b")).cell("only one")


def test_names_follow_prometheus_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
