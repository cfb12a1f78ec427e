"""Which files hold tests, and which policy they are about."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from authz_service.policy import PolicyError
from authz_service.policy.testing.cases import read_case_file
from authz_service.policy.testing.find import NoTestsError, find, policy_paths

if TYPE_CHECKING:
    from pathlib import Path

TESTS = "tests: [{request: GET /, expect: deny}]\n"
POLICY = "version: 1\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with policies, tests, and what is neither."""
    for name, text in {
        "a.yaml": POLICY,
        "a_test.yaml": TESTS,
        "b.yml": POLICY,
        "b_test.json": '{"tests": [{"request": "GET /", "expect": "deny"}]}',
        "b_test.yml": TESTS,
        "c.json": "{}",
        "cases.yaml": TESTS,
        "README_test.md": "",
        ".hidden_test.yaml": TESTS,
        ".git/d_test.yaml": TESTS,
        "inner/deep/e_test.yaml": TESTS,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return tmp_path


def found(*paths: Path) -> list[str]:
    return [path.name for path in find(paths, {})]


def test_a_directory_stands_for_its_files_of_tests_at_any_depth(here: Path) -> None:
    assert found(here) == ["a_test.yaml", "b_test.json", "b_test.yml", "e_test.yaml"]


def test_a_policy_stands_for_the_tests_beside_it(here: Path) -> None:
    assert found(here / "a.yaml") == ["a_test.yaml"]
    assert found(here / "b.yml") == ["b_test.json", "b_test.yml"]


def test_a_file_of_tests_may_have_any_name(here: Path) -> None:
    assert found(here / "cases.yaml") == ["cases.yaml"]
    assert found(here / ".hidden_test.yaml") == [".hidden_test.yaml"]


def test_a_file_is_found_once(here: Path) -> None:
    assert found(here / "a_test.yaml", here / "a.yaml", here / "inner" / ".." / "a_test.yaml") == [
        "a_test.yaml"
    ]


@pytest.mark.parametrize("name", ["c.json", ".git/.."])
def test_a_path_without_tests_is_an_error(here: Path, name: str) -> None:
    for file in here.rglob("*_test.*"):
        file.unlink()
    with pytest.raises(NoTestsError):
        found(here / name)


def test_a_file_that_cannot_be_read_is_a_problem(here: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        found(here / "none.yaml")


def test_a_directory_that_cannot_be_looked_into_is_a_problem(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PolicyError) as refused:
        found(here)
    assert str(refused.value) == f"{here}: cannot be read: Permission denied"


def policies(here: Path, name: str, text: str) -> list[str]:
    file = here / name
    file.write_text(text, "utf-8")
    paths = policy_paths(read_case_file(file, {}))
    return [path.relative_to(here).as_posix() for path in paths]


def test_the_policy_is_the_one_that_the_file_names(here: Path) -> None:
    assert policies(here, "x_test.yaml", f"policy: a.yaml\n{TESTS}") == ["a.yaml"]
    assert policies(here, "x.txt", f"policy: [a.yaml, inner]\n{TESTS}") == ["a.yaml", "inner"]
    assert policies(here, "inner/x_test.yml", f"policy: ../a.yaml\n{TESTS}") == ["inner/../a.yaml"]


def test_the_policy_is_else_the_one_of_its_name(here: Path) -> None:
    assert policies(here, "a_test.yaml", TESTS) == ["a.yaml"]
    assert policies(here, "b_test.yaml", TESTS) == ["b.yml"]
    assert policies(here, "c_test.yaml", TESTS) == ["c.json"]


def test_the_policy_is_else_the_whole_directory(here: Path) -> None:
    assert policies(here, "inner/e_test.yaml", TESTS) == ["inner"]


def test_a_file_of_another_name_must_say_which_policy_it_is_about(here: Path) -> None:
    with pytest.raises(PolicyError) as refused:
        policies(here, "cases.yaml", TESTS)
    assert str(refused.value) == (
        f"{here}/cases.yaml:1:1: say which policy this is about: policy: FILE"
        " (or call it NAME_test.yaml)"
    )
