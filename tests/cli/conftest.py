"""What the tests of the command line share: a policy file; logging and signals as before."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import structlog

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
    """`serve` takes them over, and at its end none is heard: not even who stops a run of tests."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
