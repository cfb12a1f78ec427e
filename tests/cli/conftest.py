"""What the tests of the command line share: a policy file; logging and signals as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.support.signals import signals_as_before

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy that can be served."""
    file = tmp_path / "policy.yaml"
    file.write_text(
        """\
version: 1
resources:
  - name: shopping
    audience: https://shopping.api
    routes:
      - {path: /healthz, methods: {GET: public}}
"""
    )
    return file


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    with signals_as_before():
        yield
