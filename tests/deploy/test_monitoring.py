"""The alert rules and the dashboard ask for what there is, and an alert says what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from tests.deploy.expressions import labels_of_metrics, wrong_with

MONITORING: Final = Path(__file__).parents[2] / "deploy" / "monitoring"
GROUPS: Final[list[dict[str, Any]]] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())[
    "groups"
]
ALERTS: Final = [rule for group in GROUPS for rule in group["rules"]]
DASHBOARD: Final[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES: Final = [
    (panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]
]
EACH_ALERT: Final = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def _without_variables(expression: str) -> str:
    """Put in what Grafana puts in."""
    variables = {"$__rate_interval": "5m", "$job": "authz", "$instance": "a|b"}
    for name, value in variables.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@EACH_ALERT
def test_an_alert_asks_for_what_there_is(alert: dict[str, Any]) -> None:
    assert wrong_with(alert["expr"]) == []


@EACH_ALERT
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == f"docs/operations.md#alert-{alert['alert'].lower()}"
    assert all(text.strip() and "\n" not in text.strip() for text in annotations.values())
    if "for" in alert:
        assert promql_parser.parse_duration(alert["for"]).total_seconds() > 0


@EACH_ALERT
def test_a_text_of_an_alert_names_only_labels_that_its_series_have(alert: dict[str, Any]) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    groups = re.findall(r"\bby \(([\w, ]+)\)", alert["expr"])
    if groups:
        kept = [set(re.split(r",\s*", group)) for group in groups]
        assert named <= set.intersection(*kept) - {"le"}
    else:
        names = [name for name in labels_of_metrics() if name in alert["expr"]]
        assert names
        assert all(named <= labels_of_metrics()[name] for name in names)


@EACH_ALERT
def test_an_alert_sees_the_first_count_of_a_series_that_begins_with_it(
    alert: dict[str, Any],
) -> None:
    """Prometheus knows of no increase before the first scrape."""
    increases = re.findall(r"increase\((authz_decisions_total\{.*?\})\[(\w+)\]\)", alert["expr"])
    for selector, window in increases:
        begins_with_zero = 'reason="internal_error"' in selector
        assert begins_with_zero or f"unless {selector} offset {window}" in alert["expr"]


def test_no_two_alerts_have_one_name() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(names) == len(set(names)) > 10


@pytest.mark.parametrize(("title", "expression"), QUERIES)
def test_a_panel_asks_for_what_there_is(title: str, expression: str) -> None:
    assert title
    assert wrong_with(_without_variables(expression)) == []


@pytest.mark.parametrize(("title", "expression"), QUERIES)
def test_a_panel_shows_the_instances_that_were_chosen(title: str, expression: str) -> None:
    assert title
    selectors = re.findall(r"(?:authz|process)_\w+", expression)
    chosen = re.findall(r'job=~"\$job", instance=~"\$instance"', expression)
    assert len(selectors) == len(chosen) > 0


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = " ".join(expression for _title, expression in QUERIES)
    missing = {
        name
        for name in labels_of_metrics()
        if name.startswith("authz_") and not re.search(rf"\b{name}\b", shown)
    }
    assert missing == set()


def test_the_dashboard_can_be_imported_with_any_data_source() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables.keys() == {"datasource", "job", "instance"}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == (
        "datasource",
        "prometheus",
    )
    assert "__inputs" not in DASHBOARD
    assert DASHBOARD.get("id") is None
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert all(target["datasource"] == chosen for target in [panel, *panel["targets"]])
    for name in ("job", "instance"):
        assert variables[name]["datasource"] == chosen


def test_panels_have_places_and_numbers_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("authz_decision_total", ["no metric authz_decision_total"]),
        ("rate(authz_decisions[5m])", ["no metric authz_decisions"]),
        ('authz_ready{reason="x"}', ["no label reason in authz_ready"]),
        ('authz_decisions_total{reason="tired"}', ["no value tired of reason"]),
        ('authz_decisions_total{mode!="auditing"}', ["no value auditing of mode"]),
        ("sum by (issuer) (authz_decisions_total)", ["no label issuer"]),
        ("max_over_time(authz_nothing[1h:5m])", ["no metric authz_nothing"]),
    ],
)
def test_what_there_is_none_of_would_be_noticed(expression: str, wrong: list[str]) -> None:
    assert wrong_with(expression) == wrong


def test_what_is_no_promql_would_be_noticed() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        wrong_with("sum by (reason (authz_decisions_total)")
