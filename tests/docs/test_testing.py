"""What docs/testing.md says of tests of a policy is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from authz_service.cli.main import main
from authz_service.policy.testing.fields import CaseFields, FileFields, TokenFields

ROOT = Path(__file__).parents[2]
EXAMPLE = re.findall(
    r"```yaml\n(.*?)```", (ROOT / "docs" / "testing.md").read_text("utf-8"), re.DOTALL
)[0]
POLICY = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)[0]


def test_the_example_passes_against_the_policy_of_the_readme(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "shop_test.yaml").write_text(EXAMPLE, "utf-8")
    result = CliRunner().invoke(main, ["test", "--quiet", str(tmp_path)])
    assert (result.exit_code, result.stdout[:10]) == (0, "11 passed ")


def test_the_example_has_every_field() -> None:
    example: dict[str, Any] = yaml.safe_load(EXAMPLE)
    tests = example["tests"]
    assert set(example) == set(FileFields.model_fields)
    fields = {name for test in tests for name in test} | {"host", "headers"}
    assert fields == set(CaseFields.model_fields)
    tokens = [example["tokens"]["reader"], *tests[1]["tokens"]]
    named = {name for token in tokens for name in token} | {"without_header"}
    assert named - {"token", "expect"} == set(TokenFields.model_fields)
