"""Checks are answered, and the service stops as ever, whatever becomes of its log."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import resource
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.edge.rig import PATIENCE, reason
from tests.edge.shop import check_request
from tests.server.logging_to import LoggingService, logging_to
from tests.server.processes import PUBLIC_ONLY, environment
from tests.support.event_loops import eventually
from tests.support.leaks import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

F_SETPIPE_SZ: Final = 1031  # Linux
PIPE_BYTES: Final = 4096


@contextlib.contextmanager
def _unread_pipe() -> Iterator[tuple[int, int]]:
    """A small pipe: what is to be read from, and what to write to."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, F_SETPIPE_SZ, PIPE_BYTES)
    try:
        yield read_end, write_end
    finally:
        os.close(write_end)
        os.close(read_end)


async def _check(running: LoggingService, times: int) -> None:
    for _ in range(times):
        allowed, denied = await asyncio.gather(
            running.caller.check(check_request("/healthz")),
            running.caller.check(check_request("/nowhere")),
        )
        assert allowed.status.code == 0
        assert reason(denied) == "no_route"


def _is_full(write_end: int) -> bool:
    """Whether whoever writes now has to wait."""
    _, writable, _ = select.select([], [write_end], [], 0)
    return not writable


def test_checks_are_answered_and_the_service_stops_though_nobody_reads_its_log(
    tmp_path: Path,
) -> None:
    async def exchange() -> None:
        with _unread_pipe() as (_read_end, write_end):
            async with logging_to(write_end, tmp_path) as running:
                await _check(running, 50)
                await eventually(lambda: _is_full(write_end), within=PATIENCE)
                await _check(running, 50)
                assert await running.stop() == 0
            assert running.errors.read_text() == ""

    asyncio.run(exchange())


def test_what_a_slow_reader_has_not_read_yet_is_written_when_it_goes_on(tmp_path: Path) -> None:
    async def exchange() -> list[bytes]:
        with _unread_pipe() as (read_end, write_end):
            async with logging_to(write_end, tmp_path) as running:
                await _check(running, 50)
                await eventually(lambda: _is_full(write_end), within=PATIENCE)
                reading = asyncio.create_task(asyncio.to_thread(_read_up_to, b"stopped", read_end))
                assert await running.stop() == 0
                return await reading

    events = [json.loads(line) for line in asyncio.run(exchange())]
    decisions = [event["decision"] for event in events if event["event"] == "check"]
    assert (decisions.count("allow"), decisions.count("deny")) == (50, 50)
    assert events[-1]["event"] == "stopped"


def _read_up_to(mark: bytes, descriptor: int) -> list[bytes]:
    read = b""
    while mark not in read or not read.endswith(b"\n"):
        read += os.read(descriptor, PIPE_BYTES)
    GUARD.look(read, "a pipe")
    return read.splitlines()


def test_a_full_disk_changes_no_answer_and_no_exit_status(tmp_path: Path) -> None:
    async def exchange() -> None:
        with open("/dev/full", "wb", buffering=0) as full:  # noqa: ASYNC230, PTH123 - a device
            async with logging_to(full, tmp_path) as running:
                await _check(running, 5)
                assert await running.stop() == 0
        assert running.errors.read_text() == ""

    asyncio.run(exchange())


def test_a_disk_that_has_space_again_gets_the_log_and_how_much_is_missing(tmp_path: Path) -> None:
    """A file that may not grow any further is as good as a full disk."""
    log = tmp_path / "log"

    async def exchange() -> None:
        with log.open("ab", buffering=0) as file:
            async with logging_to(file, tmp_path) as running:
                _, unlimited = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
                await _check(running, 1)
                _limit(running, log.stat().st_size + 100, unlimited)
                await _check(running, 20)
                _limit(running, unlimited, unlimited)
                await _check(running, 1)
                assert await running.stop() == 0
        assert running.errors.read_text() == ""

    asyncio.run(exchange())
    GUARD.look_into(log)
    events = [_event(line) for line in log.read_text().splitlines()]
    assert events.count("check") + sum(n for n in events if isinstance(n, int)) == 2 * 22
    assert "stopped" in events


def _limit(running: LoggingService, octets: int, most: int) -> None:
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (octets, most))


def _event(line: str) -> str | int:
    """The event, of a loss how many lines, and of a line that was cut short nothing."""
    try:
        event = json.loads(line)
    except ValueError:
        return ""
    return int(event["lines"]) if event["event"] == "log_lost" else str(event["event"])


def test_streams_that_are_closed_from_the_start_are_no_reason_not_to_serve(tmp_path: Path) -> None:
    """Their numbers would go to the next socket, and the log would be written to it."""

    async def exchange() -> None:
        async with logging_to(asyncio.subprocess.DEVNULL, tmp_path, closed=(0, 1, 2)) as running:
            await _check(running, 2)
            assert await running.stop() == 0

    asyncio.run(exchange())


def test_a_stalled_reader_does_not_change_the_status_of_a_start_that_fails(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(PUBLIC_ONLY)
    with _unread_pipe() as (_read_end, write_end):
        os.write(write_end, b"x" * PIPE_BYTES)
        finished = subprocess.run(
            [sys.executable, "-m", "authz_service", "serve", "--policy", str(policy),
             "--listen", f"unix:{policy}", "--admin", "off"],
            env=environment(), stdout=write_end, stderr=subprocess.PIPE, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert "cannot listen on" in line
