"""A directory of private files, which a service and those beside it write and read.

What is read is only what this user wrote and nobody else could have changed. What is written is
there as a whole or not at all, and two that write at once do so one after the other. Everything in
here may take for ever, as disks do. Raises OSError and UnfitError.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_FILE_BYTES: Final = 2 * 1024 * 1024 + 64 * 1024
"""A document of a mebibyte in JSON, where each line end in it may take two, and what is beside."""

_LOCK: Final = "lock"
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_ANYTHING: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class UnfitError(Exception):
    """The directory or a file in it is not one that can be trusted; says why, and what to do."""


def read_private(directory: Path, name: str) -> bytes:
    """Read the file *name*. Raises FileNotFoundError where it, or the directory, is not there."""
    with _opened(directory) as place:
        return _read(place, name)


def write_private(
    directory: Path, name: str, octets: bytes, *, supersedes: Callable[[bytes], bool]
) -> None:
    """Put *octets* in the place of the file *name*, if they supersede what it has.

    The directory is made where it is missing, but not what it is in. A crash, a full disk or a
    reader at the same time sees what was there before, or all of what is there now.
    """
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    with _opened(directory) as place, _locked(place):
        with contextlib.suppress(OSError, UnfitError):
            if not supersedes(_read(place, name)):
                return
        _replace(place, name, octets)


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(place)
        if status.st_mode & _OTHERS_MAY_WRITE:
            mode = stat.S_IMODE(status.st_mode)
            raise UnfitError(
                f"others may write to the directory (its mode is {mode:04o}): name one inside it"
                " that does not exist, and it is made with 0700"
            )
        if status.st_uid not in {0, os.geteuid()}:
            raise UnfitError("the directory belongs to another user")
        yield place
    finally:
        os.close(place)


@contextlib.contextmanager
def _locked(place: int) -> Iterator[None]:
    """Be the only writer; the lock goes with the process, however that ends."""
    lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | _ANYTHING, 0o600, dir_fd=place)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(place: int, name: str) -> bytes:
    def opener(path: str, flags: int) -> int:
        return os.open(path, flags | _ANYTHING, dir_fd=place)

    # Not blocking: opening a pipe would wait for its other end. And no `fdopen`, which leaves the
    # descriptor of a directory open.
    with open(name, "rb", opener=opener) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnfitError("it is not a file")
        if status.st_uid != os.geteuid():
            raise UnfitError("it belongs to another user")
        if status.st_mode & _OTHERS_MAY_WRITE:
            raise UnfitError("others may write to it")
        octets = file.read(MAX_FILE_BYTES + 1)
    if len(octets) > MAX_FILE_BYTES:
        raise UnfitError("it is too large")
    return octets


def _replace(place: int, name: str, octets: bytes) -> None:
    new = f"{name}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=place)  # of somebody who did not get to the end
    try:
        made = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _ANYTHING, 0o600, dir_fd=place)
        with os.fdopen(made, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(made)
        os.rename(new, name, src_dir_fd=place, dst_dir_fd=place)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=place)
        raise
    os.fsync(place)
