"""Faults of what is written: the disk of the log is full, or nobody reads it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tests.faults.fault import Fault
from tests.faults.service import NOBODY_READS, Start

if TYPE_CHECKING:
    from tests.faults.world import World


async def disk_full_for_the_log(_world: World, seconds: float) -> None:
    """A log that is lost is nobody's refusal."""
    await asyncio.sleep(seconds)


async def log_not_read(_world: World, seconds: float) -> None:
    """A log that waits for its reader keeps nobody waiting."""
    await asyncio.sleep(seconds)


FAULTS: Final = (
    Fault(
        "disk full for the log", disk_full_for_the_log, "nobody waits for the log",
        start=Start(stdout="/dev/full"),
    ),
    Fault(
        "log that nobody reads", log_not_read, "nobody waits for the log",
        start=Start(stdout=NOBODY_READS),
    ),
)  # fmt: skip
