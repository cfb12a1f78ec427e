from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.testing.suite import Suite

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Give an empty directory for a policy and its tests."""
    return Suite(tmp_path)
