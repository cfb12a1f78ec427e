"""How a command ends: its exit status, and the lines that say why."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
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

    That nobody reads it, or that it cannot be written, makes it no less wrong.
    """
    try:
        for line in lines:
            click.echo(line, err=True)
    except OSError:
        _drop_what_is_left()
    sys.exit(BAD_INPUT)


@contextlib.contextmanager
def quiet_endings() -> Iterator[None]:
    """End without a traceback where a person, or the reader of our output, has left: silently.

    Where the output cannot be written, such as to a full disk, say so in one line.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _drop_what_is_left()
        sys.exit(NOT_READ)
    except OSError as error:
        if not _is_of_output(error):
            raise
        _drop_what_is_left()
        refuse(f"authz-service: the output cannot be written: {error.strerror}")


def _is_of_output(error: OSError) -> bool:
    """Whether it was click that raised *error*: of what it does, writing alone lets one out."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("click.")


def _drop_what_is_left() -> None:
    """What is still buffered would fail once more at the end of the process, and be reported."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
            continue
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
