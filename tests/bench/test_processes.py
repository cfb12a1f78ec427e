"""What a process has used, and what it says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from bench.processes import _find, cpu_seconds, resident, running

if TYPE_CHECKING:
    from pathlib import Path

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc and clocks of other processes")


@LINUX
def test_the_clock_of_a_process_is_that_of_its_own() -> None:
    before, ours, after = time.process_time(), cpu_seconds(os.getpid()), time.process_time()
    assert before <= ours <= after


@LINUX
def test_the_clock_of_another_process_counts_what_that_one_does() -> None:
    work = "import time\nwhile time.process_time() < 0.1: pass\nprint(flush=True)\n"
    command = (sys.executable, "-c", f"{work}time.sleep(60)")
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cpu_seconds(process.pid) >= 0.1
        assert resident(process.pid) > 1e6


def test_an_event_is_found_in_whole_lines_beyond_a_place(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = '{"event": "readiness", "ready": false}\n'
    log.write_text(first + '{"event": "readiness", "ready": true}\n{"event": "stopping"')
    assert _find(log, "readiness") == {"event": "readiness", "ready": False}
    assert _find(log, "readiness", ready=True) == {"event": "readiness", "ready": True}
    assert _find(log, "readiness", after=len(first)) == {"event": "readiness", "ready": True}
    assert _find(log, "stopping") is None  # not written to its end yet
    assert _find(log, "ready") is None
