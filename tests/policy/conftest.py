from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Give an empty directory, and no environment variables."""
    return Folder(tmp_path)
