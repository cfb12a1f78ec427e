"""docs/metrics.md has every metric as it is, and no other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.policy import load_policy
from authz_service.policy.files import FilesRead
from tests.deploy.expressions import wrong_with
from tests.policy.folder import KEY_SET, Folder, policy_text
from tests.support.measured import families, with_everything

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PAGE: Final = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
ROWS: Final = re.findall(
    r"^\| `((?:authz|process)_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \|", PAGE, re.MULTILINE
)
FAMILIES: Final = families(with_everything())
UNITS: Final = {"seconds": "_seconds", "bytes": "_bytes"}


def _exposed_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def _row_of(family: Metric) -> tuple[str, str, set[str]]:
    labels = {label for sample in family.samples for label in sample.labels} - {"le"}
    return _exposed_name(family), str(family.type), labels


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_metric_has_a_row_with_its_type_and_labels(family: Metric) -> None:
    rows = [(name, kind, set(re.findall(r"\w+", labels))) for name, kind, labels, _unit in ROWS]
    assert _row_of(family) in rows


def test_no_row_is_about_what_there_is_not_or_comes_twice() -> None:
    names = [name for name, *_rest in ROWS]
    assert sorted(names) == sorted(_exposed_name(family) for family in FAMILIES.values())


@pytest.mark.parametrize(("name", "kind", "labels", "unit"), ROWS)
def test_a_unit_is_in_the_name(name: str, kind: str, labels: str, unit: str) -> None:
    """As Prometheus has it for base units: seconds and bytes."""
    del kind, labels
    for word, suffix in UNITS.items():
        assert unit.startswith(word) == (suffix in f"{name}_"), name


@pytest.mark.parametrize("query", re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL))
def test_the_queries_of_the_page_ask_for_what_there_is(query: str) -> None:
    assert wrong_with(query) == []


def test_the_command_of_the_page_gives_the_hash(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "policy.d")
    folder.write(policy_text(issuer="jwks_file: jwks.json"))
    folder.write("version: 1\n", "more.yaml")
    folder.write(KEY_SET, "jwks.json")
    files = FilesRead()
    load_policy([folder.path], environment={}, files=files)
    (command,) = re.findall(r"^sha256sum .*$", PAGE, re.MULTILINE)
    printed = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert printed.split()[0] == files.hash
