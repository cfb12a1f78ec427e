"""Each file below deploy/ and envoy/ for itself: style, schemas, policies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import CliRunner

from authz_service.cli.main import main
from tests.deploy.manifests import sources
from tests.deploy.manifests.model import Resource
from tests.deploy.manifests.schemas import CUSTOM, VERSIONS, completed, problem
from tests.deploy.manifests.sources import Role

EACH_VERSION: Final = pytest.mark.parametrize("version", VERSIONS)
LINTER: Final = (sys.executable, "-m", "yamllint", "--strict", "--format", "parsable")


def wrong_style(*paths: Path) -> str:
    done = subprocess.run(
        [*LINTER, *map(str, paths)],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
        cwd=sources.REPOSITORY,  # where its configuration is
    )
    return done.stdout + done.stderr


def test_yaml_is_written_as_careful_readers_want_it() -> None:
    assert wrong_style(*map(Path, ("deploy", "envoy"))) == ""


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: 1\na: 2\n", "key-duplicates"),
        ("a: yes\n", "truthy"),
        ("a:\n", "empty-values"),
        ("a: 1 \n", "trailing-spaces"),
        ("a: {b: 1}\nc: { d: 1 }\n", "braces"),
        (f"a: {'b ' * 50}\n", "line-length"),
    ],
)
def test_a_trap_of_yaml_would_be_noticed(text: str, rule: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text, "utf-8")
    assert f"({rule})" in wrong_style(file)


@pytest.mark.parametrize("path", sources.yaml_files(), ids=sources.relative)
def test_there_is_a_check_for_every_file(path: Path) -> None:
    assert sources.role(path) in Role


def test_a_file_that_no_check_knows_would_be_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("something: else\n", "utf-8")
    with pytest.raises(sources.UnknownFileError):
        sources.role(file)


@EACH_VERSION
@pytest.mark.parametrize("path", sources.files(Role.MANIFEST), ids=sources.relative)
def test_a_manifest_is_what_kubernetes_takes(path: Path, version: str) -> None:
    found = [problem(resource, version) for resource in sources.resources(path)]
    assert [each for each in found if each] == []


@EACH_VERSION
@pytest.mark.parametrize("path", sources.files(Role.PATCH), ids=sources.relative)
def test_a_patch_is_what_kubernetes_takes(path: Path, version: str) -> None:
    """As part of the least workload that it can be a patch of."""
    patches = [each for each in sources.documents(path) if isinstance(each, Mapping)]
    whole = [Resource(completed(each), sources.relative(path)) for each in patches]
    assert [each for each in (problem(resource, version) for resource in whole) if each] == []


@EACH_VERSION
@pytest.mark.skipif(sources.kustomize() is None, reason=sources.NO_KUSTOMIZE)
@pytest.mark.parametrize("directory", sources.kustomizations(), ids=sources.relative)
def test_what_a_kustomization_makes_is_what_kubernetes_takes(directory: Path, version: str) -> None:
    made = sources.bundle(directory).resources
    assert made
    assert [each for each in (problem(resource, version) for resource in made) if each] == []


@EACH_VERSION
@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"apiVersion": "v1", "kind": "Service", "spec": {"port": []}}, "port"),
        ({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": "x"}]}}, "ports.0"),
        ({"apiVersion": "v1", "kind": "Servce"}, "find schema"),
        ({"apiVersion": "apps/v2", "kind": "Deployment"}, "find schema"),
        ({"apiVersion": "example.com/v1", "kind": "Thing"}, "find schema"),
    ],
)
def test_what_kubernetes_would_not_take_would_be_noticed(
    document: dict[str, object], wrong: str, version: str
) -> None:
    assert wrong in str(problem(Resource(document, "a.yaml"), version))


def test_a_broken_patch_would_be_noticed() -> None:
    spec = {"initContainers": [{"name": "a", "restartPolcy": "Always"}]}
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": spec}}}
    assert "restartPolcy" in str(problem(Resource(completed(patch), "a.yaml"), VERSIONS[0]))


def test_kinds_of_others_are_let_through_by_their_group_alone() -> None:
    assert not any(group.endswith((".k8s.io", "apps")) for group in CUSTOM - {_GATEWAY})


_GATEWAY: Final = "gateway.networking.k8s.io"  # not part of Kubernetes for all its name


def lint(directory: Path, *policies: Path) -> str:
    """What `authz-service lint` has to say, if anything.

    Where the platform has the issuers and teams the resources, of the half that is not here only
    its absence could be said: such a policy is asked for errors alone, with the issuers.
    """
    fields = {field for path in policies for field in yaml.safe_load(path.read_text("utf-8"))}
    options = ["--strict"] if {"issuers", "resources"} <= fields else []
    others = [] if "issuers" in fields else [str(path) for path in sources.shared_issuers()]
    result = CliRunner().invoke(main, ["lint", *options, *others, str(directory)])
    return "" if result.exit_code == 0 else result.output


@pytest.mark.parametrize("directory", sources.policy_directories(), ids=sources.relative)
def test_lint_has_nothing_to_say_of_a_policy(directory: Path) -> None:
    policies = [path for path in sources.files(Role.POLICY) if path.parent == directory]
    assert lint(directory, *policies) == ""


@pytest.mark.parametrize("tests", sources.files(Role.POLICY_TESTS), ids=sources.relative)
def test_the_tests_of_a_policy_pass_and_reach_all_of_it(tests: Path) -> None:
    result = CliRunner().invoke(main, ["test", "--min-coverage", "100", str(tests)])
    assert result.exit_code == 0, result.output


@pytest.mark.skipif(sources.kustomize() is None, reason=sources.NO_KUSTOMIZE)
@pytest.mark.parametrize("directory", sources.kustomizations(), ids=sources.relative)
def test_lint_has_nothing_to_say_of_the_policy_that_is_applied(
    directory: Path, tmp_path: Path
) -> None:
    """All ConfigMaps together, as they are for one service."""
    written = [
        _write(tmp_path / f"{config.name}-{name}", text)
        for config in sources.bundle(directory).of("ConfigMap")
        for name, text in config.document.get("data", {}).items()
        if "version: 1" in text.splitlines()
    ]
    assert not written or lint(tmp_path, *written) == ""


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path
