"""A log that cannot be written is nobody's problem but its reader's."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import subprocess
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.telemetry import logs
from authz_service.telemetry.logs.lines import renderers
from authz_service.telemetry.logs.output import Output
from authz_service.telemetry.logs.sink import Sink
from tests.server.processes import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE: Final = 20.0
F_SETPIPE_SZ: Final = 1031  # Linux; a pipe of one page is soon full
PIPE_BYTES: Final = 4096


class _Pipe:
    """A pipe that takes few lines before somebody reads them."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        fcntl.fcntl(self.write_end, F_SETPIPE_SZ, PIPE_BYTES)
        self._outputs: list[Output] = []

    def output(self, *, capacity: int = 1000) -> Output:
        """Make one that writes into it."""
        self._outputs.append(output := _output(self.write_end, capacity=capacity))
        return output

    def close(self) -> None:
        """Close it, but not before its outputs are done: its numbers will be another file's."""
        with contextlib.suppress(OSError):
            os.close(self.read_end)
        for output in self._outputs:
            assert output.flush(PATIENCE)
        os.close(self.write_end)

    def read(self, count: int) -> list[str]:
        """Read up to *count* lines, one byte at a time."""
        return [self._line() for _ in range(count)]

    def _line(self) -> str:
        line = bytearray()
        while not line.endswith(b"\n"):
            line += os.read(self.read_end, 1)
        return line.decode().removesuffix("\n")


@pytest.fixture
def pipe() -> Iterator[_Pipe]:
    held = _Pipe()
    yield held
    held.close()


def _loss(lines: int) -> str:
    return f"lost {lines}"


def _output(descriptor: int | None, *, capacity: int = 1000) -> Output:
    return Output(Sink(descriptor), _loss, capacity=capacity)


def test_lines_are_written_in_their_order(pipe: _Pipe) -> None:
    output = pipe.output()
    for number in range(100):
        output.put(f"line {number}")
    assert output.flush(PATIENCE)
    assert pipe.read(100) == [f"line {number}" for number in range(100)]
    assert output.lost == 0


def test_lines_of_several_threads_are_all_written_whole(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = _output(file.fileno(), capacity=10_000)

        def put(name: int) -> None:
            for number in range(500):
                output.put(f"{name} {number}" + "x" * 100)

        threads = [threading.Thread(target=put, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert output.flush(PATIENCE)
    written = (tmp_path / "log").read_text().splitlines()
    expected = {f"{name} {number}" + "x" * 100 for name in range(4) for number in range(500)}
    assert (len(written), set(written)) == (2000, expected)


def _stall(output: Output, pipe: _Pipe) -> str:
    """Log a line that does not fit into the pipe, and come back when the thread is stuck in it."""
    output.put(line := "x" * (2 * PIPE_BYTES - 1))
    while _waiting(pipe) < PIPE_BYTES:
        pass
    return line


def _waiting(pipe: _Pipe) -> int:
    octets = fcntl.ioctl(pipe.read_end, termios.FIONREAD, bytes(4))
    return int.from_bytes(octets, sys.byteorder)


def test_who_logs_is_not_kept_waiting_by_a_reader_that_stalls(pipe: _Pipe) -> None:
    """What is beyond the capacity is lost, and said to be."""
    output = pipe.output(capacity=20)
    stuck = _stall(output, pipe)
    for number in range(1000):
        output.put(f"line {number}")
    assert output.lost == 980
    kept = [f"line {number}" for number in range(20)]
    assert pipe.read(22) == [stuck, *kept, "lost 980"]
    output.put("as ever")
    assert pipe.read(1) == ["as ever"]
    assert output.lost == 980


def test_a_stalled_reader_is_not_waited_for_at_the_end(pipe: _Pipe) -> None:
    output = pipe.output()
    _stall(output, pipe)
    assert not output.flush(0.01)


def test_nothing_logged_is_nothing_to_wait_for() -> None:
    assert _output(None).flush(0)


def test_a_closed_pipe_loses_lines_and_nothing_else(pipe: _Pipe) -> None:
    os.close(pipe.read_end)
    output = pipe.output()
    for _ in range(3):
        output.put("line")
    assert output.flush(PATIENCE)
    assert output.lost == 3


@pytest.mark.parametrize("closed", [True, False])
def test_no_standard_output_loses_lines_and_nothing_else(tmp_path: Path, *, closed: bool) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = _output(file.fileno() if closed else None)
    output.put("line")
    assert output.flush(PATIENCE)
    assert output.lost == 1


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device
        output = _output(full.fileno())
        for _ in range(3):
            output.put("line")
        assert output.flush(PATIENCE)
    assert output.lost == 3


# A file may grow to 100 bytes, like a disk that is nearly full; then there is space again.
FILLING_DISK: Final = """
import os, resource, sys
from authz_service.telemetry.logs.output import Output
from authz_service.telemetry.logs.sink import Sink
descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
output = Output(Sink(descriptor), "lost {}".format)
for number in range(10):
    output.put(f"{number} 34567890123456789012345678")
    assert output.flush(20)
print(output.lost)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
output.put("again")
assert output.flush(20)
"""


def test_when_there_is_space_again_lines_are_written_and_the_loss_is_told(tmp_path: Path) -> None:
    """Three lines of 29 bytes fit, and a part of the fourth, which must not hide the next."""
    finished = subprocess.run(
        [sys.executable, "-c", FILLING_DISK, str(tmp_path / "log")],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    line = "{} 34567890123456789012345678"
    assert (finished.stdout, finished.stderr) == ("7\n", "")
    assert (tmp_path / "log").read_text().splitlines() == [
        *(line.format(number) for number in range(3)), line.format(3)[:13], "again", "lost 7",
    ]  # fmt: skip


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for_all_the_same(pipe: _Pipe) -> None:
    os.set_blocking(pipe.write_end, False)
    output = pipe.output()
    stuck = _stall(output, pipe)
    output.put("next")
    assert pipe.read(2) == [stuck, "next"]
    assert output.lost == 0


class _LogsAtItsEnd:
    def __init__(self, output: Output, ended: list[str]) -> None:
        self._output = output
        self._ended = ended
        self._self = self  # only the garbage collector ends this

    def __del__(self) -> None:
        self._output.put("from a finalizer")
        self._ended.append("ended")


def test_a_finalizer_may_log_wherever_it_runs(pipe: _Pipe) -> None:
    """Also in the middle of logging, in the same thread; a lock would wait for itself."""
    output, ended = pipe.output(capacity=10_000), list[str]()
    with _collecting_often():
        for _ in range(50):
            _LogsAtItsEnd(output, ended)
            output.put("line")
    while len(ended) < 50:  # where another thread is collecting, nothing is collected here
        gc.collect()
        time.sleep(0.001)
    lines = pipe.read(100)
    assert (lines.count("line"), lines.count("from a finalizer")) == (50, 50)


@contextlib.contextmanager
def _collecting_often() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def test_where_no_thread_is_to_be_had_lines_are_lost(
    pipe: _Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = pipe.output()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)
        output.put("line")
        assert output.lost == 1
    output.put("line")
    assert pipe.read(2) == ["line", "lost 1"]


def _no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


# As a process. The child of a fork has the queue of its parent, and not its thread.
FORKING: Final = """
import os, structlog
from authz_service.telemetry import logs
logs.configure(log_format="json", level="info")
log = structlog.get_logger()
log.info("parent")
logs.finish()
child = os.fork()
if not child:
    log.info("child")
    os._exit(not logs.finish())
assert os.waitpid(child, 0)[1] == 0
log.info("parent again")
"""


def test_parent_and_child_of_a_fork_both_log_and_at_the_end_all_is_written() -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    events = [json.loads(line)["event"] for line in finished.stdout.splitlines()]
    assert events == ["parent", "child", "parent again"]
    assert finished.stderr == ""


UNREAD: Final = """
import structlog, sys
from authz_service.telemetry import logs
logs.configure(log_format="json", level="info")
log = structlog.get_logger()
for _ in range(2000):
    log.info("event", text="x" * 100)
logs.FINISH_WITHIN = logs._Current.patience = 0.1
sys.exit(3)
"""


def test_a_process_whose_log_nobody_reads_ends_with_its_own_status(pipe: _Pipe) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", UNREAD],
        env=environment(), stdout=pipe.write_end, stderr=subprocess.PIPE, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (finished.returncode, finished.stderr) == (3, "")


@pytest.mark.parametrize(
    ("log_format", "parts"),
    [
        ("json", ('"event": "log_lost"', '"level": "warning"', '"lines": 7')),
        ("console", ("log_lost", "warning", "lines=7")),
    ],
)
def test_what_got_lost_is_told_in_the_format_of_the_log(log_format: str, parts: list[str]) -> None:
    line = logs._tell_of_loss(renderers(log_format), 7)
    assert [part for part in parts if part not in line] == []
