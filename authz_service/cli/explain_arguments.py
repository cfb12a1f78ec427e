"""What `authz-service explain` is told: each argument read, or refused in one line.

No message repeats what may be a token.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from authz_service.cli.path_arguments import paths
from authz_service.cli.token_like import looks_like_a_token
from authz_service.core.errors import IssuerError
from authz_service.core.jwks import parse_jwk_set
from authz_service.explain.at import parse_at
from authz_service.explain.question import Url, parse_header, pasted_token
from authz_service.policy.problems import printable

if TYPE_CHECKING:
    from typing import BinaryIO

    from authz_service.core.jwks import KeySet
    from authz_service.explain.question import Header

MAX_TOKEN_FILE_BYTES: Final = 64 * 1024
"""Four times what the service takes: a larger file is no token, whatever it is."""
_STDIN: Final = "standard input"
_MAX_KEY_FILE_BYTES: Final = 1024 * 1024  # as of a key set that is fetched


class FileError(click.ClickException):
    """A file that cannot be used: one line, and the status of bad usage."""

    exit_code = 2

    def __init__(self, name: str, why: str) -> None:
        """Name the file, and say *why*."""
        super().__init__(printable(f"{click.format_filename(name)}: {why}"))


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key set that was named on the command line."""

    name: str
    key_set: KeySet = field(repr=False)


def policy_paths(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[Path, ...]:
    """Read the policy's paths."""
    for path in value:
        _check_file_name(parameter, path)
    return paths(context, parameter, value)


def no_token(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Take *value*, which the report repeats, as it is."""
    if value is not None and looks_like_a_token(value):
        raise _no_token(parameter, f"a {parameter.name}")
    return value


def headers(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[Header, ...]:
    """Read the headers, in their order."""
    try:
        return tuple(parse_header(text) for text in value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def url(_context: click.Context, parameter: click.Parameter, value: str) -> Url:
    """Read the URL."""
    try:
        read = Url.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if looks_like_a_token(read.authority or ""):
        raise _no_token(parameter, "a host")
    return read


def at(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float:
    """Read the moment to judge at, in seconds since the epoch; now unless one is given."""
    now = time.time()
    try:
        return now if value is None else parse_at(value, now)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def key_file(
    _context: click.Context, parameter: click.Parameter, value: str | None
) -> KeyFile | None:
    """Read a JWK Set."""
    if value is None:
        return None
    _check_file_name(parameter, value)
    try:
        with _opened(value) as stream:
            return KeyFile(value, parse_jwk_set(_bounded(stream, value, _MAX_KEY_FILE_BYTES)))
    except IssuerError as error:
        raise FileError(value, error.message) from None


def token_from_stdin(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    """Read the token from standard input, and from nowhere else."""
    if value is None:
        return None
    if value != "-":
        raise click.BadParameter(
            "write - and give the token on standard input, or use --token-file: an argument is"
            " seen in the list of processes and kept in the shell's history"
        )
    if sys.stdin is None:  # closed by whoever started this
        raise FileError(_STDIN, "closed")
    return _token(sys.stdin.buffer, _STDIN)


def token_from_file(
    _context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Read the token from a file."""
    if value is None:
        return None
    _check_file_name(parameter, value)
    with _opened(value) as stream:
        return _token(stream, value)


def _check_file_name(parameter: click.Parameter, name: str) -> None:
    """Refuse a token in the place of a file; a file may be named as it likes."""
    if looks_like_a_token(name) and not os.path.lexists(name):
        raise _no_token(parameter, "a file")


def _no_token(parameter: click.Parameter, wanted: str) -> click.UsageError:
    name = (
        parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
    )
    return click.UsageError(f"{name} takes {wanted}, not a token")


def _opened(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: Exception) -> FileError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else "not a file"
    return FileError(name, why)


def _bounded(stream: BinaryIO, name: str, at_most: int) -> bytes:
    try:
        octets = stream.read(at_most + 1)
    except OSError as error:
        raise _unreadable(name, error) from None
    if len(octets) > at_most:
        raise FileError(name, f"more than {at_most // 1024} KiB")
    return octets


def _token(stream: BinaryIO, name: str) -> str:
    token = pasted_token(_bounded(stream, name, MAX_TOKEN_FILE_BYTES))
    if not token:
        raise FileError(name, "there is no token in it")
    return token
