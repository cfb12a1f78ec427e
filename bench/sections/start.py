"""From the start of the process to ready, with a key server on loopback."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.minting import KeyServer
from bench.policies import policy
from bench.processes import cpu_seconds, running, serving, wait_until_ready
from bench.rows import Reference, Row, at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.scale import Scale

_IMPORT: Final = "import time, grpc; print(time.process_time(), flush=True)"


@dataclass(frozen=True, slots=True)
class _Start:
    """Seconds on the wall, and of the processor."""

    wall: float
    cpu: float


def rows(scale: Scale) -> Iterator[Row]:
    """The service with ten routes, beside a process that imports gRPC and nothing else."""
    with KeyServer() as keys:
        text = policy([keys.issuer("issuer", "RS256")])
        measured: list[Callable[[], _Start]] = [partial(_service, text, scale), _import]
        starts = scale.turns(measured, 9)
    ours, imports = zip(*starts, strict=True)
    name = "import of grpc"
    walls = Reference(name, [each.wall for each in imports])
    yield Row("start to ready", [each.wall for each in ours], walls, at_most(1))
    cpus = Reference(name, [each.cpu for each in imports])
    yield Row("start to ready: CPU", [each.cpu for each in ours], cpus)


def _service(text: str, scale: Scale) -> _Start:
    started = time.perf_counter()
    with serving(text, scale.directory, leashed=False) as starting:
        wait_until_ready(starting.log)
        return _Start(time.perf_counter() - started, cpu_seconds(starting.pid))


def _import() -> _Start:
    started = time.perf_counter()
    command = (sys.executable, "-c", _IMPORT)
    with running(command, leashed=False, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        cpu = float(process.stdout.readline())
        return _Start(time.perf_counter() - started, cpu)
