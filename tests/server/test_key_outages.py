"""Issuers that are down when the service starts, or go down later; and what a key cache does then.

Real processes, and issuers on real sockets.
"""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz_service.demo.signing_keys import SigningKeys
from tests.edge.rig import PATIENCE, reason
from tests.edge.shop import check_request
from tests.server.processes import Service, bound_socket, environment, issuer, policy_of, service
from tests.support.event_loops import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.edge.rig import Caller

LOGTO: Final = "https://auth.example.com/oidc"
PARTNER: Final = "https://partner.example.com"
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


def _logto(uri: str, more: str = "") -> str:
    return f"name: logto, issuer: {LOGTO}, jwks_uri: {uri}{more}"


def _partner(uri: str, more: str = "") -> str:
    return f"name: partner, issuer: {PARTNER}, jwks_uri: {uri}{more}"


def _token(keys: SigningKeys, iss: str = LOGTO) -> str:
    now = int(time.time())
    claims = {"iss": iss, "aud": "https://shopping.api", "sub": "user-1", "client_id": "app-1"}
    return keys.sign({**claims, "jti": "token-1", "iat": now, "exp": now + 600})


async def _answer(caller: Caller, token: str) -> str:
    """Give the reason of a refusal, or `allow`."""
    response = await caller.check(check_request("/products", token=token))
    return reason(response) if response.status.code else "allow"


async def _health(caller: Caller) -> set[int]:
    stub = health_pb2_grpc.HealthStub(caller.channel)
    names = ("", "envoy.service.auth.v3.Authorization")
    requests = [health_pb2.HealthCheckRequest(service=name) for name in names]
    return {(await stub.Check(request, timeout=PATIENCE)).status for request in requests}


async def _ready(running: Service) -> tuple[int, dict[str, Any]]:
    status, body = await running.get("/readyz")
    return status, json.loads(body)


def _nobody() -> str:
    """Give a URL at which nobody listens, and nobody will."""
    with bound_socket() as reserved:
        return f"http://127.0.0.1:{reserved.getsockname()[1]}/jwks"


def test_with_one_issuer_down_at_the_start_the_others_tokens_work(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys, others = SigningKeys("ES384"), SigningKeys("ES384")
        async with issuer(keys) as up:
            policy = policy_of(_logto(up.jwks_uri), _partner(_nobody()))
            async with service(tmp_path, policy) as running, running.caller() as caller:
                failed = await running.event("key_set_not_fetched", issuer="partner")
                assert failed["why"] == "no answer: connection refused"
                while await _answer(caller, _token(keys)) != "allow":
                    pass  # its keys are on their way
                response = await caller.check(
                    check_request("/products", token=_token(others, PARTNER))
                )
                assert reason(response) == "keys_unavailable"
                assert response.denied_response.status.code == 503
                headers = {
                    option.header.key.lower(): option.header.value
                    for option in response.denied_response.headers
                }
                assert int(headers["retry-after"]) > 0
                assert await _health(caller) == {NOT_SERVING}
                status, told = await _ready(running)
                assert (status, told["missing"]) == (503, ["keys of issuer partner"])
                partner = told["issuers"]["partner"]
                assert partner["problem"] == "no answer: connection refused"
                assert partner["without_keys_for"] >= 0
                assert partner["next_fetch_in"] >= 0
                assert told["issuers"]["logto"]["keys"] == 1

    asyncio.run(exchange())


def test_an_issuer_that_is_not_required_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def exchange() -> None:
        policy = policy_of(_partner(_nobody(), ", required: false"))
        async with service(tmp_path, policy) as running, running.caller() as caller:
            await running.event("readiness", ready=True)
            assert await _health(caller) == {SERVING}
            status, told = await _ready(running)
            assert (status, told["ready"], told["missing"]) == (200, True, [])
            assert told["warnings"] == ["no keys of issuer partner, which is not required"]
            assert await _answer(caller, _token(SigningKeys("ES384"), PARTNER)) == (
                "keys_unavailable"
            )
            (tmp_path / "policy.yaml").write_text(policy.replace("false", "true"))
            await running.event("readiness", ready=False, missing=["keys of issuer partner"])
            assert await _health(caller) == {NOT_SERVING}

    asyncio.run(exchange())


def test_keys_that_go_stale_take_the_readiness_with_them(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys = SigningKeys("ES384")
        refresh = ", refresh: {interval: 300ms, max_stale: 300ms, timeout: 100ms, cooldown: 1ms}"
        async with issuer(keys) as held:
            policy = policy_of(_logto(held.jwks_uri, refresh))
            async with service(tmp_path, policy) as running, running.caller() as caller:
                await running.event("readiness", ready=True)
                held.gate.clear()
                await running.event("key_set_stale", issuer="logto")
                await running.event("readiness", ready=False)
                assert await _health(caller) == {NOT_SERVING}
                assert await _answer(caller, _token(keys)) == "keys_unavailable"
                held.gate.set()
                await running.event("readiness", ready=True)

    asyncio.run(exchange())


def test_a_restart_while_the_issuer_is_down_works_with_the_key_cache(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys, rotated = SigningKeys("ES384"), SigningKeys("ES384")
        cache = tmp_path / "cache"
        options = ("--key-cache", str(cache))
        async with issuer(keys) as up:
            policy = policy_of(_logto(up.jwks_uri, ", refresh: {cooldown: 1ms, interval: 1h}"))
            async with service(tmp_path, policy, *options) as running:
                await eventually(lambda: list(cache.glob("*.json")))
                running.signal(signal.SIGTERM)
                assert await running.exit_status() == 0
        assert {stat.S_IMODE(file.stat().st_mode) for file in cache.iterdir()} == {0o600}
        assert stat.S_IMODE(cache.stat().st_mode) == 0o700

        async with service(tmp_path, policy, *options) as running, running.caller() as caller:
            await running.event("key_set_restored", issuer="logto", keys=1)
            await running.event("key_set_not_fetched", issuer="logto")
            assert await _answer(caller, _token(keys)) == "allow"
            assert await _answer(caller, _token(rotated)) == "unknown_key"
            status, told = await _ready(running)
            assert (status, told["missing"], told["warnings"]) == (200, [], [])
            assert told["issuers"]["logto"]["problem"] == "no answer: connection refused"
            assert await _health(caller) == {SERVING}

    asyncio.run(exchange())


def test_a_key_cache_that_is_of_no_use_is_a_warning_and_the_service_starts(tmp_path: Path) -> None:
    async def exchange() -> None:
        cache = tmp_path / "cache"
        cache.mkdir()
        cache.chmod(0o777)
        async with issuer(SigningKeys("ES384")) as up:
            policy = policy_of(_logto(up.jwks_uri))
            async with service(tmp_path, policy, "--key-cache", "cache") as running:
                told = await running.event("key_cache_not_written", directory=str(cache))
                assert str(told["why"]).startswith("others may write to the directory")
                status, ready = await _ready(running)
                assert status == 200
                assert ready["warnings"] == [f"the key cache is not written: {told['why']}"]

    asyncio.run(exchange())


PROGRAM: Final = """
import os, signal, socket, sys, threading
from authz_service.cli import serve
real = socket.getaddrinfo
def getaddrinfo(host, *arguments, **named):
    if host != "auth.example.com":
        return real(host, *arguments, **named)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait()
socket.getaddrinfo = getaddrinfo
serve.command(["--policy", sys.argv[1], "--listen", "127.0.0.1:0", "--admin", "off"])
"""


def test_the_service_ends_though_a_host_name_is_being_looked_up(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(policy_of(_logto("https://auth.example.com/oidc/jwks")))
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(policy)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert finished.stdout.splitlines()[-1].find('"stopped"') > 0
    assert finished.stderr == ""
