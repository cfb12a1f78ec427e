"""`authz-service lint --openapi`: what a document and a policy do not have in common."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result

from authz_service.cli.main import main
from tests.server.processes import environment

SHOP: Final = Path(__file__).parents[2] / "docs" / "examples" / "shop-openapi.yaml"


CYCLE: Final = """\
openapi: 3.0.3
info: {title: a, version: "1"}
paths: {/a: {$ref: "#/paths/~1a"}}
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    policy = tmp_path / "policy.yaml"
    result = run("import", "openapi", SHOP, "--output", policy)
    assert result.exit_code == 0, result.output
    return policy


def changed(policy: Path, old: str, new: str) -> Path:
    text = policy.read_text("utf-8")
    assert old in text
    policy.write_text(text.replace(old, new), "utf-8")
    return policy


def found(policy: Path, *options: str) -> list[tuple[str, str]]:
    result = run("lint", "--format", "json", "--openapi", SHOP, *options, policy)
    assert result.exit_code == 0, result.output
    return [(each["code"], each["message"]) for each in json.loads(result.output)]


def test_of_a_policy_that_was_imported_there_is_nothing_to_say(imported: Path) -> None:
    assert found(imported) == []


def test_an_operation_without_a_route_is_told_where_the_document_has_it(imported: Path) -> None:
    changed(imported, "          DELETE: [write:products]\n", "")
    result = run("lint", "--openapi", SHOP, imported)
    assert result.exit_code == 0
    line = next(
        number
        for number, text in enumerate(SHOP.read_text("utf-8").splitlines(), start=1)
        if text == "    delete:"
    )
    assert result.output.splitlines()[0] == (
        f"{SHOP}:{line}:5: warning[openapi-without-route]: DELETE /products/{{product-id}}: "
        "no route names it, so it is denied"
    )


def test_a_route_without_an_operation_is_told_where_the_policy_has_it(imported: Path) -> None:
    changed(imported, "path: /healthz", "path: /health")
    changed(imported, "hosts: [shop.example.com]", "hosts: [shop.example.com, b.example]")
    stray = [message for code, message in found(imported) if code == "openapi-without-operation"]
    [both] = [message for message in stray if " /health, " in message]
    assert both.endswith("for the host b.example, shop.example.com: is it still there?")
    assert len(stray) == len(set(stray)) == 5  # what is at b.example alone, too


def test_strict_and_ignore_know_these_findings(imported: Path) -> None:
    changed(imported, "path: /healthz", "path: /health")
    assert run("lint", "--strict", "--openapi", SHOP, imported).exit_code == 1
    (only,) = found(imported, "--ignore", "openapi-without-operation")
    assert only[0] == "openapi-without-route"


def test_a_policy_with_mistakes_is_not_compared(imported: Path) -> None:
    changed(imported, "version: 1", "version: 2")
    result = run("lint", "--openapi", SHOP, imported)
    assert result.exit_code == 1
    assert "openapi-" not in result.output


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "cannot be read"),
        ("swagger: '2.0'\n", "OpenAPI"),
        ("\x00\x01", "YAML"),
        (CYCLE, "#/paths/~1a"),
    ],
)
def test_a_document_that_cannot_be_used_is_bad_input(
    imported: Path, tmp_path: Path, document: str | None, message: str
) -> None:
    file = tmp_path / "api.yaml"
    if document is not None:
        file.write_text(document, "utf-8")
    result = run("lint", "--openapi", file, imported)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(str(file))
    assert message in result.stderr


def test_without_the_extra_it_says_what_to_install(imported: Path) -> None:
    program = (
        "import sys; sys.modules['openapi_pydantic'] = None\n"
        "from authz_service.cli.main import main; main()"
    )
    for options in (["--openapi", str(SHOP)], []):
        finished = subprocess.run(
            [sys.executable, "-c", program, "lint", *options, str(imported)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        expected = "--openapi needs the extra named openapi" if options else ""
        assert finished.stderr.startswith(expected)
        assert finished.returncode == (2 if options else 0)
