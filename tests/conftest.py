"""What holds for every test: sockets are off, except where they are the point, and stay local."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_socket

_WITH_SOCKETS = {"cli", "demo", "e2e", "edge", "faults", "keys", "server"}
_HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let tests that speak to real peers reach this machine, and nothing else."""
    if item.path.relative_to(_HERE).parts[0] in _WITH_SOCKETS:
        pytest_socket.enable_socket()
        pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
