"""Where manifests are: the files below deploy/ and envoy/, and what kustomize makes of them."""

from __future__ import annotations

import functools
import shutil
import subprocess
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from authz_service.policy.files import TEST_ENDING
from tests.deploy.manifests.model import Bundle, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY: Final = Path(__file__).parents[3]
DEPLOY: Final = REPOSITORY / "deploy"
ENVOY: Final = REPOSITORY / "envoy"

KUSTOMIZATION: Final = "kustomization.yaml"
NO_KUSTOMIZE: Final = "neither kubectl nor kustomize is here"


class Role(Enum):
    """What a YAML file is. Each has checks of its own."""

    MANIFEST = "manifest"
    PATCH = "patch"
    KUSTOMIZATION = "kustomization"
    POLICY = "policy"
    POLICY_TESTS = "tests of a policy"
    ENVOY = "configuration of Envoy"
    ALERT_RULES = "alert rules of Prometheus"
    MESH = "mesh configuration of Istio"


_ROLES: Final = {
    "static_resources": Role.ENVOY,
    "groups": Role.ALERT_RULES,
    "meshConfig": Role.MESH,
    "version": Role.POLICY,
}
"""What a file without a kind is, by a key that only such a file has."""


class UnknownFileError(Exception):
    """A YAML file that no check looks at."""


def yaml_files(directory: Path = DEPLOY) -> list[Path]:
    """Every YAML file in and below *directory*."""
    return sorted(path for path in directory.rglob("*") if path.suffix in {".yaml", ".yml"})


def role(path: Path) -> Role:
    """Say what a file is. Raises UnknownFileError."""
    if path.name == KUSTOMIZATION:
        return Role.KUSTOMIZATION
    if path.stem.endswith(TEST_ENDING):
        return Role.POLICY_TESTS
    if path.resolve() in _patches():
        return Role.PATCH
    contents = documents(path)
    if contents and all("kind" in each for each in contents):
        return Role.MANIFEST
    for key, found in _ROLES.items():
        if len(contents) == 1 and key in contents[0]:
            return found
    raise UnknownFileError(f"{path}: no check knows what this is")


def files(wanted: Role, directory: Path = DEPLOY) -> list[Path]:
    """Every file of one role."""
    return [path for path in yaml_files(directory) if role(path) is wanted]


@functools.cache
def documents(path: Path) -> tuple[Any, ...]:
    """Read the documents of a file: mappings, but for a patch, which may be a list of steps."""
    return tuple(loaded(path.read_text("utf-8")))


def loaded(text: str) -> Iterator[Any]:
    """Read the documents in *text*; many times as fast as `safe_load_all`."""
    return (each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each is not None)


def resources(path: Path) -> list[Resource]:
    """Read the resources of a manifest or patch; a patch that is a list of steps has none."""
    return [Resource(each, relative(path)) for each in documents(path) if isinstance(each, dict)]


def relative(path: Path) -> str:
    """Name a file as one does who stands in the repository."""
    return path.relative_to(REPOSITORY).as_posix()


@functools.cache
def kustomizations() -> tuple[Path, ...]:
    """The directories that can be applied: a component, or a base, is only part of one."""
    found = DEPLOY.rglob(KUSTOMIZATION)
    whole = (path for path in found if _of(path)["kind"] == "Kustomization")
    return tuple(sorted(path.parent for path in whole if path.parent.name != "base"))


def kustomize() -> tuple[str, ...] | None:
    """The command that renders a directory."""
    if shutil.which("kubectl"):
        return ("kubectl", "kustomize")
    return ("kustomize", "build") if shutil.which("kustomize") else None


@functools.cache
def rendered(directory: Path) -> str:
    """What would be applied, as YAML. Raises CalledProcessError."""
    command = kustomize()
    assert command is not None
    done = subprocess.run(
        [*command, str(directory)], check=False, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def bundle(directory: Path) -> Bundle:
    """What one kustomization would apply."""
    return parse(rendered(directory), relative(directory))


def parse(text: str, name: str) -> Bundle:
    """Read *text*, the resources of one bundle."""
    return Bundle(name, tuple(Resource(each, name) for each in loaded(text)))


def loose_bundles() -> list[Bundle]:
    """The manifests that no kustomization names, by their directories: those are applied as is."""
    loose: dict[Path, list[Resource]] = {}
    for path in files(Role.MANIFEST):
        if path.resolve() not in _named():
            loose.setdefault(path.parent, []).extend(resources(path))
    return [Bundle(relative(directory), tuple(each)) for directory, each in loose.items()]


def policy_directories() -> list[Path]:
    """Each directory that holds policies: one ConfigMap is made of it."""
    return sorted({path.parent for path in files(Role.POLICY)})


def shared_issuers() -> list[Path]:
    """The files of issuers for policies that have none of their own: those of single teams."""
    return [path for path in files(Role.POLICY) if _of(path).keys() == {"version", "issuers"}]


@functools.cache
def _of(path: Path) -> dict[str, Any]:
    document: dict[str, Any]
    [document] = documents(path)
    return document


def _every_kustomization() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in [*DEPLOY.rglob(KUSTOMIZATION), *ENVOY.rglob(KUSTOMIZATION)]:
        yield path.parent, _of(path)


@functools.cache
def _named() -> frozenset[Path]:
    return frozenset(
        (directory / str(entry)).resolve()
        for directory, content in _every_kustomization()
        for entry in content.get("resources", ())
    )


@functools.cache
def _patches() -> frozenset[Path]:
    return frozenset(
        (directory / str(entry["path"])).resolve()
        for directory, content in _every_kustomization()
        for entry in content.get("patches", ())
        if "path" in entry
    )
