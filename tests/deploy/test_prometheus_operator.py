"""What the Prometheus operator and Grafana get of the monitoring."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.deploy.central import CENTRAL, VARIANTS
from tests.deploy.kustomized import namespace_of, of_kind, put_together, the
from tests.deploy.manifests.sources import DEPLOY

if TYPE_CHECKING:
    from pathlib import Path


def test_the_operator_gets_the_alerts_that_prometheus_gets() -> None:
    """To renew it: `python deploy/monitoring/generate.py`."""
    monitoring = DEPLOY / "monitoring"
    rule = yaml.safe_load((monitoring / "prometheus-rule.yaml").read_text())
    assert rule["kind"] == "PrometheusRule"
    assert rule["spec"] == yaml.safe_load((monitoring / "alerts.yaml").read_text())
    script = [sys.executable, str(monitoring / "generate.py"), "--check"]
    assert subprocess.run(script, check=False).returncode == 0


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda path: path.name)
def test_each_pod_is_scraped_once_by_a_job_that_the_alerts_know(variant: Path) -> None:
    objects = put_together(variant)
    (monitor,) = of_kind(objects, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (scraped,) = [
        each for each in of_kind(objects, "Service") if wanted <= each["metadata"]["labels"].items()
    ]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in scraped["spec"]["ports"]}
    assert namespace_of(monitor) == namespace_of(scraped)
    rule = the(objects, "PrometheusRule", "authz-service")
    alerts = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    (down,) = [each["expr"] for each in alerts if each["alert"] == "AuthzInstanceDown"]
    (jobs,) = re.findall(r'job=~"(.*?)"', down)
    assert re.fullmatch(jobs, scraped["metadata"]["name"])
    assert of_kind(objects, "ConfigMap") != []


def test_grafana_finds_the_dashboard() -> None:
    dashboard = the(put_together(CENTRAL), "ConfigMap", "authz-service-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    text = (DEPLOY / "monitoring" / "dashboard.json").read_text()
    assert dashboard["data"] == {"dashboard.json": text}
