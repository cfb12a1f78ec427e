"""Each recipe is a policy that loads, with tests that pass and reach all of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from authz_service.cli.main import main
from authz_service.policy.files import TEST_ENDING

DOCS: Final = Path(__file__).parents[2] / "docs"
TEXT: Final = (DOCS / "recipes.md").read_text("utf-8")
POLICIES: Final = sorted(
    path for path in (DOCS / "recipes").glob("*.yaml") if not path.stem.endswith(TEST_ENDING)
)


def file_of_tests(policy: Path) -> Path:
    return policy.with_stem(f"{policy.stem}{TEST_ENDING}")


def test_the_page_shows_each_policy_as_it_is_in_its_file() -> None:
    shown = re.findall(r"```yaml\n(.*?)```\n\nFiles: \[policy\]\((\S+)\)", TEXT, re.DOTALL)
    assert {name for _text, name in shown} == {f"recipes/{path.name}" for path in POLICIES}
    for text, name in shown:
        assert text == (DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_the_tests_of_a_recipe_pass_and_reach_every_method_of_every_route(policy: Path) -> None:
    result = CliRunner().invoke(main, ["test", "--min-coverage", "100", str(file_of_tests(policy))])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_the_tests_of_a_recipe_notice_a_policy_that_refuses_everything(
    policy: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "policy.yaml"
    empty.write_text("version: 1\n", "utf-8")
    arguments = ["test", "--policy", str(empty), str(file_of_tests(policy))]
    assert CliRunner().invoke(main, arguments).exit_code != 0


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_lint_says_of_a_recipe_only_what_it_is_about(policy: Path) -> None:
    result = CliRunner().invoke(main, ["lint", "--format", "json", str(policy)])
    assert result.exit_code == 0, result.output
    codes = set(re.findall(r'"code": "([a-z-]+)"', result.output))
    assert codes == ({"audit"} if policy.stem == "audit" else set())
