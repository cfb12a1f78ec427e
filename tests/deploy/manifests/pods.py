"""What must hold of each pod for itself. Each check yields what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.deploy.manifests.model import at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.manifests.model import Container, Pod, Tree

RESTRICTED_VOLUMES: Final = frozenset({
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
    "persistentVolumeClaim", "projected", "secret",
})  # fmt: skip
"""https://kubernetes.io/docs/concepts/security/pod-security-standards, restricted."""

_IN_THE_WAY: Final = frozenset({"authz-service", "envoy"})

_HOST_NAMESPACES: Final = ("hostNetwork", "hostPID", "hostIPC")
_CONFINED: Final = ("RuntimeDefault", "Localhost")


def restricted(pod: Pod) -> Iterator[str]:
    """Pod Security `restricted`, and a root file system that nobody can write to."""
    for container in pod.containers:
        for wrong in _not_restricted(container):
            yield f"{container}: {wrong}"


def restricted_host(pod: Pod) -> Iterator[str]:
    """Nothing of the node is shared: the part of `restricted` that concerns the whole pod."""
    for field in _HOST_NAMESPACES:
        if pod.spec.get(field):
            yield f"{pod}: {field} is on"
    for name, volume in pod.volumes.items():
        for kind in volume.keys() - {"name"} - RESTRICTED_VOLUMES:
            yield f"{pod}: volume {name} is a {kind}"
    if at(pod.spec, "securityContext", "sysctls"):
        yield f"{pod}: sysctls are set"


def _not_restricted(container: Container) -> Iterator[str]:
    security = container.security
    pod_security = at(container.pod.spec, "securityContext", default={})
    both = {**pod_security, **security}
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    if both.get("runAsUser") == 0:
        yield "runs as root"
    if at(both, "seccompProfile", "type") not in _CONFINED:
        yield "has no seccompProfile"
    if security.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if security.get("privileged") or at(security, "procMount") not in (None, "Default"):
        yield "is privileged"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem is not true"
    yield from _capabilities(security)
    if any("hostPort" in port for port in container.ports):
        yield "takes a port of the node"


def _capabilities(security: Tree) -> Iterator[str]:
    if "ALL" not in at(security, "capabilities", "drop", default=()):
        yield "keeps capabilities"
    if set(at(security, "capabilities", "add", default=())) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"


def token(pod: Pod) -> Iterator[str]:
    """No container has a token for the Kubernetes API that it did not ask for."""
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield f"{pod}: automountServiceAccountToken is not false"


def resources(pod: Pod) -> Iterator[str]:
    """CPU is asked for and not limited, as throttling makes Checks late; memory is both."""
    for container in pod.running:
        asked = at(container.tree, "resources", "requests", default={})
        limits = at(container.tree, "resources", "limits", default={})
        if not {"cpu", "memory"} <= asked.keys():
            yield f"{container}: requests no cpu and memory"
        if "memory" not in limits or "cpu" in limits:
            yield f"{container}: must limit memory, and not cpu"


def mounts(pod: Pod) -> Iterator[str]:
    """Every mount has a volume, every volume a mount; and what can change is no subPath."""
    used = set()
    for container in pod.containers:
        for mount in container.mounts:
            used.add(mount["name"])
            if mount["name"] not in pod.volumes:
                yield f"{container}: there is no volume {mount['name']}"
            elif "subPath" in mount and pod.volumes[mount["name"]].keys() & {"configMap", "secret"}:
                yield f"{container}: {mount['mountPath']} is a subPath, which never changes"
    for name in sorted(pod.volumes.keys() - used):
        yield f"{pod}: nobody mounts the volume {name}"


def writable(pod: Pod) -> Iterator[str]:
    """What comes from a ConfigMap or Secret is read-only; what can be written to has a limit."""
    for container in pod.containers:
        for mount in container.mounts:
            volume = pod.volumes.get(mount["name"], {})
            if volume.keys() & {"configMap", "secret"} and not mount.get("readOnly"):
                yield f"{container}: {mount['mountPath']} is not readOnly"
    for name, volume in pod.volumes.items():
        if "emptyDir" in volume and not at(volume, "emptyDir", "sizeLimit"):
            yield f"{pod}: emptyDir {name} has no sizeLimit"


def ports(pod: Pod) -> Iterator[str]:
    """No two ports have one name or number."""
    for key in ("name", "containerPort"):
        values = [port[key] for port in pod.ports if key in port]
        for value in sorted({str(each) for each in values if values.count(each) > 1}):
            yield f"{pod}: two ports are {value}"


def probes(pod: Pod) -> Iterator[str]:
    """Every container that stays is asked whether it is alive, at a port that it has.

    And whether it is ready, where requests or Checks go through it.
    """
    for container in pod.running:
        if "livenessProbe" not in container.probes:
            yield f"{container}: has no livenessProbe"
        if container.program in _IN_THE_WAY and "readinessProbe" not in container.probes:
            yield f"{container}: has no readinessProbe"
        for kind, probe in container.probes.items():
            port = at(probe, "httpGet", "port") or at(probe, "tcpSocket", "port")
            # A name is one of the container's own; a number may be another's in the pod.
            own = {each.get("name") for each in container.ports}
            if port is not None and port not in own and not _is_number_in(pod, port):
                yield f"{container}: {kind} asks at port {port}, which there is none of"


def _is_number_in(pod: Pod, port: str | int) -> bool:
    return isinstance(port, int) and pod.port(port) is not None


CHECKS: Final = (restricted, token, resources, mounts, writable, ports, probes)
