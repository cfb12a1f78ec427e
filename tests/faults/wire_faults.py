"""Faults of whoever asks: unknown keys by the thousand, huge tokens, junk, and silence."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from tests.faults.fault import Fault
from tests.faults.outcomes import AMBIGUOUS_PATH, INTERNAL_ERROR, TOKEN_TOO_LARGE, UNKNOWN_KEY
from tests.faults.senders import Directly, check_request
from tests.faults.traffic import Kind, Signer, issuer_key, signed
from tests.support.event_loops import eventually
from tests.support.hostile_issuer import JWKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.judge import Answer
    from tests.faults.senders import Sender
    from tests.faults.traffic import Request
    from tests.faults.world import World

_MANY_UNKNOWN: Final = 10_000
_FEW_UNKNOWN: Final = 300
_LONG: Final = 5.0  # seconds of a fault from which on there is time for many
_AT_ONCE: Final = 32
_HUGE: Final = 60_000  # bytes; Envoy takes 60 KiB of headers
_CONNECTIONS: Final = 30  # of each way to say nothing
_LEFT_OVER: Final = 5  # open files that come and go anyway

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS: Final = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_HALF_A_FRAME: Final = b"\x00\xff\xff\x01\x04\x00\x00\x00\x01\x82"


async def unknown_keys(world: World, seconds: float) -> None:
    """However many key ids nobody knows: the issuer is asked once in each cooldown."""
    attacker = issuer_key("attacker")

    def token(subject: str) -> str:
        key = replace(attacker, kid=subject.replace(" ", "-"))
        return Signer(world.logto.origin, key).mint(subject, {})

    kind = Kind("one of many unknown keys", UNKNOWN_KEY, token, keys_of="logto")
    count = _MANY_UNKNOWN if seconds >= _LONG else _FEW_UNKNOWN
    begun, fetches = time.monotonic(), world.logto.count(JWKS)
    await _send_all(world, kind, count, lambda n: n % 10 == 0)
    fetches = world.logto.count(JWKS) - fetches
    if fetches > (time.monotonic() - begun) / world.settings.cooldown + 1:
        world.judge.complain(f"{fetches} fetches for {count} unknown keys")


async def huge_tokens(world: World, seconds: float) -> None:
    """A token of 60 KB, in all else a good one, is too large."""
    signer = Signer(world.logto.origin, issuer_key("logto"))
    filler = "x" * (_HUGE * 3 // 4 - 600)
    kind = signed("huge", TOKEN_TOO_LARGE, signer, keys_of=None, filler=filler)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await _send_all(world, kind, _AT_ONCE, lambda n: n % 2 == 0)
        await asyncio.sleep(seconds / 20)


async def _send_all(
    world: World, kind: Kind, count: int, through_envoy: Callable[[int], bool]
) -> None:
    """Send requests of *kind* as fast as they are answered, some at once, each another one."""
    numbers = iter(range(count))

    async def send_some() -> None:
        for number in numbers:
            sender = world.through_envoy if through_envoy(number) else world.directly
            await world.load.send(kind, number, sender)

    await asyncio.gather(*(send_some() for _ in range(_AT_ONCE)))


async def half_open(world: World, seconds: float) -> None:
    """Who connects and says nothing, or not enough, keeps nobody from being served."""
    before = world.service.holdings().files
    async with contextlib.AsyncExitStack() as stack:
        for port, octets in (
            (world.listen, b""), (world.listen, _PREFACE), (world.listen, b"GET / HTTP/1.1\r\n"),
            (world.listen, _PREFACE + _SETTINGS + _HALF_A_FRAME),
            (world.admin, b""), (world.admin, b"GET /metrics HTTP/1.1\r\nHost:"),
        ):  # fmt: skip
            for _ in range(_CONNECTIONS):
                stack.enter_context(await _say(port, octets))
        for _ in range(10):
            (await _say(world.listen, _PREFACE)).close()
            if await world.service.get("/livez") != 200:
                world.judge.complain("the admin port does not answer")
            await asyncio.sleep(seconds / 10)
    await eventually(lambda: world.service.holdings().files <= before + _LEFT_OVER)


async def _say(port: int, octets: bytes) -> socket.socket:
    """Connect, say that much, and no more; the end will be abrupt."""
    connection = socket.socket()
    connection.setblocking(False)  # noqa: FBT003 - the library's own
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.sock_sendall(connection, octets)
    return connection


@dataclass
class _Malformed:
    """Sends what cannot be read, for whatever request."""

    directly: Directly
    octets: Iterator[bytes] = field(default_factory=lambda: _damaged(0))

    async def send(self, request: Request, path: str) -> Answer:
        return await self.directly.ask(next(self.octets), request, path)


@dataclass
class _Empty:
    """Sends a Check without anything in it."""

    directly: Directly

    async def send(self, request: Request, path: str) -> Answer:
        return await self.directly.ask(b"", request, path)


def _damaged(seed: int) -> Iterator[bytes]:
    """A good Check with a good token, damaged so that it is none; another one each time."""
    chosen = random.Random(seed)  # noqa: S311 - the same each time
    signer = Signer("https://issuer.example.com", issuer_key("logto"))
    good = signed("damaged", INTERNAL_ERROR, signer, keys_of=None).request(0)
    whole = check_request(good, "/products").SerializeToString()
    while True:
        octets = bytearray(whole[: chosen.randrange(1, len(whole))])
        octets[chosen.randrange(len(octets))] = chosen.randrange(256)
        try:
            CheckRequest.FromString(bytes(octets))
        except DecodeError:
            yield bytes(octets)


async def malformed(world: World, seconds: float) -> None:
    """What cannot be read is refused."""
    unreadable = Kind("unreadable", INTERNAL_ERROR)
    empty = Kind("empty", AMBIGUOUS_PATH)
    senders: list[tuple[Kind, Sender]] = [
        (unreadable, _Malformed(world.directly)), (empty, _Empty(world.directly)),
    ]  # fmt: skip
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.gather(
            *(world.load.send(kind, 0, sender) for kind, sender in senders for _ in range(8))
        )
        await asyncio.sleep(0.05)


FAULTS: Final = (
    Fault(
        "10,000 tokens with different unknown keys", unknown_keys,
        "the one fetch in a cooldown that they share", frozenset({UNKNOWN_KEY}),
    ),
    Fault("tokens of 60 KB", huge_tokens, "nobody waits", frozenset({TOKEN_TOO_LARGE})),
    Fault("half-open connections to both ports", half_open, "nobody waits"),
    Fault(
        "malformed protobuf", malformed, "nobody waits",
        frozenset({INTERNAL_ERROR, AMBIGUOUS_PATH}),
    ),
)  # fmt: skip
