"""The service lets go of known tokens when their keys or its policy change, used again or not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc.aio
import pytest

from authz_service.core.verified import TokenCacheLimits
from authz_service.demo.signing_keys import SigningKeys
from authz_service.keys.fetch import Fetched
from authz_service.policy.files import FilesRead
from authz_service.server.listen import UnixAddress
from authz_service.server.loading import Loaded
from authz_service.server.service import _Service
from authz_service.server.settings import ServeSettings
from tests.edge.rig import Caller, reason
from tests.edge.shop import check_request, policy_from
from tests.server.processes import policy_with
from tests.support.event_loops import eventually
from tests.support.memory_fetcher import MemoryFetcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from authz_service.core.verified import CacheStatistics

ISSUER: Final = "https://auth.example.com/oidc"
JWKS_URI: Final = "https://auth.example.com/jwks"
POLICY: Final = policy_with(ISSUER, JWKS_URI)


def published(*keys: SigningKeys) -> Fetched:
    entries = [entry for each in keys for entry in each.jwk_set()["keys"]]
    return Fetched(json.dumps({"keys": entries}).encode())


def minted(keys: SigningKeys) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "https://shopping.api", "sub": "user-1", "client_id": "app-1"}
    times = {"iat": now, "exp": now + 600}
    return keys.sign({**claims, **times, "jti": "token-1", "scope": "read:products"})


@dataclass
class Running:
    """The service in this process, with a network in memory."""

    service: _Service
    fetcher: MemoryFetcher
    caller: Caller

    @property
    def statistics(self) -> CacheStatistics:
        return self.service._verified.statistics()

    async def outcome(self, token: str) -> str:
        """Give the reason of a refusal, or `allow`."""
        response = await self.caller.check(check_request(token=token))
        return reason(response) if response.status.code else "allow"


@contextlib.asynccontextmanager
async def running(
    directory: Path, *keys: SigningKeys, limits: TokenCacheLimits | None = None
) -> AsyncIterator[Running]:
    """Serve by `POLICY` with *keys* published, until the end of the block."""
    path = directory / "authz.sock"
    fetcher = MemoryFetcher({JWKS_URI: published(*keys)})
    cache = limits or TokenCacheLimits()
    settings = ServeSettings((), UnixAddress(path), None, token_cache=cache)
    service = _Service(settings, Loaded(policy_from(POLICY), FilesRead()), fetcher)
    task = asyncio.create_task(service.run())
    try:
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
            await eventually(lambda: not service._refresher.missing)
            yield Running(service, fetcher, Caller(channel))
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_tokens_whose_key_has_gone_are_let_go_when_the_keys_change(tmp_path: Path) -> None:
    async def exchange() -> None:
        old, new = SigningKeys("ES384"), SigningKeys("ES384")
        async with running(tmp_path, old) as service:
            token = minted(old)
            assert [await service.outcome(token) for _ in range(3)] == ["allow"] * 3
            assert (service.statistics.hits, service.statistics.entries) == (2, 1)
            service.fetcher.answers[JWKS_URI] = published(new)
            unknown = new.sign({"iss": ISSUER}, header={"kid": "unknown"})
            assert await service.outcome(unknown) == "unknown_key"  # and has the keys fetched
            assert service.statistics.entries == 0
            assert await service.outcome(token) == "unknown_key"
            assert await service.outcome(minted(new)) == "allow"
            assert (service.statistics.hits, service.statistics.misses) == (2, 2)

    asyncio.run(exchange())


def test_keys_that_are_withdrawn_take_their_tokens_along(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys = SigningKeys("ES384")
        async with running(tmp_path, keys) as service:
            token = minted(keys)
            assert await service.outcome(token) == "allow"
            service.service._refresher.update(())
            assert service.statistics.entries == 0
            assert await service.outcome(token) == "keys_unavailable"

    asyncio.run(exchange())


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (POLICY, "allow"),
        (POLICY.replace("read:products", "admin"), "insufficient_scope"),
        (POLICY.replace("https://shopping.api", "https://other.api"), "wrong_audience"),
        (POLICY.replace(ISSUER, "https://elsewhere.example.com"), "unknown_issuer"),
    ],
    ids=["the same again", "scope", "audience", "issuer"],
)
def test_a_reload_takes_every_token_along_and_is_what_counts(
    tmp_path: Path, text: str, outcome: str
) -> None:
    async def exchange() -> None:
        keys = SigningKeys("ES384")
        async with running(tmp_path, keys) as service:
            token = minted(keys)
            assert await service.outcome(token) == "allow"
            await service.service._take(policy_from(text))
            assert service.statistics.entries == 0
            assert await service.outcome(token) == outcome
            assert service.statistics.hits == 0

    asyncio.run(exchange())


def test_a_service_without_a_cache_verifies_each_time(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys = SigningKeys("ES384")
        async with running(tmp_path, keys, limits=TokenCacheLimits(entries=0)) as service:
            token = minted(keys)
            assert [await service.outcome(token) for _ in range(2)] == ["allow"] * 2
            assert (service.statistics.hits, service.statistics.misses) == (0, 2)

    asyncio.run(exchange())
