"""Faults of the policy on disk: it is written again and again, in every way, and sometimes junk."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.faults.fault import Fault
from tests.faults.outcomes import ALLOWED, INSUFFICIENT_SCOPE
from tests.faults.phases import STEADY
from tests.faults.shop import READ, WRITE
from tests.faults.traffic import Kind, Signer, issuer_key, signed

if TYPE_CHECKING:
    from tests.faults.world import World

_KIND: Final = "changing"
_JUNK: Final = (
    "", "version: 1\nissuers: [", "\x00\xff", "version: 1\nresources: []\nmode: audited\n",
    "version: 1\nmode: audit\nresources: [{audience: a, routes: [{path: /**}]}]\n",
)  # fmt: skip


async def policy_rewritten(world: World, seconds: float) -> None:
    """Each second another policy, which opens or closes a route; every third time there is junk."""
    world.load.kinds[_KIND] = _changing(world)
    steps = max(4, 2 * round(seconds / 2))
    for step in range(steps):
        until = time.monotonic() + seconds / steps
        if step % 3 == 2:
            await _write_junk(world, _JUNK[step // 3 % len(_JUNK)])
        await _write(world, open_=step % 2 == 1, in_place=step % 4 > 1)
        await asyncio.sleep(until - time.monotonic())
    del world.load.kinds[_KIND]


def _changing(world: World) -> Kind:
    signer = Signer(world.logto.origin, issuer_key("logto"))
    kind = signed(_KIND, ALLOWED, signer, keys_of="logto")
    return replace(kind, path="/changing")


async def _write(world: World, *, open_: bool, in_place: bool) -> None:
    """Write a policy with which the route is open, or not: until it is taken, the old one holds."""
    mark = len(world.service.events)
    text = world.policy(replace(world.settings, changing=READ if open_ else WRITE))
    async with world.turning(STEADY if open_ else STEADY.but(changing=(INSUFFICIENT_SCOPE,))):
        if in_place:
            await _write_slowly(world, text)
        else:
            world.replace_policy(text)
        await world.service.event("policy_reloaded", since=mark)
    for sender in (world.through_envoy, world.directly):
        await world.load.send(world.load.kinds[_KIND], 0, sender)


async def _write_slowly(world: World, text: str) -> None:
    """Write over the file, with a pause in the middle of a word that makes it no policy."""
    half = text.index("issuers:") + 4
    with world.policy_file.open("w", encoding="utf-8") as file:
        for part in (text[:half], text[half:]):
            file.write(part)
            file.flush()
            await asyncio.sleep(0.02)


async def _write_junk(world: World, junk: str) -> None:
    """Write what is no policy: the one in use stays, whatever phase it is."""
    mark = len(world.service.events)
    world.replace_policy(junk)
    await world.service.event("policy_not_reloaded", since=mark)


FAULTS: Final = (
    Fault(
        "policy rewritten every second, by rename and in place, sometimes with junk",
        policy_rewritten,
        "a Check never waits for a policy", frozenset({INSUFFICIENT_SCOPE}),
    ),
)  # fmt: skip
