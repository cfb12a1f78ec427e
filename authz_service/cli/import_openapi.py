"""`authz-service import openapi`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from authz_service.cli.examples import examples
from authz_service.cli.exits import BAD_INPUT, refuse
from authz_service.core.urls import url_fault
from authz_service.openapi import OPENAPI_EXTRA
from authz_service.policy.presets import PRESETS
from authz_service.policy.problems import Position, Problem
from authz_service.policy.schema import is_name

try:
    from authz_service.openapi.document import read_api
    from authz_service.openapi.importer import Choices, import_policy
    from authz_service.openapi.values import OpenApiError
except ImportError as error:
    if (error.name or "").partition(".")[0] != "openapi_pydantic":
        raise
    click.echo(f"the import needs {OPENAPI_EXTRA}", err=True)
    sys.exit(BAD_INPUT)

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_LINES: Final = 20


def _issuer(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    if not is_name(value):
        raise click.BadParameter("an issuer is up to 200 characters of printable ASCII")
    if (fault := url_fault(value, allow_http=False)) is not None or "?" in value:
        raise click.BadParameter(fault or "an issuer has no query")
    return value


def _audience(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    if value is None:
        return None
    if not is_name(value) or "{" in value or "}" in value:
        raise click.BadParameter("an audience is printable ASCII without { and }")
    return value


def _name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_name(value):
        raise click.BadParameter("a name is up to 200 characters of printable ASCII")
    return value


_EXAMPLES: Final = examples(
    "authz-service import openapi shop.yaml --preset logto --output policy.yaml",
    "authz-service import openapi shop.json --audience https://shopping.api | less",
)


@click.group("import", epilog=_EXAMPLES)
def command() -> None:
    """Write a policy from a description of an API."""


@command.command("openapi", epilog=_EXAMPLES)
@click.argument("file", type=click.Path())
@click.option(
    "--output", type=click.Path(), metavar="FILE", help="Write to FILE, not to standard output."
)
@click.option("--force", is_flag=True, help="Overwrite the output file.")
@click.option(
    "--issuer",
    callback=_issuer,
    metavar="URL",
    help="Who issues the tokens; else what the document says.",
)
@click.option(
    "--audience", callback=_audience, help="The API resource's identifier; else the first server."
)
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), help="What the issuer's tokens look like."
)
@click.option(
    "--name", callback=_name, help="The resource in logs and metrics; else from the title."
)
def openapi(file: str, output: str | None, *, force: bool, **choices: str | None) -> None:
    """Write a policy for the API of an OpenAPI 3 document, FILE, in YAML or JSON.

    The policy lets nobody in whom the document keeps out. Where it cannot say what the document
    says, it asks for more, with a comment in the policy and a note on standard error.
    """
    try:
        imported = import_policy(read_api(Path(file)), Choices(**choices))
    except OpenApiError as error:
        _refuse(error.problems)
    if output is None:
        click.echo(imported.text.encode(), nl=False)  # UTF-8, whatever the terminal has
    else:
        _write(Path(output), imported.text, force=force, source=Path(file))
    _say(imported.notes, colour="yellow")


def _write(output: Path, text: str, *, force: bool, source: Path) -> None:
    try:
        if output.exists() and output.samefile(source):
            _fail(output, "is the document itself")
        with output.open("w" if force else "x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError:
        _fail(output, "is there already: give --force to overwrite it")
    except OSError as error:
        _fail(output, f"cannot be written: {error.strerror or error}")


def _fail(output: Path, message: str) -> NoReturn:
    refuse(str(Problem(Position(str(output)), message)))


def _refuse(problems: Iterable[Problem]) -> NoReturn:
    _say(problems, colour=None)
    sys.exit(BAD_INPUT)


def _say(problems: Iterable[Problem], *, colour: str | None) -> None:
    lines = [str(problem) for problem in problems]
    for line in lines[:_MOST_LINES]:
        click.secho(line, fg=colour, err=True)
    if len(lines) > _MOST_LINES:
        click.secho(f"and {len(lines) - _MOST_LINES} more", fg=colour, err=True)
