"""What must hold between resources that are applied together. Each check yields what is wrong."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.deploy.manifests import commands, pods
from tests.deploy.manifests.model import at, selects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.deploy.manifests.model import Bundle, Container, Pod, Resource, Tree

VERSION: Final = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))[
    "project"
]["version"]
"""Of the project, and so of its image."""

_MONITORS: Final = {"ServiceMonitor": "endpoints", "PodMonitor": "podMetricsEndpoints"}
_RESTRICTED: Final = "pod-security.kubernetes.io/enforce"
_OF_THE_MESH: Final = frozenset({15008})
"""A pod in an ambient mesh has this port of ztunnel's, whatever its containers have."""


def workloads(bundle: Bundle) -> Iterator[str]:
    """Every pod is right for itself, and its workload finds it again."""
    for pod in bundle.pods:
        for check in (*pods.CHECKS, commands.usage):
            yield from check(pod)
        if _security_level(bundle, pod.workload.namespace) == "restricted":
            yield from pods.restricted_host(pod)
        selector = pod.workload.spec.get("selector")
        if selector and pod.workload.kind != "Job" and not selects(selector, pod.labels):
            yield f"{pod}: its selector is not that of its pods"


def _security_level(bundle: Bundle, namespace: str | None) -> str:
    """What the namespace enforces, where it is there; what has no namespace asks for the most."""
    found = bundle.find("Namespace", namespace, None) if namespace else None
    return str(found.labels.get(_RESTRICTED, "none")) if found else "restricted"


def namespaces(bundle: Bundle) -> Iterator[str]:
    """A namespace that pods run in says how much it lets them."""
    for namespace in bundle.of("Namespace"):
        if _RESTRICTED not in namespace.labels:
            yield f"{namespace}: has no label {_RESTRICTED}"


def services(bundle: Bundle) -> Iterator[str]:
    """A Service finds pods, and its ports are theirs, by name."""
    for service in bundle.of("Service"):
        if "selector" not in service.spec:
            continue
        selected = bundle.selected(service.spec["selector"], service.namespace)
        if not selected:
            yield f"{service}: selects no pod"
        for pod in selected:
            for port in service.spec["ports"]:
                target = port.get("targetPort")
                if not isinstance(target, str) or pod.port(target) is None:
                    yield f"{service}: {pod} has no port that is named {target}"


def network_policies(bundle: Bundle) -> Iterator[str]:
    """A NetworkPolicy finds pods, and lets traffic in at ports that they have."""
    for policy in bundle.of("NetworkPolicy"):
        selected = bundle.selected(policy.spec["podSelector"], policy.namespace)
        if not selected:
            yield f"{policy}: selects no pod"
        for pod in selected if policy.spec["podSelector"] else ():
            yield from _open_ports(policy, pod)


def _open_ports(policy: Resource, pod: Pod) -> Iterator[str]:
    for rule in policy.spec.get("ingress", ()):
        if not rule.get("ports"):
            yield f"{policy}: lets in to every port"
        for port in rule.get("ports", ()):
            if pod.port(port["port"]) is None and port["port"] not in _OF_THE_MESH:
                yield f"{policy}: {pod} has no port {port['port']}"


def budgets_and_scalers(bundle: Bundle) -> Iterator[str]:
    """What limits or scales a workload finds it."""
    for budget in bundle.of("PodDisruptionBudget"):
        if not bundle.selected(budget.spec["selector"], budget.namespace):
            yield f"{budget}: selects no pod"
    for scaler in bundle.of("HorizontalPodAutoscaler"):
        target = scaler.spec["scaleTargetRef"]
        workload = bundle.find(target["kind"], target["name"], scaler.namespace)
        if workload is None:
            yield f"{scaler}: there is no {target['kind']} {target['name']}"
        elif "replicas" in workload.spec:
            yield f"{scaler}: {workload} has replicas, which every apply would set again"


def monitors(bundle: Bundle, everywhere: Iterable[Resource]) -> Iterator[str]:
    """A ServiceMonitor or PodMonitor of ours scrapes ports that there are."""
    known = list(everywhere)
    for monitor in bundle.of(*_MONITORS):
        selector = monitor.spec["selector"]
        names = {name for each in known for name in _scrapable(monitor.kind, selector, each)}
        for endpoint in monitor.spec[_MONITORS[monitor.kind]]:
            if endpoint["port"] not in names:
                yield f"{monitor}: there is no port {endpoint['port']} to scrape"


def _scrapable(kind: str, selector: Tree, resource: Resource) -> Iterator[str]:
    pod = resource.pod
    if kind == "PodMonitor" and pod is not None and selects(selector, pod.labels):
        yield from (port["name"] for port in pod.ports if "name" in port)
    if kind == "ServiceMonitor" and resource.kind == "Service":
        found = selects(selector, resource.labels)
        yield from (port["name"] for port in resource.spec["ports"] if found)


def references(bundle: Bundle) -> Iterator[str]:
    """Every ConfigMap, Secret, ServiceAccount and PriorityClass that a pod names is there."""
    for pod in bundle.pods:
        for kind, name in _named(pod):
            if not _is_there(bundle, kind, name, pod.workload.namespace):
                yield f"{pod}: there is no {kind} {name}"


def _named(pod: Pod) -> Iterator[tuple[str, str]]:
    for volume in pod.volumes.values():
        sources = [volume, *at(volume, "projected", "sources", default=())]
        for source in sources:
            yield from _sources(source, configMap="ConfigMap", secret="Secret")
    for container in pod.containers:
        for source in container.tree.get("envFrom") or ():
            yield from _sources(source, configMapRef="ConfigMap", secretRef="Secret")
        for variable in container.tree.get("env") or ():
            value = variable.get("valueFrom", {})
            yield from _sources(value, configMapKeyRef="ConfigMap", secretKeyRef="Secret")
    if "serviceAccountName" in pod.spec:
        yield "ServiceAccount", pod.spec["serviceAccountName"]


def _sources(source: Tree, **kinds: str) -> Iterator[tuple[str, str]]:
    for field, kind in kinds.items():
        given = source.get(field)
        if given is not None and not given.get("optional"):
            yield kind, given.get("name") or given["secretName"]


def _is_there(bundle: Bundle, kind: str, name: str, namespace: str | None) -> bool:
    if bundle.find(kind, name, namespace):
        return True
    certificates = (each for each in bundle.of("Certificate") if each.namespace == namespace)
    return kind == "Secret" and any(each.spec["secretName"] == name for each in certificates)


def images(containers: Iterable[Container]) -> Iterator[str]:
    """An image has a tag that says which; one alone wherever it is named; and ours is this one."""
    tags: dict[str, set[str]] = defaultdict(set)
    for container in containers:
        name, _, tag = container.image.partition(":")
        if not tag or tag == "latest":
            yield f"{container}: {container.image} may be any version"
        if "." in name.partition("/")[0]:
            yield f"{container}: {container.image} names a registry"
        tags[name].add(tag)
    for name, different in tags.items():
        if len(different) > 1:
            yield f"{name} is {' and '.join(sorted(different))}"
    if tags.get("authz-service", {VERSION}) != {VERSION}:
        yield f"authz-service is not {VERSION}"


CHECKS: Final = (
    workloads, namespaces, services, network_policies, budgets_and_scalers, references,
)  # fmt: skip
