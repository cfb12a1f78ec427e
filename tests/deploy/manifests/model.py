"""Resources of Kubernetes, as far as the checks look into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Tree = Mapping[str, Any]

_TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where each kind of workload has its pod."""


def at(tree: Any, *path: str, default: Any = None) -> Any:  # noqa: ANN401 - a node of parsed YAML
    """Follow *path* into *tree*; *default* where there is none, or null."""
    for key in path:
        if not isinstance(tree, Mapping) or tree.get(key) is None:
            return default
        tree = tree[key]
    return tree


def selects(selector: Tree, labels: Tree) -> bool:
    """Whether a label selector takes something with these *labels*; an empty one takes all."""
    if not {"matchLabels", "matchExpressions"} & selector.keys():
        return selector.items() <= labels.items()
    exact = at(selector, "matchLabels", default={}).items() <= labels.items()
    return exact and all(
        _holds(expression, labels) for expression in at(selector, "matchExpressions", default=())
    )


def _holds(expression: Tree, labels: Tree) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", ())
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


@dataclass(frozen=True)
class Resource:
    """One document of a manifest. *origin* says where it stands."""

    document: Tree
    origin: str

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return str(self.document["apiVersion"]).rpartition("/")[0]

    @property
    def name(self) -> str:
        return str(at(self.document, "metadata", "name"))

    @property
    def namespace(self) -> str | None:
        namespace: str | None = at(self.document, "metadata", "namespace")
        return namespace

    @property
    def labels(self) -> Tree:
        labels: Tree = at(self.document, "metadata", "labels", default={})
        return labels

    @property
    def spec(self) -> Tree:
        spec: Tree = at(self.document, "spec", default={})
        return spec

    @property
    def pod(self) -> Pod | None:
        """The pod that it makes, if it makes any."""
        path = _TEMPLATES.get(self.kind)
        return None if path is None else Pod(self, at(self.document, *path, default={}))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Pod:
    """A pod's template, and the workload that makes it."""

    workload: Resource
    template: Tree

    @property
    def labels(self) -> Tree:
        labels: Tree = at(self.template, "metadata", "labels", default={})
        return labels

    @property
    def spec(self) -> Tree:
        spec: Tree = at(self.template, "spec", default={})
        return spec

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """All of them, in the order in which they start."""
        kinds = ("initContainers", "containers")
        return tuple(Container(self, each) for kind in kinds for each in self.spec.get(kind) or ())

    @cached_property
    def running(self) -> tuple[Container, ...]:
        """Those that stay: not the init containers that come to an end before."""
        ending = [each for each in self.spec.get("initContainers") or () if _ends(each)]
        return tuple(each for each in self.containers if each.tree not in ending)

    @cached_property
    def volumes(self) -> dict[str, Tree]:
        return {volume["name"]: volume for volume in self.spec.get("volumes") or ()}

    @cached_property
    def ports(self) -> tuple[Tree, ...]:
        return tuple(port for container in self.running for port in container.ports)

    def port(self, wanted: str | int) -> int | None:
        """The number of a container port, by its name or number."""
        for port in self.ports:
            if wanted in (port.get("name"), port["containerPort"]):
                return int(port["containerPort"])
        return None

    def __str__(self) -> str:
        return str(self.workload)


def _ends(init_container: Tree) -> bool:
    return init_container.get("restartPolicy") != "Always"


@dataclass(frozen=True)
class Container:
    """A container of a pod."""

    pod: Pod
    tree: Tree

    @property
    def name(self) -> str:
        return str(self.tree["name"])

    @property
    def image(self) -> str:
        return str(self.tree.get("image", ""))

    @property
    def program(self) -> str:
        """The image without its tag and where it is kept: `envoy`."""
        return self.image.rpartition("/")[2].partition(":")[0]

    @property
    def ports(self) -> tuple[Tree, ...]:
        return tuple(self.tree.get("ports") or ())

    @property
    def mounts(self) -> tuple[Tree, ...]:
        return tuple(self.tree.get("volumeMounts") or ())

    @property
    def probes(self) -> dict[str, Tree]:
        kinds = ("startupProbe", "readinessProbe", "livenessProbe")
        return {kind: self.tree[kind] for kind in kinds if kind in self.tree}

    @property
    def security(self) -> Tree:
        security: Tree = self.tree.get("securityContext") or {}
        return security

    @property
    def environment(self) -> dict[str, str]:
        """The variables whose value stands there."""
        variables = self.tree.get("env") or ()
        return {each["name"]: each["value"] for each in variables if "value" in each}

    def mount_of(self, path: str) -> Tree | None:
        """Where a file or directory comes from: the innermost mount around it."""
        around = [each for each in self.mounts if f"{path}/".startswith(f"{each['mountPath']}/")]
        return max(around, key=lambda each: len(each["mountPath"]), default=None)

    def __str__(self) -> str:
        return f"{self.pod}: {self.name}"


@dataclass(frozen=True)
class Bundle:
    """What is applied together."""

    name: str
    resources: tuple[Resource, ...]

    def of(self, *kinds: str) -> Iterator[Resource]:
        return (each for each in self.resources if each.kind in kinds)

    @property
    def pods(self) -> Iterator[Pod]:
        return (each.pod for each in self.resources if each.pod is not None)

    def selected(self, selector: Tree, namespace: str | None) -> list[Pod]:
        """The pods that a selector of something in *namespace* takes."""
        return [
            pod
            for pod in self.pods
            if pod.workload.namespace == namespace and selects(selector, pod.labels)
        ]

    def find(self, kind: str, name: str, namespace: str | None) -> Resource | None:
        for each in self.of(kind):
            if (each.name, each.namespace) == (name, namespace):
                return each
        return None

    def __str__(self) -> str:
        return self.name
