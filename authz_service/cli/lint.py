"""`authz-service lint`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from authz_service import openapi
from authz_service.cli.examples import examples
from authz_service.cli.exits import FAILED, refuse
from authz_service.policy import PolicyError
from authz_service.policy.lint import RULES, Finding, Severity, lint, mistakes
from authz_service.policy.lint.report import FORMATS
from authz_service.policy.loader import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_service.policy.loader import LoadedPolicy


_CODES: Final = (*RULES, *openapi.CODES)


def _codes(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> frozenset[str]:
    for code in value:
        if code not in _CODES:
            raise click.BadParameter(f"{code!r} is not one of {', '.join(_CODES)}")
    return frozenset(value)


@click.command(
    "lint",
    epilog=examples(
        "authz-service lint policy.yaml",
        "authz-service lint --strict --format github policies/",
        "authz-service lint --ignore audit policy.yaml",
        "authz-service lint --openapi shop.yaml policy.yaml",
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
@click.option(
    "--openapi", "document", metavar="FILE", type=click.Path(path_type=Path),
    help="Compare with this OpenAPI 3 document: what does one of them have, and the other not?",
)  # fmt: skip
def command(
    paths: tuple[Path, ...],
    form: str,
    *,
    strict: bool,
    ignore: frozenset[str],
    document: Path | None,
) -> None:
    """Say what is wrong and what is suspicious with a policy: files, or directories of them.

    What is suspicious is looked for where nothing is wrong. Exit status 1 on errors, with --strict
    also on warnings.
    """
    findings = _findings(paths, ignore, document)
    click.echo(FORMATS[form](findings), nl=False)
    failing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(finding.severity in failing for finding in findings):
        sys.exit(FAILED)


def _findings(
    paths: Iterable[Path], ignore: frozenset[str], document: Path | None
) -> tuple[Finding, ...]:
    try:
        loaded = load(paths, environment=os.environ)
    except PolicyError as error:
        return mistakes(error)
    findings = lint(loaded, ignore=ignore)
    if document is None:
        return findings
    compared = _compare(document, loaded)
    return tuple(sorted({*findings, *(each for each in compared if each.code not in ignore)}))


def _compare(document: Path, loaded: LoadedPolicy) -> tuple[Finding, ...]:
    try:
        from authz_service.openapi.document import read_api  # noqa: PLC0415 - it needs an extra
        from authz_service.openapi.findings import findings  # noqa: PLC0415 - the same
        from authz_service.openapi.values import OpenApiError  # noqa: PLC0415 - the same
    except ImportError:
        refuse(f"--openapi needs {openapi.OPENAPI_EXTRA}")
    try:
        return findings(read_api(document), loaded)
    except OpenApiError as error:
        refuse(*(str(problem) for problem in error.problems))
