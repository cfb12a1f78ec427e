"""Where the key sets are kept for the next start."""

from __future__ import annotations

from pathlib import Path

import click

from authz_service.cli.serving.setting import setting


def _directory(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> Path | None:
    if value is None:
        return None
    if not value or "\0" in value:
        raise click.BadParameter("write the name of a directory")
    directory = Path(value).absolute()
    if directory.exists() and not directory.is_dir():
        raise click.BadParameter("it is there, and is no directory")
    if not directory.parent.is_dir():
        raise click.BadParameter("the directory that it is in is missing")
    return directory


options = setting(
    "--key-cache", metavar="DIR", callback=_directory,
    help=(
        "Directory that keeps the issuers' last good key sets, for a start while an issuer is"
        " down; made with mode 0700 where it is missing. Default: they are kept in memory alone."
    ),
)  # fmt: skip
