"""Threads share one heap of the C library where that is glibc, and nothing breaks elsewhere."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from authz_service.server import heap
from tests.edge.rig import reason
from tests.edge.shop import check_request
from tests.server.processes import PUBLIC_ONLY, service

_ARENAS = """
import ctypes, sys, threading
from authz_service.server import heap
heap.share_one()
together = threading.Barrier(4)
def allocate():
    together.wait()
    kept = [bytes(size) for size in range(1000, 20_000, 500)]
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
heap.give_back()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
"""
"""Has four threads allocate at a time, and prints what glibc says of its arenas."""

_CHOICES = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
_LARGEST_HEAP: Final = 64 * 2**20  # malloc/arena.c, HEAP_MAX_SIZE


class _Recorder:
    """A C library that keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def mallopt(self, *arguments: int) -> int:
        self.calls.append(arguments)
        return 1


def _arenas(**environment: str) -> int:
    inherited = {name: value for name, value in os.environ.items() if name not in _CHOICES}
    told = subprocess.run(
        (sys.executable, "-c", _ARENAS),
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return told.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_all_threads_allocate_from_one_arena_unless_glibc_was_told_otherwise() -> None:
    assert _arenas() == 1
    assert _arenas(MALLOC_ARENA_MAX="8") > 1


def _heaps_of_threads(pid: int) -> int:
    """How many heaps glibc has made for threads. Each begins at a multiple of its largest size."""
    starts = re.findall(r"^([0-9a-f]+)-\w+ rw-p 00000000 00:00 0", _maps(pid), re.MULTILINE)
    return sum(int(start, 16) % _LARGEST_HEAP == 0 for start in starts)


def _maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text("ascii")


async def _heaps_of_a_service(directory: Path) -> int:
    """How many its threads have by the first Check."""
    async with service(directory, PUBLIC_ONLY) as running, running.caller() as caller:
        assert not reason(await caller.check(check_request("/healthz")))
        return _heaps_of_threads(running.process.pid)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_the_threads_of_a_service_have_no_heaps_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for choice in _CHOICES:
        monkeypatch.delenv(choice, raising=False)
    assert asyncio.run(_heaps_of_a_service(tmp_path)) == 0
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    assert asyncio.run(_heaps_of_a_service(tmp_path)) > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_ARENA_MAX", "4"), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=4")],
)
def test_who_has_told_glibc_has_chosen(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = _Recorder()
    monkeypatch.setattr(heap, "_c_library", lambda: library)
    for choice in _CHOICES:
        monkeypatch.delenv(choice, raising=False)
    with monkeypatch.context() as chosen:
        chosen.setenv(name, value)
        heap.share_one()
    assert library.calls == []
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    heap.share_one()
    assert library.calls == [(-8, 1)]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_c_library", object)
    heap.share_one()
    heap.give_back()


def test_a_python_that_cannot_call_c_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    heap.share_one()
    heap.give_back()
