"""Paths on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


def paths(
    _context: click.Context, _parameter: click.Parameter, value: Sequence[str]
) -> tuple[Path, ...]:
    """Read *value*, where an empty path is a variable of the shell that is not set.

    `Path` would take it for the current directory. Raises click.BadParameter.
    """
    if "" in value:
        raise click.BadParameter("the path is empty")
    return tuple(Path(path) for path in value)
