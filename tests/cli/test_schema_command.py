"""`authz-service schema`: what it prints is the schema, for the kinds of file there are."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from authz_service.cli.main import main
from authz_service.policy.json_schema import policy_schema


@pytest.mark.parametrize("arguments", [["schema"], ["schema", "policy"]])
def test_the_schema_is_printed_as_ascii_json(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert result.stdout.isascii()
    assert result.stdout.endswith("}\n")
    assert json.loads(result.stdout) == policy_schema()


def test_a_kind_that_there_is_not_is_bad_usage() -> None:
    result = CliRunner().invoke(main, ["schema", "polcy"])
    assert result.exit_code == 2
    assert "policy" in result.stderr
