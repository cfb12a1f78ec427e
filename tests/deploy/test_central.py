"""The service for a whole cluster: its pods, and every variant of it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.deploy.central import (
    BASE,
    BASE_OBJECTS,
    CONTAINER,
    POD,
    TLS_OPTIONS,
    VARIANTS,
    WORKLOAD,
    value,
)
from tests.deploy.envoys import CENTRAL as CENTRAL_ENVOY
from tests.deploy.envoys import named, parsed
from tests.deploy.kustomized import of_kind, put_together, the
from tests.edge.rig import PATIENCE
from tests.server.processes import environment

if TYPE_CHECKING:
    from pathlib import Path


def test_the_base_alone_refuses_to_start(tmp_path: Path) -> None:
    """It would listen to the network, in clear text."""
    there = {
        "--policy=/etc/authz/policy": f"--policy={BASE / 'policy'}",
        "--key-cache=/var/cache/authz/keys": f"--key-cache={tmp_path / 'keys'}",
    }
    arguments = [there.get(each, each) for each in CONTAINER["args"]]
    assert arguments.count("--listen=0.0.0.0:9191") == 1
    done = subprocess.run(
        [sys.executable, "-m", "authz_service", *arguments],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--insecure-listen" in done.stderr


def test_a_pod_has_the_time_that_its_stop_takes() -> None:
    wait = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    cut_off = float(value(CONTAINER["args"], "grace")) + 1
    assert POD["terminationGracePeriodSeconds"] > wait + cut_off


def test_a_release_that_cannot_start_takes_nothing_away() -> None:
    assert WORKLOAD["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in WORKLOAD["spec"]
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert CONTAINER["startupProbe"]["httpGet"]["path"] == "/livez"


def test_what_stays_up_is_what_is_there() -> None:
    labels = WORKLOAD["spec"]["selector"]["matchLabels"]
    autoscaler = the(BASE_OBJECTS, "HorizontalPodAutoscaler", "authz-service")["spec"]
    budget = the(BASE_OBJECTS, "PodDisruptionBudget", "authz-service")["spec"]
    assert autoscaler["scaleTargetRef"]["name"] == WORKLOAD["metadata"]["name"]
    assert autoscaler["metrics"][0]["containerResource"]["container"] == CONTAINER["name"]
    assert autoscaler["minReplicas"] > budget["maxUnavailable"] > 0
    policies = of_kind(BASE_OBJECTS, "NetworkPolicy")
    chosen = [each["spec"]["podSelector"].get("matchLabels") for each in policies]
    assert [budget["selector"]["matchLabels"], *filter(None, chosen)] == [labels, labels]
    for each in of_kind(BASE_OBJECTS, "Service"):
        assert each["spec"]["selector"] == labels


def test_an_envoy_finds_the_pods_also_where_none_is_ready() -> None:
    """And asks them itself which is."""
    service = the(BASE_OBJECTS, "Service", "authz-service-headless")["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    clusters = parsed(CENTRAL_ENVOY)["static_resources"]["clusters"]
    asked = named(clusters, "authz-service")
    assert asked["type"] == "STRICT_DNS"
    assert asked["health_checks"][0]["grpc_health_check"]
    assert 0 < asked["common_lb_config"]["healthy_panic_threshold"]["value"] <= 1


def test_nothing_in_the_namespace_talks_to_anybody_unless_it_says_so() -> None:
    spec = the(BASE_OBJECTS, "NetworkPolicy", "default-deny")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda path: path.name)
def test_every_variant_has_one_workload_with_mutual_tls(variant: Path) -> None:
    objects = put_together(variant)
    (workload,) = [each for kind in ("Deployment", "DaemonSet") for each in of_kind(objects, kind)]
    spec = workload["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert container["args"][: len(CONTAINER["args"])] == CONTAINER["args"]
    assert set(TLS_OPTIONS) < set(container["args"])
    assert "--insecure-listen" not in container["args"]
    volumes = {each["name"] for each in spec["volumes"]}
    for each in (*spec["containers"], *spec.get("initContainers", [])):
        assert {mount["name"] for mount in each["volumeMounts"]} <= volumes
