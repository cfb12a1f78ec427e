"""Faults of the key cache: its disk is full, its files are spoiled; and what it is good for."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING, Final

from tests.faults.fault import Fault
from tests.faults.issuer_faults import keys_rotated
from tests.faults.outcomes import KEYS_UNAVAILABLE, NO_ANSWER, UNKNOWN_KEY
from tests.faults.phases import DOWN, STARTING, STEADY, without_keys
from tests.faults.service import Start

if TYPE_CHECKING:
    from tests.faults.world import World

_CACHE: Final = "key-cache"
_START: Final = Start(options=("--key-cache", _CACHE))


async def disk_full_for_keys(world: World, seconds: float) -> None:
    """Keys that cannot be written are used all the same, and written when there is space."""
    pid, mark = world.service.pid, len(world.service.events)
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    await world.service.event("key_cache_not_written", since=mark)
    await keys_rotated(world, seconds)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    await world.service.event("key_cache_written", since=mark)


async def restarted_in_an_outage(world: World, seconds: float) -> None:
    """A service that starts while an issuer is down has its keys from the disk."""
    await world.a_fetch()
    await _end(world)
    await world.start_service()
    await world.service.event("key_set_restored", issuer="logto")
    await world.service.ready()
    world.timeline.begin(STEADY)
    await asyncio.sleep(seconds / 2)
    await world.logto.start()
    await world.a_fetch()


async def restarted_with_spoiled_keys(world: World, seconds: float) -> None:
    """What is on the disk is not believed if it was cut short."""
    await _end(world)
    for file in (world.directory / _CACHE).iterdir():
        octets = file.read_bytes()
        file.write_bytes(octets[: len(octets) // 2])
    await world.start_service()
    await world.service.event("key_set_changed", issuer="partner")
    world.timeline.begin(without_keys("logto"))
    await asyncio.sleep(seconds / 2)
    async with world.turning(STEADY):
        await world.logto.start()
        await world.service.ready()


async def _end(world: World) -> None:
    """End both the issuer and the service, abruptly."""
    async with world.turning(DOWN):
        await world.logto.stop()
        await world.service.kill()
    world.timeline.begin(STARTING)


FAULTS: Final = (
    Fault(
        "disk full for the key cache, keys rotated every second", disk_full_for_keys,
        "the one fetch that tokens with a new key wait for", frozenset({UNKNOWN_KEY}),
        start=_START,
    ),
    Fault(
        "service killed and started again while an issuer is down, with a key cache",
        restarted_in_an_outage,
        "nobody waits: Envoy is refused the connection", frozenset({NO_ANSWER}), start=_START,
    ),
    Fault(
        "the same, with the files of the key cache cut short", restarted_with_spoiled_keys,
        "without keys nobody waits for them", frozenset({KEYS_UNAVAILABLE, NO_ANSWER}),
        start=_START,
    ),
)  # fmt: skip
