"""What an Envoy in a pod is configured to do, held against the pod."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import yaml

from authz_service.server.listen import UnixAddress
from tests.deploy.manifests.commands import listens_at, serves
from tests.deploy.manifests.model import at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.deploy.manifests.model import Bundle, Container, Resource, Tree

PROGRAM: Final = "envoy"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_OPTIONS: Final = frozenset({"-c", "--config-path"})


def agree(bundle: Bundle, services: Iterable[Resource]) -> Iterator[str]:
    """Every Envoy has the ports that it listens at, and finds what it asks; *services* are all."""
    known = list(services)
    for pod in bundle.pods:
        for container in pod.running:
            if container.program == PROGRAM:
                config = _config(bundle, container)
                if config is None:
                    yield f"{container}: its configuration is in no ConfigMap"
                    continue
                for wrong in (*_ports(container, config), *_clusters(container, config, known)):
                    yield f"{container}: {wrong}"


def _config(bundle: Bundle, container: Container) -> Tree | None:
    """Find the file that it is started with."""
    words = container.tree.get("args") or []
    path = next(after for word, after in pairwise(words) if word in _OPTIONS)
    mount = container.mount_of(path)
    volume = container.pod.volumes.get(mount["name"], {}) if mount else {}
    name = at(volume, "configMap", "name")
    found = bundle.find("ConfigMap", name, container.pod.workload.namespace) if name else None
    text = at(found.document, "data", PurePosixPath(path).name) if found else None
    return yaml.safe_load(text) if text else None


def _ports(container: Container, config: Tree) -> Iterator[str]:
    admin = at(config, "admin", "address", "socket_address", default={})
    if config.get("admin") and admin.get("address") not in _LOOPBACK:
        yield f"its admin port is at {admin.get('address')}, not on loopback"
    addresses = [
        at(listener, "address", "socket_address", default={})
        for listener in config["static_resources"]["listeners"]
    ]
    listens = {each["port_value"] for each in addresses if each["address"] not in _LOOPBACK}
    declared = {port["containerPort"] for port in container.ports}
    if listens != declared:
        yield f"listens at {sorted(listens)} and has the ports {sorted(declared)}"


def _clusters(container: Container, config: Tree, services: list[Resource]) -> Iterator[str]:
    for name, address in _endpoints(config):
        if "pipe" in address:
            yield from _pipe(container, name, address["pipe"]["path"])
            continue
        host, port = (address["socket_address"][key] for key in ("address", "port_value"))
        if host not in _LOOPBACK and not any(_is_at(each, host, port) for each in services):
            yield f"cluster {name}: there is no Service {host}:{port}"


def _endpoints(config: Tree) -> Iterator[tuple[str, dict[str, Any]]]:
    for cluster in config["static_resources"]["clusters"]:
        for locality in at(cluster, "load_assignment", "endpoints", default=()):
            for endpoint in locality["lb_endpoints"]:
                yield cluster["name"], endpoint["endpoint"]["address"]


def _pipe(container: Container, cluster: str, path: str) -> Iterator[str]:
    """Somebody in the pod listens there, in the same volume; and only Envoy reads it."""
    mount = container.mount_of(path)
    if mount is None:
        yield f"cluster {cluster}: {path} is in no volume"
        return
    if not mount.get("readOnly"):
        yield f"cluster {cluster}: it can put another socket at {path}"
    volume = container.pod.volumes.get(mount["name"], {})
    if "emptyDir" in volume and not any(_listens(each, path, mount) for each in _peers(container)):
        yield f"cluster {cluster}: nobody listens at {path}"


def _peers(container: Container) -> Iterator[Container]:
    return (each for each in container.pod.running if serves(each))


def _listens(peer: Container, path: str, mount: Tree) -> bool:
    address = listens_at(peer)
    theirs = peer.mount_of(path)
    there = isinstance(address, UnixAddress) and str(address.path) == path
    return there and theirs is not None and theirs["name"] == mount["name"]


def _is_at(service: Resource, host: str, port: int) -> bool:
    names = {f"{service.name}.{service.namespace}.svc{end}" for end in ("", ".cluster.local")}
    return host in names and any(each["port"] == port for each in service.spec.get("ports", ()))
