"""`authz-service lint`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authz_service.cli.examples import examples
from authz_service.cli.exits import FAILED
from authz_service.policy import PolicyError
from authz_service.policy.lint import RULES, Finding, Severity, lint, mistakes
from authz_service.policy.lint.report import FORMATS
from authz_service.policy.loader import load

if TYPE_CHECKING:
    from collections.abc import Iterable


def _codes(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> frozenset[str]:
    for code in value:
        if code not in RULES:
            raise click.BadParameter(f"{code!r} is not one of {', '.join(RULES)}")
    return frozenset(value)


@click.command(
    "lint",
    epilog=examples(
        "authz-service lint policy.yaml",
        "authz-service lint --strict --format github policies/",
        "authz-service lint --ignore audit policy.yaml",
    ),
)
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...",
    type=click.Path(exists=True, readable=False, path_type=Path),
)  # fmt: skip
@click.option(
    "--format", "form", default="text", show_default=True, type=click.Choice(list(FORMATS)),
    help="text for people, json for programs, github for annotations in a workflow of GitHub.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Let warnings fail the check as errors do.")
@click.option(
    "--ignore", multiple=True, metavar="CODE", callback=_codes,
    help="Leave out the warnings with this code. May be given more than once.",
)  # fmt: skip
def command(paths: tuple[Path, ...], form: str, *, strict: bool, ignore: frozenset[str]) -> None:
    """Say what is wrong and what is suspicious with a policy: files, or directories of them.

    What is suspicious is looked for where nothing is wrong. Exit status 1 on errors, with --strict
    also on warnings.
    """
    findings = _findings(paths, ignore)
    click.echo(FORMATS[form](findings), nl=False)
    failing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(finding.severity in failing for finding in findings):
        sys.exit(FAILED)


def _findings(paths: Iterable[Path], ignore: frozenset[str]) -> tuple[Finding, ...]:
    try:
        loaded = load(paths, environment=os.environ)
    except PolicyError as error:
        return mistakes(error)
    return lint(loaded, ignore=ignore)
