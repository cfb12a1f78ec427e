"""`make soak`: steady load for minutes while faults come and go, and an eye on what is held."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.faults.fault import RATE
from tests.faults.laboratory import TASKS
from tests.faults.process_faults import (
    service_killed,
    service_started_without_issuer,
    service_terminated,
)
from tests.faults.scenarios import FAULTS
from tests.faults.service import LABORATORY
from tests.faults.world import running_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.fault import Fault
    from tests.faults.world import World

_MINUTES: Final = 10.0
_FAULT_SECONDS: Final = (1.0, 6.0)
_CALM_SECONDS: Final = (0.5, 3.0)
_RESTARTS_UNTIL: Final = 0.2
"""Of the time: until then the service is restarted too, afterwards its memory is watched."""

_RESTARTS: Final = frozenset({service_killed, service_terminated, service_started_without_issuer})
_SAMPLE_EVERY: Final = 1.0
_MEMORY_GROWTH: Final = 16.0  # MiB in the second half; a kilobyte for each request is more
_OTHER_GROWTH: Final = 5  # of open files, threads and tasks, which come and go
_SETTLED_AFTER: Final = 3.0  # seconds after the last fault


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process of the service held at a time (seconds from the beginning)."""

    at: float
    pid: int
    memory: float
    files: int
    threads: int
    tasks: int

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.at:5.0f} s: {self.memory:6.1f} MiB, {self.files} open files,"
            f" {self.threads} threads, {self.tasks} tasks"
        )


def growth(samples: list[Sample]) -> list[str]:
    """What has grown too much, when nothing is wrong any more, since the middle of *samples*.

    The memory is compared with that of the middle, all else with the least that there was.
    """
    last, middle = samples[-1], samples[len(samples) // 2]
    found = []
    if last.memory > middle.memory + _MEMORY_GROWTH:
        found.append(f"memory grew from {middle.memory:.1f} to {last.memory:.1f} MiB")
    for name in ("files", "threads", "tasks"):
        least, now = min(getattr(sample, name) for sample in samples), getattr(last, name)
        if now > least + _OTHER_GROWTH:
            found.append(f"{name} grew from {least} to {now}")
    return found


class Watch:
    """Takes samples of the service of *world*, whichever process that is."""

    def __init__(self, world: World) -> None:
        """Begin now."""
        self._world = world
        self._begun = time.monotonic()
        self.samples: list[Sample] = []

    @property
    def of_the_last_process(self) -> list[Sample]:
        """What it held, without the first moments."""
        last = self.samples[-1].pid
        samples = [sample for sample in self.samples if sample.pid == last]
        return samples[min(len(samples) // 10, 10) :]

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Take samples until the end."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError, KeyError):  # while there is no process
                self.take()
            await asyncio.sleep(_SAMPLE_EVERY)

    def take(self) -> None:
        """Take a sample. Raises OSError, ValueError or KeyError where there is no process."""
        held, pid = self._world.service.holdings(), self._world.service.pid
        tasks = int((self._world.directory / TASKS).read_text("ascii"))
        at = time.monotonic() - self._begun
        self.samples.append(Sample(at, pid, held.memory, held.files, held.threads, tasks))


async def _soak(world: World, seconds: float, chosen: random.Random) -> Watch:
    begun, watch = time.monotonic(), Watch(world)
    faults = [fault for fault in FAULTS if fault.start in {None, LABORATORY}]
    async with watch.kept(), world.load.steady(RATE):
        while (at := time.monotonic() - begun) < seconds:
            late = at > seconds * _RESTARTS_UNTIL
            fault = chosen.choice([f for f in faults if not (late and f.strike in _RESTARTS)])
            _tell(at, fault, world)
            await world.use(fault.settings)
            await fault.strike(world, chosen.uniform(*_FAULT_SECONDS))
            await asyncio.sleep(chosen.uniform(*_CALM_SECONDS))
        await asyncio.sleep(_SETTLED_AFTER)
        watch.take()
    return watch


def _tell(at: float, fault: Fault, world: World) -> None:
    print(f"{at:5.0f} s, {world.judge.checks:6} checks, {world.judge.wrong} wrong: {fault}")
    sys.stdout.flush()


async def _run(minutes: float, seed: int) -> int:
    chosen = random.Random(seed)  # noqa: S311 - what is random can be had again
    with tempfile.TemporaryDirectory() as directory:
        async with running_world(Path(directory), ordinary=LABORATORY, seed=seed) as world:
            watch = await _soak(world, minutes * 60, chosen)
            for place in await world.leaks():
                world.judge.complain(f"something of a token is in {place}")
            return _summary(world, watch)


def _summary(world: World, watch: Watch) -> int:
    """Print what came of it, and give the exit status."""
    samples, judge = watch.of_the_last_process, world.judge
    grown = growth(samples)
    quarters = [samples[(len(samples) - 1) * quarter // 4] for quarter in range(5)]
    lines = [f"    {line}" for line in (*judge.complaints, *grown, *map(str, quarters))]
    print(
        f"{judge.checks} checks, {judge.wrong} wrong answers,"
        f" {judge.longest * 1000:.0f} ms to the slowest; the service that ran last:",
        *lines,
        sep="\n",
    )
    return 1 if judge.wrong or grown else 0


def _main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=_MINUTES)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"--minutes {arguments.minutes:g} --seed {arguments.seed}")
    return asyncio.run(_run(arguments.minutes, arguments.seed))


if __name__ == "__main__":
    sys.exit(_main())
