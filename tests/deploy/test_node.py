"""One service on each node."""

from __future__ import annotations

from tests.deploy.central import NODE, value
from tests.deploy.kustomized import of_kind, put_together, the


def test_on_nodes_an_envoy_asks_the_instance_of_its_node() -> None:
    objects = put_together(NODE)
    for kind in ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert of_kind(objects, kind) == []
    (found,) = of_kind(objects, "Service")
    assert found["metadata"]["name"] == "authz-service"
    assert found["spec"]["internalTrafficPolicy"] == "Local"
    assert "clusterIP" not in found["spec"]


def test_on_nodes_a_new_instance_is_there_before_the_old_one_and_its_connections_end() -> None:
    spec = the(put_together(NODE), "DaemonSet", "authz-service")["spec"]
    assert spec["updateStrategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert not spec.keys() & {"strategy", "replicas"}
    arguments = spec["template"]["spec"]["containers"][0]["args"]
    age, grace = (float(value(arguments, name)) for name in ("max-connection-age", "grace"))
    assert age < grace / 2  # docs/limits.md
