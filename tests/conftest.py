"""What holds for every test.

Sockets are off, except where they are the point, and stay local. Nothing that the service says, in
its logs, its metrics or to its probes, may hold a token; see tests/support/leaks.py. How long an
example takes is no property: a machine that is busy is no bug. A test leaves the garbage collector
as it was: tests share a process, and in which order is up to chance.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_socket
from hypothesis import settings

from tests.support.leak_reports import pytest_configure, pytest_runtest_makereport

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_runtest_setup"]

_WITH_SOCKETS = {"bench", "cli", "demo", "deploy", "e2e", "edge", "faults", "keys", "server"}
_HERE = Path(__file__).parent

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let tests that speak to real peers reach this machine, and nothing else."""
    if item.path.relative_to(_HERE).parts[0] in _WITH_SOCKETS:
        pytest_socket.enable_socket()
        pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    before = gc.isenabled(), gc.get_threshold()
    yield
    assert (gc.isenabled(), gc.get_threshold()) == before
