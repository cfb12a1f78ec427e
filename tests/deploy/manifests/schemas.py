"""What the schemas of Kubernetes say of a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

# Without types.
from kubernetes_validate import (  # type: ignore[import-untyped]
    SchemaNotFoundError,
    ValidationError,
    validate,
)

from tests.deploy.manifests.model import at

if TYPE_CHECKING:
    from tests.deploy.manifests.model import Resource, Tree

VERSIONS: Final = ("1.35", "1.36", "1.37")
"""Of Kubernetes: the three newest."""

CUSTOM: Final = frozenset(
    {
        "cert-manager.io",
        "gateway.envoyproxy.io",
        "gateway.networking.k8s.io",
        "monitoring.coreos.com",
        "networking.istio.io",
        "security.istio.io",
        "telemetry.istio.io",
    }
)
"""API groups of others, which Kubernetes has no schemas of."""

_STUB: Final[dict[str, Any]] = {
    "spec": {
        "selector": {"matchLabels": {"app": "any"}},
        "template": {
            "metadata": {"labels": {"app": "any"}},
            "spec": {"containers": [{"name": "any", "image": "any:1"}]},
        },
    },
}


def problem(resource: Resource, version: str) -> str | None:
    """What is wrong with *resource* in a version of Kubernetes; an unknown field is wrong, too."""
    if resource.group in CUSTOM:
        return None
    try:
        validate(dict(resource.document), version, strict=True)
    except ValidationError as error:
        where = ".".join(str(each) for each in error.path)
        return f"{resource} in {resource.origin}: {where}: {error.message}"
    except SchemaNotFoundError as error:
        return f"{resource} in {resource.origin}: {error.message}"
    return None


def completed(patch: Tree) -> dict[str, Any]:
    """Add to a patch of a workload what the least of a workload has; null takes a field away."""
    return _merged(_STUB, patch) if at(patch, "spec", "template") else dict(_without_nulls(patch))


def _merged(below: Tree, above: Tree) -> dict[str, Any]:
    both = below.keys() & above.keys()
    nested = {key for key in both if isinstance(below[key], dict) and isinstance(above[key], dict)}
    merged = {**below, **above, **{key: _merged(below[key], above[key]) for key in nested}}
    without: dict[str, Any] = _without_nulls(merged)
    return without


def _without_nulls(node: Any) -> Any:  # noqa: ANN401 - a node of parsed YAML
    if isinstance(node, dict):
        return {key: _without_nulls(each) for key, each in node.items() if each is not None}
    return [_without_nulls(each) for each in node] if isinstance(node, list) else node
