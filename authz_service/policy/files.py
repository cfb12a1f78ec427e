"""Policy files as they lie on disk: read, and remembered, so that a change of them can be told."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_SCHEMA_ENDING: Final = ".schema.json"  # what `authz-service schema` writes for editors
TEST_ENDING: Final = "_test"
"""Ends the name, before the suffix, of a file that holds tests of a policy and none itself."""


class FilesRead:
    """Everything that was read for one policy, and what came of it: failures, too, can pass.

    Of the contents, digests are kept.
    """

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._contents: dict[Path, str] = {}
        self._listings: dict[Path, str] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The directories and files that were asked for, whether they exist or not."""
        return (*self._listings, *self._contents)

    @property
    def hash(self) -> str:
        """Says in 64 characters what was read, wherever it lies: the same files, the same hash.

        It is the SHA-256 of the files' own, each in hexadecimal on a line, sorted, each once:
        `sha256sum FILE... | cut -c 1-64 | sort -u | sha256sum`.
        """
        lines = "".join(f"{digest}\n" for digest in sorted({*self._contents.values()}))
        return hashlib.sha256(lines.encode()).hexdigest()

    def read(self, file: Path) -> bytes:
        """At most one byte more than a file may have. Raises OSError."""
        try:
            octets = _read(file)
        except OSError as error:
            self._contents.setdefault(file, str(error.errno))
            raise
        # A file that is read twice and has changed meanwhile is one that has changed.
        self._contents.setdefault(file, hashlib.sha256(octets).hexdigest())
        return octets

    def list(self, directory: Path) -> list[Path]:
        """The policy files in *directory*, by their names, sorted. Raises OSError."""
        try:
            files = _policy_files(directory)
        except OSError as error:
            self._listings[directory] = str(error.errno)
            raise
        self._listings[directory] = "\0".join(file.name for file in files)
        return files

    def is_current(self) -> bool:
        """Whether all of it is still the same: read again, it would give the same policy."""
        again = FilesRead()
        for directory in self._listings:
            with contextlib.suppress(OSError):
                again.list(directory)
        for file in self._contents:
            with contextlib.suppress(OSError):
                again.read(file)
        return (again._listings, again._contents) == (self._listings, self._contents)


def is_directory(path: Path) -> bool:
    """Whether *path* is one. Where that cannot be told it is read as a file, which says why."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _read(file: Path) -> bytes:
    # What was opened is looked at: what a name leads to can change at any moment.
    with open(file, "rb", opener=_open_at_once) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return stream.read(MAX_FILE_BYTES + 1)


def _open_at_once(name: str, flags: int) -> int:
    """Open it without waiting: for a pipe, somebody to write to it may never come."""
    return os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _policy_files(directory: Path) -> list[Path]:
    return sorted(
        entry
        for entry in directory.iterdir()
        if entry.suffix in SUFFIXES
        and not entry.name.startswith(".")
        and not entry.stem.endswith(TEST_ENDING)
        and not entry.name.endswith(_SCHEMA_ENDING)
        and not is_directory(entry)  # a dangling link is a problem, not a gap
    )
