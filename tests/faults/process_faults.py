"""Faults of the service's own process: it is killed, stopped, frozen, and its clock is moved."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Final

from tests.faults.fault import Fault
from tests.faults.laboratory import CLOCK
from tests.faults.outcomes import (
    ALLOWED,
    EXPIRED,
    KEYS_UNAVAILABLE,
    NO_ANSWER,
    NOT_YET_VALID,
)
from tests.faults.phases import DOWN, STARTING, STEADY, STUCK, without_keys
from tests.faults.service import LABORATORY
from tests.faults.traffic import LIFETIME, Signer, issuer_key, signed
from tests.support.event_loops import eventually
from tests.support.hostile_issuer import JWKS, Gate, publishes

if TYPE_CHECKING:
    from tests.faults.world import World

_HELD: Final = 8  # Checks that wait for keys when SIGTERM comes

_ON_TIME: Final = ("valid", "valid of the partner", "wrong audience", "wrong scope", "no scope")
_AHEAD: Final = STEADY.but(**dict.fromkeys(_ON_TIME, (EXPIRED,)), **{"for later": (ALLOWED,)})
_BEHIND: Final = STEADY.but(**dict.fromkeys((*_ON_TIME, "for later", "expired"), (NOT_YET_VALID,)))


async def service_killed(world: World, seconds: float) -> None:
    """While there is no service nobody gets in, and as soon as there is one all is well."""
    until = time.monotonic() + seconds
    while True:
        async with world.turning(DOWN):
            await world.service.kill()
        await asyncio.sleep(0.1)
        async with world.turning(STEADY):
            world.timeline.begin(STARTING)
            await world.start_service()
            await world.service.ready()
        await asyncio.sleep(seconds / 8)
        if time.monotonic() >= until:
            return


async def service_terminated(world: World, seconds: float) -> None:
    """Whatever is under way at SIGTERM gets its answer, and another instance takes over."""
    until = time.monotonic() + seconds
    while True:
        gate = Gate(publishes(issuer_key("logto"), issuer_key("logto-held", kid="held")))
        await _at_the_gate(world, gate)
        held = await _held_checks(world)
        await _hand_over(world, gate)
        await asyncio.gather(*held)
        world.be_honest()
        await asyncio.sleep(seconds / 8)
        if time.monotonic() >= until:
            return


async def _at_the_gate(world: World, gate: Gate) -> None:
    """Have a fetch of the keys wait."""
    count = world.logto.count(JWKS)
    world.logto.serve(gate)
    await eventually(lambda: world.logto.count(JWKS) > count)


async def _held_checks(world: World) -> list[asyncio.Task[None]]:
    """Ask about tokens with a key that is not known yet, and return when they have been asked."""
    signer = Signer(world.logto.origin, issuer_key("logto-held", kid="held"))
    kind = signed("held", ALLOWED, signer, keys_of="logto")
    held = [
        asyncio.create_task(world.load.send(kind, number, world.directly))
        for number in range(_HELD)
    ]
    # On the same connection and after those, so that with its answer they are under way.
    await asyncio.create_task(world.load.send(world.load.kinds["public"], 0, world.directly))
    return held


async def _hand_over(world: World, gate: Gate) -> None:
    """End the service with SIGTERM, and start another, which can listen when that has ended."""
    ending, mark = world.service, len(world.service.events)
    world.timeline.begin(STARTING.but(held=(ALLOWED,)))
    ending.send(signal.SIGTERM)
    await ending.event("stopping", since=mark)
    gate.opened.set()
    if status := await ending.ended():
        world.judge.complain(f"the service ended with status {status}")
    await world.start_service()
    await world.service.ready()
    world.timeline.begin(STEADY)


async def service_frozen(world: World, seconds: float) -> None:
    """Whoever waits is sent away by Envoy, and whoever comes when it goes on gets an answer."""
    for _ in range(2):
        async with world.turning(STUCK):
            world.service.send(signal.SIGSTOP)
        await asyncio.sleep(seconds / 3)
        async with world.turning(STEADY):
            world.service.send(signal.SIGCONT)
            await world.load.send(world.load.kinds["public"], 0, world.directly)
        await asyncio.sleep(seconds / 6)


async def service_started_without_issuer(world: World, seconds: float) -> None:
    """A start while an issuer is down serves the others, and says that it is not ready."""
    async with world.turning(DOWN):
        await world.logto.stop()
        await world.service.kill()
    async with world.turning(without_keys("logto")):
        world.timeline.begin(STARTING)
        await world.start_service()
        await world.service.event("key_set_changed", issuer="partner")
    await asyncio.sleep(seconds / 2)
    if await world.service.get("/readyz") != 503:
        world.judge.complain("ready without keys")
    async with world.turning(STEADY):
        await world.logto.start()
        await world.service.ready()
    await asyncio.sleep(seconds / 4)


async def clock_moved(world: World, seconds: float) -> None:
    """Tokens are judged by the time of day as it is, and keys serve on whatever it is."""
    phases = ((2 * LIFETIME, _AHEAD), (0, STEADY), (-3 * LIFETIME, _BEHIND), (5, STEADY))
    for offset, phase in (*phases, (0, STEADY)):
        async with world.turning(phase):
            _set_clock(world, offset)
        await asyncio.sleep(seconds / 5)


def _set_clock(world: World, offset: int) -> None:
    file = world.directory / f"{CLOCK}.new"
    file.write_text(str(offset), "ascii")
    file.rename(world.directory / CLOCK)


FAULTS: Final = (
    Fault(
        "service killed (SIGKILL) and started again", service_killed,
        "nobody waits: Envoy is refused the connection", frozenset({NO_ANSWER}),
    ),
    Fault(
        "service stopped (SIGTERM), another instance takes over", service_terminated,
        "the fetch that tokens with a new key wait for; who comes too late is refused at once",
        frozenset({NO_ANSWER}),
    ),
    Fault("service frozen (SIGSTOP)", service_frozen, "2 s, Envoy's timeout"),
    Fault(
        "service started while an issuer is down", service_started_without_issuer,
        "without keys nobody waits for them", frozenset({KEYS_UNAVAILABLE, NO_ANSWER}),
    ),
    Fault(
        "clock moved by hours, ahead and behind", clock_moved, "nobody waits",
        frozenset({EXPIRED, NOT_YET_VALID}),
        start=LABORATORY,
    ),
)  # fmt: skip
