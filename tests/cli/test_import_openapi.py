"""`authz-service import openapi` as a person meets it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner, Result

from authz_service.cli.main import main
from authz_service.policy import load_policy
from tests.edge.rig import PATIENCE
from tests.openapi.imported import EXAMPLE
from tests.server.processes import environment

if TYPE_CHECKING:
    from pathlib import Path

BAD_USAGE: Final = 2
HEADER: Final = "openapi: 3.1.0\ninfo: {title: Shop, version: '1'}\n"
_WITHOUT: Final = """\
import sys
sys.modules["openapi_pydantic"] = None
from authz_service.cli.main import main
main(sys.argv[1:])
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["import", "openapi", *map(str, arguments)])


def test_the_policy_is_on_standard_output_and_the_notes_are_not(tmp_path: Path) -> None:
    result = run(EXAMPLE)
    assert result.exit_code == 0
    audience = "the audience https://shop.example.com is not in the document"
    assert result.stderr == f"{EXAMPLE}: {audience}: check it, or give --audience\n"
    policy = tmp_path / "policy.yaml"
    policy.write_text(result.stdout)
    assert load_policy([policy], environment={}).issuers


def test_what_the_operator_knows_is_in_the_policy() -> None:
    options = ("--issuer", "https://id.example", "--audience", "urn:a", "--name", "till")
    result = run(EXAMPLE, *options, "--preset", "logto")
    assert result.exit_code == 0
    assert result.stderr == ""
    for part in ("issuer: https://id.example\n", "audience: urn:a\n", "name: till\n", "logto\n"):
        assert part in result.stdout


def test_a_file_is_written_once_and_overwritten_by_force(tmp_path: Path) -> None:
    output = tmp_path / "policy.yaml"
    assert run(EXAMPLE, "--output", output).exit_code == 0
    written = output.read_text()
    assert written == run(EXAMPLE).stdout
    output.write_text("mine")
    result = run(EXAMPLE, "--output", output)
    assert result.exit_code == BAD_USAGE
    assert result.stderr == f"{output}: is there already: give --force to overwrite it\n"
    assert output.read_text() == "mine"
    assert run(EXAMPLE, "--output", output, "--force").exit_code == 0
    assert output.read_text() == written


def test_a_document_is_not_overwritten_by_its_policy(tmp_path: Path) -> None:
    document = tmp_path / "api.yaml"
    document.write_text(HEADER + "paths: {}\n")
    result = run(document, "--output", tmp_path / "." / "api.yaml", "--force")
    assert result.exit_code == BAD_USAGE
    assert result.stderr == f"{document}: is the document itself\n"
    assert document.read_text().startswith("openapi")


@pytest.mark.parametrize("name", [".", "missing/policy.yaml"])
def test_a_file_that_cannot_be_written_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    result = run(EXAMPLE, "--force", "--output", f"{tmp_path}/{name}")
    assert result.exit_code == BAD_USAGE
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    assert "cannot be written" in line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--issuer", "http://id.example"),
        ("--issuer", "id.example"),
        ("--issuer", ""),
        ("--issuer", "https://id.example?x"),
        ("--issuer", "https://id.example/\n"),
        ("--issuer", f"https://{'x' * 200}"),
        ("--audience", "{org}"),
        ("--audience", "}{"),
        ("--audience", ""),
        ("--audience", "a\nb"),
        ("--name", ""),
        ("--name", "a\nb"),
        ("--preset", "logtoo"),
    ],
)
def test_a_bad_option_is_bad_usage(option: str, value: str) -> None:
    result = run(EXAMPLE, option, value)
    assert result.exit_code == BAD_USAGE
    assert isinstance(result.exception, SystemExit)
    assert option in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "content",
    ["", "[]", "swagger: '2.0'", "a: &a [*a]", "[" * 9999, "\0", HEADER, HEADER + "paths: []"],
)
def test_a_document_that_cannot_be_used_is_told_in_lines_with_its_name(
    content: str, tmp_path: Path
) -> None:
    document, output = tmp_path / "api.yaml", tmp_path / "policy.yaml"
    document.write_text(content if content != HEADER else HEADER + "paths: {/a: 1, b: {}}")
    result = run(document, "--output", output)
    assert result.exit_code == BAD_USAGE
    assert isinstance(result.exception, SystemExit)
    assert result.stderr
    assert all(line.startswith(f"{document}:") for line in result.stderr.splitlines())
    assert not output.exists()


def test_at_most_twenty_problems_and_notes_are_told(tmp_path: Path) -> None:
    document = tmp_path / "api.yaml"
    document.write_text(HEADER + "paths:\n" + "".join(f"  /{n}: []\n" for n in range(30)))
    lines = run(document).stderr.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 10 more"
    key = "components: {securitySchemes: {key: {type: apiKey, name: x, in: header}}}\n"
    items = "".join(f"  /{n}: {{get: {{security: [key: []]}}}}\n" for n in range(30))
    document.write_text(f"{HEADER}{key}paths:\n{items}")
    result = run(document)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == "and 10 more"
    assert result.stdout.count("# GET: nobody is let in") == 30


def test_a_missing_file_is_told_in_one_line_without_control_characters() -> None:
    result = run("no\x1b[31mwhere")
    assert result.exit_code == BAD_USAGE
    assert result.stderr == "no\\x1b[31mwhere: cannot be read: No such file or directory\n"


def test_the_help_has_an_example() -> None:
    for arguments in (["import", "-h"], ["import", "openapi", "-h"]):
        assert CliRunner().invoke(main, arguments).exit_code == 0
    text = " ".join(run("--help").stdout.split())
    assert "Examples: authz-service import openapi shop.yaml" in text
    for option in ("--output", "--force", "--issuer", "--audience", "--preset", "--name"):
        assert option in text


def test_without_the_extra_one_line_says_what_to_install() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _WITHOUT, "import", "openapi", str(EXAMPLE)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == BAD_USAGE
    assert result.stdout == ""
    assert result.stderr == (
        "the import needs the extra named openapi (in a checkout: pip install '.[openapi]')\n"
    )


def test_the_help_promises_what_is_true_of_a_route_that_is_wider_than_its_path() -> None:
    words = " ".join(run("--help").stdout.split())
    assert "lets nobody in whom the document keeps out" in words
    assert "never wider" not in words
