"""What holds for every test.

Sockets are off, except where they are the point, and stay local. Nothing that the service says, in
its logs, its metrics or to its probes, may hold a token; see tests/support/leaks.py. How long an
example takes is no property: a machine that is busy is no bug. A test leaves the process as it
was: tests share one, and in which order is up to chance.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_socket
import structlog
from hypothesis import settings

from tests.support.leak_reports import pytest_configure, pytest_runtest_makereport

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "pytest_configure",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_sessionstart",
]

_WITH_SOCKETS = {"bench", "cli", "demo", "deploy", "e2e", "edge", "faults", "keys", "server"}
_HERE = Path(__file__).parent

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_sessionstart() -> None:
    """Begin as at a terminal: in the background some of these are ignored, by children as well."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let tests that speak to real peers reach this machine, and nothing else."""
    if item.path.relative_to(_HERE).parts[0] in _WITH_SOCKETS:
        pytest_socket.enable_socket()
        pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


_OF_PYTEST = {"PYTEST_CURRENT_TEST"}


def _of_the_process() -> dict[str, object]:
    """What all tests share, and one may change for those after it."""
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM)
    }
    environment = {f"variable {k}": v for k, v in os.environ.items() if k not in _OF_PYTEST}
    return environment | {
        "garbage collector": (gc.isenabled(), gc.get_threshold()),
        "signal handlers": handlers,
        "working directory": os.getcwd(),  # noqa: PTH109 - compared, and nothing else
        "path": tuple(sys.path),
        "recursion limit": sys.getrecursionlimit(),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
        "logging": (structlog.is_configured(), logging.root.level, logging.root.disabled),
        "limits": (
            resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_FSIZE)
        ),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    before = _of_the_process()
    yield
    after = _of_the_process()
    names = before.keys() | after.keys()  # and no value, which may be a token
    changed = {name for name in names if after.get(name) != before.get(name)}
    assert not changed
