"""The dashboard is what build.py makes, follows the rules of good panels, and draws only what exists."""

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from mailweir.metrics import FAMILIES, Histogram

GRAFANA = Path(__file__).parents[2] / "grafana"
FOREIGN = {"process_cpu_seconds_total", "process_resident_memory_bytes", "up"}
OUTSIDE = {"instance", "job", "le"}

BOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "mailweir-overview.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    drawn = [target["expr"] for panel in PANELS for target in panel["targets"]]
    rules = re.findall(r"^\s+expr: (.*)$", (GRAFANA / "prometheus" / "mailweir-alerts.yml").read_text(), re.M)
    assert rules
    return drawn + rules


def plain(expression: str) -> str:
    """With Grafana's variables filled in, as Prometheus wants it."""
    return expression.replace("$__rate_interval", "5m").replace("$listener", ".*")


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector below a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield from selectors(inner)
    for inner in getattr(node, "args", None) or ():
        yield from selectors(inner)


def test_json_is_what_build_makes() -> None:
    spec = importlib.util.spec_from_file_location("build", GRAFANA / "build.py")
    assert spec and spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    written = (GRAFANA / "dashboards" / "mailweir-overview.json").read_text()
    assert build.overview() == written, "run: python grafana/build.py"


def test_board_has_identity() -> None:
    assert BOARD["uid"] == "mailweir-overview"
    assert {variable["name"] for variable in BOARD["templating"]["list"]} == {"datasource", "listener"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_is_readable(panel: dict[str, Any]) -> None:
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        assert "rate(" not in target["expr"] or "$__rate_interval" in target["expr"]
        assert panel["type"] == "stat" or target["legendFormat"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("expression", expressions())
def test_draws_what_exists(expression: str) -> None:
    found = list(selectors(promql_parser.parse(plain(expression))))
    assert found
    for selector in found:
        if selector.name in FOREIGN:
            continue
        name = selector.name
        family = FAMILIES.get(name) or FAMILIES.get(re.sub(r"_(bucket|sum|count)$", "", name))
        assert family, f"there is no metric {name}"
        assert isinstance(family, Histogram) == (name not in FAMILIES)
        for matcher in selector.matchers.matchers:
            assert matcher.name in {*family.labels, *OUTSIDE}, f"{name} has no label {matcher.name}"


@pytest.mark.parametrize("expression", expressions())
def test_groups_by_labels_that_exist(expression: str) -> None:
    known = {label for family in FAMILIES.values() for label in family.labels} | OUTSIDE
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert {label.strip() for label in labels.split(",")} <= known


def test_alert_rules() -> None:
    folder = GRAFANA / "prometheus"
    for command in (["check", "rules", "mailweir-alerts.yml"], ["test", "rules", "mailweir-alerts-test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
