"""Checks while keys come, change and fail to come: the real servicer behind a real gRPC server."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc.aio
import pytest

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from authz_service.core.policy import RemoteKeys
from authz_service.core.refresh import RefreshSettings
from authz_service.demo.issuer import DevelopmentIssuer
from authz_service.ext_authz.limits import CheckLimits
from authz_service.ext_authz.servicer import SERVICE_NAME, AuthorizationServicer
from authz_service.keys import Refresher
from authz_service.keys.fetch import HttpFetcher
from authz_service.server.limits import RpcLimits
from authz_service.server.listen import TcpAddress
from authz_service.server.rpc import RpcServer
from tests.support.event_loops import FakeClock, eventually, in_event_loop
from tests.support.hostile_issuer import JWKS, Gate, fake_issuer, hangs, publishes, response, says
from tests.support.keys import signing_key
from tests.support.policies import HOST, LOGTO, shop_policy
from tests.support.tokens import NOW, VALID_CLAIMS, mint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.hostile_issuer import Behaviour, FakeIssuer
    from tests.support.keys import SigningKey

COOLDOWN: Final = 10.0
REFRESH: Final = RefreshSettings(interval=3600.0, cooldown=COOLDOWN, timeout=20.0)
OLD: Final = signing_key(kid="old")
NEW: Final = signing_key(owner="rotated", kid="new")
IMPOSTOR: Final = signing_key(owner="impostor", kid="old")
BURST: Final = 10_000


@dataclass(frozen=True)
class Service:
    """A running service, from its client's end. *clock* is the refresher's, not the tokens'."""

    identifier: str
    refresher: Refresher
    clock: FakeClock
    checks: Callable[..., Awaitable[CheckResponse]]

    def token(self, key: SigningKey = OLD, **header: object) -> str:
        """Mint a token of this issuer that is valid where *key* is one of its keys."""
        return mint({"iss": self.identifier}, header, key=key)

    async def check(self, token: str, *, deadline: float | None = None) -> CheckResponse:
        """Check a request with *token*; raises AioRpcError where that is the answer."""
        request = CheckRequest()
        http = request.attributes.request.http
        http.method, http.host, http.path = "GET", HOST, "/products"
        http.headers["authorization"] = f"Bearer {token}"
        return await self.checks(request, timeout=deadline)

    async def outcome(self, token: str, *, deadline: float | None = None) -> str:
        """Give the reason of a refusal, or `allow`."""
        response = await self.check(token, deadline=deadline)
        if response.HasField("ok_response"):
            assert response.status.code == 0
            return "allow"
        assert response.HasField("denied_response")
        assert response.status.code != 0
        return str(response.dynamic_metadata["reason"])

    async def has_keys(self) -> None:
        """Wait until no issuer is missing."""
        await eventually(lambda: not self.refresher.missing)


@contextlib.asynccontextmanager
async def serving(
    identifier: str, keys: RemoteKeys, *, max_key_wait: float = 20.0
) -> AsyncIterator[Service]:
    """Serve the shop's policy with one issuer, whose keys are fetched from now on."""
    policy = shop_policy(issuer=dataclasses.replace(LOGTO, identifiers=(identifier,), keys=keys))
    clock = FakeClock()
    async with HttpFetcher() as fetcher:
        refresher = Refresher(policy.issuers[:1], fetcher, clock=clock)
        servicer = AuthorizationServicer(
            policy,
            refresher,
            lambda _check: None,
            clock=lambda: NOW,
            limits=CheckLimits(checks=2 * BURST, key_wait=max_key_wait),
        )
        server = RpcServer(servicer, RpcLimits(streams=2 * BURST))
        address = await server.start(TcpAddress("127.0.0.1", 0))
        refresher.start()
        try:
            async with grpc.aio.insecure_channel(
                str(address), options=[("grpc.enable_http_proxy", 0)]
            ) as channel:
                checks = channel.unary_unary(
                    f"/{SERVICE_NAME}/Check",
                    request_serializer=CheckRequest.SerializeToString,
                    response_deserializer=CheckResponse.FromString,
                )
                yield Service(identifier, refresher, clock, checks)
        finally:
            await refresher.stop()
            await server.stop(grace=0)


@contextlib.asynccontextmanager
async def serving_keys_of(
    issuer: FakeIssuer, *, refresh: RefreshSettings = REFRESH, max_key_wait: float = 20.0
) -> AsyncIterator[Service]:
    """Serve with the keys at *issuer*."""
    keys = RemoteKeys(issuer.jwks_uri, refresh=refresh)
    async with serving(issuer.origin, keys, max_key_wait=max_key_wait) as service:
        yield service


@in_event_loop
async def test_ten_thousand_checks_with_unknown_kids_are_denied_and_cause_two_gets() -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        service.clock.advance(COOLDOWN)
        tokens = [service.token(kid=f"unknown-{n}") for n in range(BURST)]
        outcomes = await asyncio.gather(*(service.outcome(token) for token in tokens))
        assert outcomes == ["unknown_key"] * BURST
        assert issuer.count() == 2
        assert issuer.most_at_once == 1
        assert await service.outcome(service.token()) == "allow"


@in_event_loop
async def test_within_the_cooldown_unknown_kids_are_denied_without_a_get_or_a_wait() -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        service.clock.advance(COOLDOWN - 1)
        issuer.serve(hangs)
        tokens = [service.token(kid=f"unknown-{n}") for n in range(500)]
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*(service.outcome(token) for token in tokens))
        assert outcomes == ["unknown_key"] * 500
        assert issuer.count() == 1


@in_event_loop
async def test_a_token_of_a_new_key_is_allowed_at_once_by_the_one_fetch_that_all_wait_for() -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        service.clock.advance(COOLDOWN)
        gate = Gate(publishes(NEW, OLD))
        issuer.serve(gate)
        waiting = [asyncio.create_task(service.outcome(service.token(NEW))) for _ in range(200)]
        await eventually(lambda: issuer.count() == 2)
        assert await service.outcome(service.token(OLD)) == "allow"
        assert not any(check.done() for check in waiting)
        gate.opened.set()
        assert await asyncio.gather(*waiting) == ["allow"] * 200
        assert issuer.count() == 2


@in_event_loop
async def test_a_key_that_has_gone_is_refused_from_the_next_snapshot_on() -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        old_token = service.token(OLD)
        assert await service.outcome(old_token) == "allow"
        issuer.serve(publishes(NEW))
        service.clock.advance(COOLDOWN)
        assert await service.outcome(service.token(NEW)) == "allow"
        assert await service.outcome(old_token) == "unknown_key"
        assert issuer.count() == 2


@in_event_loop
async def test_who_gives_up_waiting_does_not_spoil_it_for_the_others() -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        service.clock.advance(COOLDOWN)
        gate = Gate(publishes(NEW))
        issuer.serve(gate)
        patient = asyncio.create_task(service.outcome(service.token(NEW)))
        hasty = asyncio.create_task(service.outcome(service.token(NEW)))
        await eventually(lambda: issuer.count() == 2)
        hasty.cancel()
        assert await service.outcome(service.token(NEW), deadline=0.3) == "unknown_key"
        gate.opened.set()
        assert await patient == "allow"
        assert hasty.cancelled()
        assert issuer.count() == 2


@in_event_loop
async def test_with_a_hung_key_server_a_check_waits_no_longer_than_its_deadline() -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        issuer.serve(hangs)
        service.clock.advance(COOLDOWN)
        started = time.perf_counter()
        tokens = [service.token(NEW) for _ in range(10)]
        # A deadline that is missed would be an AioRpcError.
        outcomes = await asyncio.gather(*(service.outcome(t, deadline=0.8) for t in tokens))
        assert outcomes == ["unknown_key"] * 10
        assert time.perf_counter() - started > 0.5
        assert issuer.count() == 2
        assert await service.outcome(service.token(OLD), deadline=0.8) == "allow"


@in_event_loop
async def test_with_a_hung_key_server_a_check_without_deadline_waits_as_long_as_we_say() -> None:
    async with (
        fake_issuer({JWKS: publishes(OLD)}) as issuer,
        serving_keys_of(issuer, max_key_wait=0.2) as service,
    ):
        await service.has_keys()
        issuer.serve(hangs)
        service.clock.advance(COOLDOWN)
        started = time.perf_counter()
        assert await service.outcome(service.token(NEW)) == "unknown_key"
        assert 0.2 * 0.9 < time.perf_counter() - started < 5
        assert await service.outcome(service.token(NEW), deadline=30) == "unknown_key"
        assert time.perf_counter() - started < 5
        assert issuer.count() == 2


@pytest.mark.parametrize(
    "useless",
    [
        pytest.param(says(response("<html>")), id="junk"),
        pytest.param(says(response(b'{"keys": []}')), id="empty set"),
        pytest.param(says(response(b"", status="500 Oops")), id="status"),
    ],
)
@in_event_loop
async def test_a_useless_answer_while_checks_wait_is_a_refusal_and_keeps_the_known_keys(
    useless: Behaviour,
) -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        issuer.serve(useless)
        service.clock.advance(COOLDOWN)
        assert await service.outcome(service.token(NEW)) == "unknown_key"
        assert await service.outcome(service.token(OLD)) == "allow"
        assert issuer.count() == 2


@in_event_loop
async def test_a_known_kid_with_a_bad_signature_never_nudges() -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        service.clock.advance(COOLDOWN)
        outcomes = [await service.outcome(service.token(IMPOSTOR)) for _ in range(20)]
        assert outcomes == ["bad_signature"] * 20
        assert await service.outcome(service.token(kid=None)) == "malformed_token"
        assert await service.outcome(service.token(signing_key("ES256", kid="old"))) == (
            "unknown_key"
        )
        assert await service.outcome(service.token(alg="none", kid="x")) == "algorithm_not_allowed"
        assert await service.outcome(service.token(typ="JWT", kid="x")) == "token_type_not_allowed"
        await asyncio.sleep(0)
        assert issuer.count() == 1
        assert await service.outcome(service.token(kid="unknown")) == "unknown_key"
        assert issuer.count() == 2


@in_event_loop
async def test_a_token_of_a_stranger_causes_no_get() -> None:
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer, serving_keys_of(issuer) as service:
        await service.has_keys()
        service.clock.advance(COOLDOWN)
        evil = f"{issuer.origin}/evil"
        headers = {"jku": f"{evil}/jku", "x5u": f"{evil}/x5u", "jwk": IMPOSTOR.public}
        assert await service.outcome(mint({"iss": evil}, key=OLD)) == "unknown_issuer"
        assert await service.outcome(service.token(IMPOSTOR, **headers)) == "bad_signature"
        assert issuer.count() == 1


@in_event_loop
async def test_an_issuer_that_is_down_at_the_start_is_a_503_until_it_is_up() -> None:
    often = dataclasses.replace(REFRESH, interval=0.02, cooldown=7.2)
    async with fake_issuer({JWKS: publishes(OLD)}) as issuer:
        await issuer.stop()
        keys = RemoteKeys(issuer.jwks_uri, refresh=often)
        async with serving(issuer.origin, keys) as service:
            answer = await service.check(service.token())
            assert answer.dynamic_metadata["reason"] == "keys_unavailable"
            assert answer.status.code == grpc.StatusCode.UNAVAILABLE.value[0]
            assert answer.denied_response.status.code == 503
            headers = {
                option.header.key.lower(): option.header.value
                for option in answer.denied_response.headers
            }
            assert headers["retry-after"] == "8"
            assert "www-authenticate" not in headers
            assert await service.outcome(service.token(kid="unknown")) == "keys_unavailable"
            await issuer.start()
            await comes_back(service)
            assert await service.outcome(service.token()) == "allow"


async def comes_back(service: Service) -> None:
    """Let the refresher's clock run until there are keys."""
    while service.refresher.missing:
        service.clock.advance(0.1)
        await asyncio.sleep(0.01)


@in_event_loop
async def test_an_issuer_that_hangs_at_the_start_is_a_503_without_a_wait() -> None:
    async with fake_issuer({JWKS: hangs}) as issuer, serving_keys_of(issuer) as service:
        await eventually(lambda: issuer.count() == 1)
        started = time.perf_counter()
        assert await service.outcome(service.token()) == "keys_unavailable"
        assert time.perf_counter() - started < 5
        assert issuer.count() == 1


@in_event_loop
async def test_a_rotation_at_the_development_issuer_is_smooth() -> None:
    issuer = DevelopmentIssuer([])
    await issuer.start()
    try:
        async with serving(issuer.issuer, RemoteKeys(refresh=REFRESH)) as service:
            await service.has_keys()
            claims = {**VALID_CLAIMS, "iss": issuer.issuer}
            before = issuer.mint(claims)
            assert await service.outcome(before) == "allow"
            issuer.rotate()
            service.clock.advance(COOLDOWN)
            after = [issuer.mint(claims) for _ in range(50)]
            outcomes = await asyncio.gather(*(service.outcome(token) for token in after))
            assert outcomes == ["allow"] * 50
            assert await service.outcome(before) == "allow"
            issuer.rotate(drop_previous=True)
            service.clock.advance(COOLDOWN)
            assert await service.outcome(issuer.mint(claims)) == "allow"
            assert await service.outcome(before) == "unknown_key"
    finally:
        await issuer.stop()
