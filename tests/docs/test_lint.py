"""What docs/lint.md says is so, and the policies that the project shows pass its own lint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.openapi import CODES
from authz_service.policy.lint import RULES, lint
from authz_service.policy.loader import load

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parents[2]


def _examples(*documents: str) -> Iterable[str]:
    for document in documents:
        text = (ROOT / document).read_text("utf-8")
        yield from re.findall(r"```yaml\n(version: 1\n.*?)```", text, re.DOTALL)


def test_the_table_has_every_code_in_the_order_of_the_rules() -> None:
    text = (ROOT / "docs" / "lint.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \| [A-Z`]", text, re.MULTILINE) == [*RULES, *CODES]


@pytest.mark.parametrize("example", list(_examples("README.md", "docs/policy.md")))
def test_the_policies_of_the_documents_pass(example: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(example, "utf-8")
    assert lint(load([file], environment={})) == ()


def test_of_the_policy_of_the_demo_only_the_audit_that_it_shows_is_told() -> None:
    file = ROOT / "authz_service" / "demo" / "policy.yaml"
    environment = {"DEMO_ISSUER": "http://127.0.0.1:3001/oidc"}
    findings = lint(load([file], environment=environment))
    assert [finding.code for finding in findings] == ["audit"]
