"""Manifests: as they are written, and as kustomize puts them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.deploy.manifests import sources
from tests.deploy.manifests.sources import DEPLOY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

K8S: Final = DEPLOY / "k8s"

Manifest = dict[str, Any]


def written(*paths: Path) -> list[Manifest]:
    """Every object in *paths*, files or directories with all that is below them."""
    files = sorted(
        file for path in paths for file in ([path] if path.is_file() else path.rglob("*.yaml"))
    )
    documents = (each for file in files for each in sources.loaded(file.read_text("utf-8")))
    return [each for each in documents if isinstance(each, dict) and "kind" in each]


def put_together(directory: Path) -> list[Manifest]:
    """What `kubectl apply -k` of *directory* would apply. Skips the test without a kubectl."""
    if sources.kustomize() is None:
        pytest.skip(sources.NO_KUSTOMIZE)
    return list(sources.loaded(sources.rendered(directory)))


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [each for each in manifests if each["kind"] == kind]


def the(manifests: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """The only one of that kind and name."""
    (found,) = [each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name]
    return found


def namespace_of(manifest: Mapping[str, Any]) -> str:
    """The namespace it is in. Fails where it does not say."""
    return str(manifest["metadata"]["namespace"])
