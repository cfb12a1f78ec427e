"""How a command ends: its exit status, and the lines that say why."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED: Final = 1
"""A test or a check failed."""
BAD_INPUT: Final = 2
"""Bad usage, configuration or policy; click's own status for bad usage."""
INTERRUPTED: Final = 130
"""Ctrl-C: what a shell gives for a process that SIGINT ended."""
NOT_READ: Final = 141
"""Nobody reads the output any more: what a shell gives for a process that SIGPIPE ended."""


def refuse(*lines: str) -> NoReturn:
    """Say what is wrong on standard error, one mistake a line, and end with `BAD_INPUT`.

    That nobody reads it makes it no less wrong.
    """
    try:
        for line in lines:
            click.echo(line, err=True)
    except BrokenPipeError:
        _drop_what_is_left()
    sys.exit(BAD_INPUT)


@contextlib.contextmanager
def quiet_endings() -> Iterator[None]:
    """End without a traceback or a word where a person, or the reader of our output, has left."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _drop_what_is_left()
        sys.exit(NOT_READ)


def _drop_what_is_left() -> None:
    """What is still buffered would fail once more at the end of the process, and be reported."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
            continue
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
