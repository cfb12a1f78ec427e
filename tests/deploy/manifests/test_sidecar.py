"""The component adds two sidecars to whatever workload has the label, and changes nothing of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.deploy.manifests import agreement, sources
from tests.deploy.manifests.model import Bundle, Container, Pod, Resource, selects
from tests.deploy.manifests.test_agreement import wrong_with

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(sources.kustomize() is None, reason=sources.NO_KUSTOMIZE)

SIDECAR: Final = sources.DEPLOY / "k8s" / "sidecar"
OURS: Final = ["authz-service", "envoy"]

# All that somebody has to write.
KUSTOMIZATION: Final = """\
resources: [workloads.yaml]
components: [{components}]
configMapGenerator:
  - name: authz-policy
    files: [policy.yaml]
    options: {{disableNameSuffixHash: true}}
"""

OWN_ENVOY: Final = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
configMapGenerator:
  - {name: envoy, behavior: replace, files: [envoy.yaml]}
"""

WORKLOAD: Final = """\
apiVersion: apps/v1
kind: {kind}
metadata:
  name: {name}
  labels: {labels}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 600
      automountServiceAccountToken: true
      initContainers:
        - {{name: migration, image: "a:1"}}
      containers:
        - name: api
          image: a:1
          lifecycle: {{preStop: {{exec: {{command: [drain]}}}}}}
          volumeMounts: [{{name: own, mountPath: /own}}]
      volumes: [{{name: own, emptyDir: {{}}}}]
"""


def workload(kind: str, name: str, labels: str) -> str:
    return WORKLOAD.format(kind=kind, name=name, labels=labels)


LABELLED: Final = '{authz-service/sidecar: "true"}'
WORKLOADS: Final = "---\n".join([
    workload("Deployment", "deployment", LABELLED),
    workload("StatefulSet", "set", LABELLED),
    workload("DaemonSet", "daemons", LABELLED),
    workload("Deployment", "another", "{}"),
    workload("Deployment", "opted-out", '{authz-service/sidecar: "false"}'),
])  # fmt: skip


def render(directory: Path, *more: str, components: Sequence[str] = ()) -> Bundle:
    """Apply the component as somebody would in a repository of her own."""
    ours = os.path.relpath(SIDECAR / "component", directory)
    text = KUSTOMIZATION.format(components=", ".join([ours, *components])) + "".join(more)
    (directory / "kustomization.yaml").write_text(text, "utf-8")
    (directory / "workloads.yaml").write_text(WORKLOADS, "utf-8")
    (directory / "policy.yaml").write_text("version: 1\n", "utf-8")
    return sources.parse(sources.rendered(directory), "own")


def pod_of(bundle: Bundle, name: str) -> Pod:
    [pod] = [pod for pod in bundle.pods if pod.workload.name == name]
    return pod


def sample(name: str) -> Container:
    containers = pod_of(sources.bundle(SIDECAR), "shop").containers
    return next(container for container in containers if container.name == name)


def test_who_uses_it_writes_few_lines() -> None:
    assert len(KUSTOMIZATION.splitlines()) < 10


@pytest.mark.parametrize("name", ["deployment", "set", "daemons"])
def test_a_workload_with_the_label_gets_the_sidecars_before_all_else(
    name: str, tmp_path: Path
) -> None:
    containers = pod_of(render(tmp_path), name).containers
    assert [each.name for each in containers] == [*OURS, "migration", "api"]
    assert [each.tree.get("restartPolicy") for each in containers[:2]] == ["Always", "Always"]


@pytest.mark.parametrize("name", ["another", "opted-out"])
def test_a_workload_without_the_label_is_left_alone(name: str, tmp_path: Path) -> None:
    pod = pod_of(render(tmp_path), name)
    assert pod.template == pod_of(sources.parse(WORKLOADS, "before"), name).template


def test_nothing_of_the_pod_that_was_there_is_changed(tmp_path: Path) -> None:
    before = pod_of(sources.parse(WORKLOADS, "before"), "deployment")
    after = pod_of(render(tmp_path), "deployment")
    added = {"initContainers", "volumes"}
    assert {key: after.spec[key] for key in after.spec.keys() - added} == {
        key: before.spec[key] for key in before.spec.keys() - added
    }
    for key in added:
        assert all(each in after.spec[key] for each in before.spec[key])
    assert after.labels == {**before.labels, "authz-service/sidecar": "true"}
    assert after.workload.spec["selector"] == before.workload.spec["selector"]


def test_two_workloads_of_one_namespace_can_have_policies_of_their_own(tmp_path: Path) -> None:
    bundle = render(tmp_path, "nameSuffix: -shop\n")
    volumes = pod_of(bundle, "deployment-shop").volumes
    assert volumes["authz-policy"]["configMap"]["name"] == "authz-policy-shop"
    assert not [wrong for wrong in wrong_with(bundle, ()) if "ConfigMap" in wrong]


def test_a_policy_is_taken_in_place_and_a_configuration_of_envoy_by_a_rollout() -> None:
    volumes = pod_of(sources.bundle(SIDECAR), "shop").volumes
    assert volumes["authz-policy"]["configMap"]["name"] == "authz-policy"
    assert volumes["envoy-config"]["configMap"]["name"].startswith("envoy-")


def test_the_configuration_of_envoy_can_be_one_of_the_users_own(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "envoy.yaml").write_text("admin: {}\n", "utf-8")
    (own / "kustomization.yaml").write_text(OWN_ENVOY, "utf-8")
    bundle = render(tmp_path, components=["own"])
    configs = {each.name: each for each in bundle.of("ConfigMap")}
    [name] = configs.keys() - {"authz-policy"}
    assert configs[name].document["data"] == {"envoy.yaml": "admin: {}\n"}
    assert pod_of(bundle, "deployment").volumes["envoy-config"]["configMap"]["name"] == name


def test_a_service_finds_envoy_whatever_the_ports_of_the_workload_are_called() -> None:
    """Kubernetes looks for a port's name in the pod's own containers before the sidecars."""
    bundle = sources.bundle(SIDECAR)
    [service] = bundle.of("Service")
    [port] = service.spec["ports"]
    assert port["targetPort"] not in {"http", "https", "web", "api"}
    named = {
        container.name
        for pod in bundle.pods
        for container in pod.containers
        for each in container.ports
        if each["name"] == port["targetPort"]
    }
    assert named == {"envoy"}


def test_prometheus_finds_every_pod_with_the_sidecars(tmp_path: Path) -> None:
    ours = os.path.relpath(SIDECAR / "pod-monitor", tmp_path)
    bundle = render(tmp_path, components=[ours])
    assert list(agreement.monitors(bundle, bundle.resources)) == []
    [monitor] = bundle.of("PodMonitor")
    for name in ("deployment", "set", "daemons"):
        assert selects(monitor.spec["selector"], pod_of(bundle, name).labels)
    [endpoint] = monitor.spec["podMetricsEndpoints"]
    [job] = [each for each in endpoint["relabelings"] if each["targetLabel"] == "job"]
    assert "authz" in job["separator"]  # as AuthzInstanceDown wants it


def test_the_socket_is_in_a_volume_that_the_sidecars_alone_mount() -> None:
    pod = pod_of(sources.bundle(SIDECAR), "shop")
    mounting = {
        container.name: mount.get("readOnly", False)
        for container in pod.containers
        for mount in container.mounts
        if mount["name"] == "authz-socket"
    }
    assert mounting == {"authz-service": False, "envoy": True}


@pytest.mark.parametrize("name", OURS)
def test_a_sidecar_has_no_token_even_where_the_workload_has_one(name: str) -> None:
    """Kubernetes mounts none where something is mounted."""
    mount = sample(name).mount_of("/var/run/secrets/kubernetes.io/serviceaccount")
    assert mount is not None
    assert mount["name"] == "authz-no-token"


def test_a_sidecar_starts_while_an_issuer_is_down_and_is_not_restarted_for_it() -> None:
    paths = {kind: probe["httpGet"]["path"] for kind, probe in sample(OURS[0]).probes.items()}
    assert paths == {
        "startupProbe": "/livez", "readinessProbe": "/readyz", "livenessProbe": "/livez",
    }  # fmt: skip


def test_the_sample_policy_lets_kubelet_in() -> None:
    probe = sample("api").probes["readinessProbe"]["httpGet"]
    [policy] = sources.documents(SIDECAR / "policy" / "policy.yaml")
    [resource] = policy["resources"]
    methods = {route["path"]: route["methods"] for route in resource["routes"]}
    assert methods[probe["path"]] == {"GET": "public"}
    assert {"name": "Host", "value": resource["hosts"][0]} in probe["httpHeaders"]
    assert probe["port"] == sample("envoy").pod.port("envoy")


def test_the_sample_policy_is_that_of_the_readme() -> None:
    policy = (SIDECAR / "policy" / "policy.yaml").read_text("utf-8")
    assert f"```yaml\n{policy}```" in (sources.REPOSITORY / "README.md").read_text("utf-8")


def test_the_api_is_where_envoy_looks_for_it() -> None:
    config: dict[str, Any] = yaml.safe_load((sources.ENVOY / "unix-socket.yaml").read_text("utf-8"))
    [api] = [each for each in config["static_resources"]["clusters"] if each["name"] == "api"]
    [endpoint] = api["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    assert address == {"address": "127.0.0.1", "port_value": 9000}
    command = sample("api").tree["command"]
    assert command == ["python", "-m", "authz_service.demo.upstream"]  # whose default it is


def test_only_the_api_and_prometheus_ports_are_open_to_the_network() -> None:
    [policy] = sources.bundle(SIDECAR).of("NetworkPolicy")
    anybody, prometheus = policy.spec["ingress"]
    pod = sample("envoy").pod
    assert [port["port"] for port in anybody["ports"]] == [pod.port("envoy")]
    assert "from" not in anybody
    assert [port["port"] for port in prometheus["ports"]] == [pod.port("admin")]
    assert isinstance(policy, Resource)
    assert prometheus["from"]
