"""Policy files that are not on a disk."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from authz_service.policy.files import FilesRead

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class MemoryFiles(FilesRead):
    """The files in *contents*; there are no others."""

    def __init__(self, contents: Mapping[Path, bytes]) -> None:
        super().__init__()
        self._files = contents

    def read(self, file: Path) -> bytes:
        """Give the content of *file*. Raises OSError."""
        if file not in self._files:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._files[file]
