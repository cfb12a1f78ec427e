"""A file on the disk for code that reads nothing else."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path


def written(name: str, octets: bytes) -> Path:
    """Write *octets* to the file *name*, which is this process's own."""
    file = _directory() / name
    file.write_bytes(octets)
    return file


@functools.cache
def _directory() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="fuzz-")
    atexit.register(directory.cleanup)
    return Path(directory.name)
