"""Faults of the issuer: it is gone, hangs, dawdles, lies, comes and goes, changes its keys."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final

from tests.faults.fault import Fault
from tests.faults.outcomes import ALLOWED, KEYS_UNAVAILABLE, NO_ANSWER, UNKNOWN_KEY
from tests.faults.phases import STEADY, without_keys
from tests.faults.shop import Settings
from tests.faults.traffic import Signer, issuer_key, signed
from tests.support.event_loops import eventually
from tests.support.hostile_issuer import (
    JWKS,
    OPENID_METADATA,
    Gate,
    has,
    publishes,
    response,
    says,
)
from tests.support.keys import jwk_set

if TYPE_CHECKING:
    from tests.faults.world import World
    from tests.support.hostile_issuer import Behaviour, Exchange, FakeIssuer

_STOLEN: Final = ("nobody-has-it", "key-1")
"""Key ids under which the attacker signs; the second is the issuer's own."""


async def issuer_killed(world: World, seconds: float) -> None:
    """Keys serve on until they are stale; then nothing that needs them passes, till it is back."""
    await world.use(Settings(max_stale=_round(seconds / 2)))
    fetched = await world.a_fetch()
    mark = len(world.service.events)
    await world.logto.stop()
    await asyncio.sleep(fetched + world.settings.max_stale - time.monotonic())
    async with world.turning(without_keys("logto")):
        await world.service.event("key_set_stale", since=mark)
    await asyncio.sleep(seconds / 4)
    async with world.turning(STEADY):
        await world.logto.start()
        await world.service.event("key_set_changed", since=mark)


async def issuer_hung(world: World, seconds: float) -> None:
    """Only who needs a new key waits, until the key set comes or Envoy's time is up."""
    gate = Gate(publishes(issuer_key("logto")))
    await world.use(Settings(timeout=10.0))
    world.logto.serve(gate)
    world.timeline.begin(STEADY.but(unknown_key=(UNKNOWN_KEY, NO_ANSWER)))
    await asyncio.sleep(seconds)
    gate.opened.set()
    world.be_honest()
    await world.a_fetch()
    world.timeline.begin(STEADY)


async def issuer_slow(world: World, seconds: float) -> None:
    """Each answer takes most of the time that a fetch has."""
    honest = publishes(issuer_key("logto"))

    async def dawdles(exchange: Exchange) -> None:
        await asyncio.sleep(world.settings.timeout / 2)
        await honest(exchange)

    world.logto.serve(dawdles)
    await asyncio.sleep(seconds)
    world.be_honest()


async def issuer_lying(world: World, seconds: float) -> None:
    """No lie loses the keys that there are, or has an attacker's keys believed."""
    lies = _lies(world)
    for issuer, path, lie in lies:
        until = time.monotonic() + seconds / len(lies)
        if path != JWKS:  # which is asked for when keys cannot be had where they were
            issuer.serve(says(response(status="500 Internal Server Error")))
        issuer.serve(lie, at=path)
        count = issuer.count(path)
        await eventually(lambda i=issuer, p=path, c=count: i.count(p) > c)  # type: ignore[misc]
        await asyncio.sleep(until - time.monotonic())
        world.be_honest()
    await world.a_fetch()


def _lies(world: World) -> list[tuple[FakeIssuer, str, Behaviour]]:
    """Who says it, where, and what."""
    attacker = [issuer_key("attacker", kid=kid).public for kid in _STOLEN]
    world.partner.serve(has(jwk_set(*attacker)), at="/stolen")
    stolen = f"{world.partner.origin}/stolen"
    other = json.dumps({"issuer": world.partner.origin, "jwks_uri": stolen}).encode()
    nobody = json.dumps({"jwks_uri": stolen}).encode()
    page = "<!doctype html><title>Sign in</title>"
    moved = response(b"", f"Location: {stolen}", status="302 Found")
    private = {**issuer_key("logto").private, "kid": "nobody-has-it", "kty": "oct", "k": "c2VjcmV0"}
    partners = has(jwk_set(issuer_key("partner").public, attacker[0]))
    return [
        (world.logto, JWKS, has(jwk_set())),
        (world.logto, JWKS, has(jwk_set(private))),
        (world.logto, JWKS, has(b'{"keys":' + b"[" * 100_000)),
        (world.logto, JWKS, says(response(page, "Content-Type: text/html"))),
        (world.logto, JWKS, says(response(jwk_set(*attacker), status="500 Internal Server Error"))),
        (world.logto, JWKS, says(moved)),
        (world.logto, OPENID_METADATA, has(other)),
        (world.logto, OPENID_METADATA, has(nobody)),
        (world.logto, OPENID_METADATA, says(moved)),
        (world.partner, JWKS, partners),
    ]


async def issuer_flapping(world: World, seconds: float) -> None:
    """It goes and comes ten times, and whoever looks at the wrong moment finds nobody."""
    for _ in range(10):
        await asyncio.sleep(seconds / 20)
        await world.logto.stop()
        await asyncio.sleep(seconds / 20)
        await world.logto.start()


async def keys_rotated(world: World, seconds: float) -> None:
    """A new key signs each second; two are published, and the one before those is worth nothing."""
    rotations = max(3, round(seconds))
    for number in range(rotations):
        until = time.monotonic() + seconds / rotations
        await _rotate(world, number)
        await asyncio.sleep(until - time.monotonic())
    for number in range(rotations):
        world.load.kinds.pop(f"key {number}", None)
    world.be_honest()


async def _rotate(world: World, number: int) -> None:
    """Sign with key *number* at once; who has it is refused for one cooldown at the most."""
    names = [f"key {number - age}" for age in range(3)]
    keys = [issuer_key(f"logto-{number - age}", kid=f"logto-{number - age}") for age in range(3)]
    either, gone, mark = (ALLOWED, UNKNOWN_KEY), (UNKNOWN_KEY,), len(world.service.events)
    signer = Signer(world.logto.origin, keys[0])
    world.load.kinds.pop(f"key {number - 3}", None)
    world.timeline.begin(STEADY.but(**{names[0]: either, names[2]: either}))
    world.logto.serve(publishes(issuer_key("logto"), *keys[:2]))
    world.load.kinds[names[0]] = signed(names[0], ALLOWED, signer, keys_of="logto")
    bound = world.settings.cooldown + world.settings.timeout
    # All three of them: what was before this fault may be noticed only now.
    found = world.service.event("key_set_changed", since=mark, issuer="logto", keys=3)
    await asyncio.wait_for(found, bound)
    world.timeline.begin(STEADY.but(**{names[2]: gone}))
    for name in names:
        if kind := world.load.kinds.get(name):
            await world.load.send(kind, 0, world.through_envoy)


def _round(seconds: float) -> float:
    return round(seconds, 3)


FAULTS: Final = (
    Fault(
        "issuer killed, for longer than its keys may serve", issuer_killed,
        "nobody waits for a fetch that fails", frozenset({KEYS_UNAVAILABLE}),
    ),
    Fault(
        "issuer hung", issuer_hung,
        "2 s, Envoy's timeout, for tokens with an unknown key; nobody else waits",
        frozenset({UNKNOWN_KEY}),
    ),
    Fault(
        "issuer slow (0.5 s for each answer)", issuer_slow,
        "the one fetch that tokens with an unknown key wait for", frozenset({UNKNOWN_KEY}),
    ),
    Fault(
        "issuer lying: no keys, junk, a page, an error, a redirect, another's metadata or keys",
        issuer_lying, "nobody waits for a fetch that fails",
    ),
    Fault("issuer flapping", issuer_flapping, "nobody waits for a fetch that fails"),
    Fault(
        "keys rotated every second", keys_rotated,
        "the one fetch that tokens with a new key wait for", frozenset({UNKNOWN_KEY}),
    ),
)  # fmt: skip
