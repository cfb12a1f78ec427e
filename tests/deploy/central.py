"""The service for a whole cluster, as its manifests are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.deploy.kustomized import K8S, the, written

if TYPE_CHECKING:
    from collections.abc import Iterable

CENTRAL: Final = K8S / "central"
BASE: Final = CENTRAL / "base"
MUTUAL_TLS: Final = CENTRAL / "mutual-tls"
TEAM_POLICIES: Final = CENTRAL / "team-policies"
TEAMS: Final = CENTRAL / "teams"
NODE: Final = K8S / "node"
VARIANTS: Final = [CENTRAL, CENTRAL / "with-teams", NODE]
"""What a user applies."""

BASE_OBJECTS: Final = written(BASE)
WORKLOAD: Final = the(BASE_OBJECTS, "Deployment", "authz-service")
POD: Final[dict[str, Any]] = WORKLOAD["spec"]["template"]["spec"]
CONTAINER: Final[dict[str, Any]] = POD["containers"][0]

TLS_PATCH: Final[list[dict[str, Any]]] = yaml.safe_load((MUTUAL_TLS / "tls.yaml").read_text())
TLS_OPTIONS: Final[list[str]] = [
    each["value"] for each in TLS_PATCH if each["path"].endswith("/args/-")
]


def values(options: Iterable[str], name: str) -> list[str]:
    """What an option has been given, each time."""
    return [option.partition("=")[2] for option in options if option.startswith(f"--{name}=")]


def value(options: Iterable[str], name: str) -> str:
    """What an option has been given, once."""
    (found,) = values(options, name)
    return found
