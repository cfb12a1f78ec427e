"""No token, signature, query, cookie or header's value leaves by logs, metrics or probes.

The guard of tests/support/leaks.py looks at all that any test makes the service say. Here it is
given something to find, and the service every occasion to say it.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import prometheus_client
import pytest
import structlog
from aiohttp import web

from authz_service.demo.signing_keys import SigningKeys
from tests.edge.rig import PATIENCE
from tests.edge.shop import check_request
from tests.server.logging_to import logging_to
from tests.server.processes import REPOSITORY, environment, issuer, policy_with, service
from tests.support.leaks import CANARY, GUARD, TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
    from tests.edge.rig import Caller

ISSUER: Final = "https://auth.example.com/oidc"


# The guard finds


def _found() -> set[str]:
    """What was found since the last time, which then does not fail the test."""
    return set(GUARD.take())


def test_a_token_in_an_event_is_found_also_where_it_is_deep_inside() -> None:
    logger = structlog.wrap_logger(structlog.ReturnLogger(), processors=[lambda _l, _m, _e: "-"])
    logger.info("event", problems=[{"why": f"bad: {TOKEN}hbGciOi"}])
    assert _found() == {"eyJ in an event"}
    logger.info("event", problems=[])
    assert _found() == set()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_token_in_what_a_process_writes_is_found(stream: str) -> None:
    program = f"import sys; sys.{stream}.write('e' + 'yJhbGciOi')"
    subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=PATIENCE, check=True
    )
    assert _found() == {"eyJ in the output of a process"}


def test_a_token_that_comes_through_a_pipe_in_pieces_is_found() -> None:
    async def exchange() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c",
            "import sys, time; sys.stdout.write('ey'); sys.stdout.flush(); sys.stdin.readline();"
            "sys.stdout.write('JhbGciOi')",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readexactly(2) == b"ey"
        process.stdin.write(b"\n")
        await process.communicate()

    asyncio.run(exchange())
    assert _found() == {"eyJ in a pipe"}


def test_a_token_in_a_file_that_a_process_has_written_is_found(tmp_path: Path) -> None:
    file = tmp_path / "stderr"
    file.write_bytes(b"\xff eyJhbGciOi")
    GUARD.look_into(file)
    assert _found() == {"eyJ in a file"}


def test_a_token_in_metrics_is_found() -> None:
    registry = prometheus_client.CollectorRegistry()
    counter = prometheus_client.Counter("checks", "Checks.", ("path",), registry=registry)
    counter.labels(f"/verify/{TOKEN}hbGciOi").inc()
    prometheus_client.generate_latest(registry)
    assert _found() == {"eyJ in metrics"}


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/livez"])
def test_a_token_in_what_the_admin_port_answers_is_found(path: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=f"{TOKEN}hbGciOi")

    async def exchange() -> None:
        app = web.Application()
        app.router.add_get(path, answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
            await (await session.get(url)).text()
        await runner.cleanup()

    asyncio.run(exchange())
    assert _found() == {f"eyJ in the answer to {path}"}


LEAKING_TESTS: Final = """
import structlog
def test_that_is_careful():
    structlog.get_logger().info("event", subject="user-1")
def test_that_leaks():
    structlog.get_logger().info("event", token="e" + "yJhbGciOi")
def test_that_prints():
    print("e" + "yJhbGciOi")
"""


def test_the_test_fails_in_which_something_leaked_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "test_leaking.py"
    file.write_text(LEAKING_TESTS)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.leak_reports", "-p", "no:randomly",
         "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path), str(file)],
        env=environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert finished.returncode == 1
    assert "2 failed, 1 passed in" in finished.stdout
    assert "eyJ in an event" in finished.stdout
    assert _found() == {"eyJ in the output of a process"}  # where pytest shows what it has captured


# There is nothing to find


def _claims(**others: object) -> dict[str, object]:
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": ISSUER, "aud": "https://shopping.api", "sub": "user-1", "client_id": "app-1",
        "jti": CANARY, "iat": now, "exp": now + 600, "scope": "read:products", "email": CANARY,
    }  # fmt: skip
    return {name: value for name, value in (claims | others).items() if value is not None}


def _tokens(keys: SigningKeys) -> list[str]:
    """One that is accepted, and one for each step that refuses."""
    stranger = SigningKeys("ES384")
    good = keys.sign(_claims())
    header, payload, signature = good.split(".")
    return [
        good,
        keys.sign(_claims(exp=1)),
        keys.sign(_claims(aud="https://other.api")),
        keys.sign(_claims(scope="")),
        keys.sign(_claims(iss="https://evil.example.com")),
        keys.sign(_claims(sub=None)),
        keys.sign(_claims(sub=[CANARY])),
        stranger.sign(_claims()),
        f"{header}.{payload}.{signature[::-1]}",
        f"{header}.{payload}",
        good + "=",
        good + "A" * 20_000,
        CANARY,
    ]


def _request(token: str, *others: str) -> CheckRequest:
    """A request with `CANARY` wherever a secret may be, and in *others*."""
    names = ("cookie", "user-agent", "x-api-key", "referer", "x-auth-subject", *others)
    headers = [(name, CANARY) for name in names]
    return check_request(f"/products?access_token={CANARY}", token=token, headers=headers)


async def _send_all(caller: Caller, tokens: list[str]) -> None:
    for token in tokens:
        await caller.check(_request(token))
    await caller.check(_request(tokens[0], "authorization"))
    await caller.check(b"\xff" + tokens[0].encode())


def _assert_no_part_is_in(output: str, tokens: list[str]) -> None:
    assert output.count("decision") == len(tokens) + len(["two tokens", "no request"])
    assert len(set(re.findall(r'reason"?[=:] ?"?(\w+)', output))) > len(tokens) / 2
    parts = {part for token in tokens for part in token.split(".") if len(part) > len("alg")}
    assert [part for part in parts if part in output] == []


@pytest.mark.parametrize(
    "options", [(), ("--log-path", "raw", "--log-identity", "hash", "--log-level", "debug")]
)
def test_the_service_says_no_secret_whatever_it_is_sent(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The guard would fail this test; here it is seen that it had enough to look at."""
    keys = SigningKeys("ES384")
    tokens = _tokens(keys)

    async def exchange() -> str:
        async with (
            issuer(keys) as held,
            service(tmp_path, policy_with(ISSUER, held.jwks_uri), *options) as running,
            running.caller() as caller,
        ):
            await running.event("readiness", ready=True)
            await _send_all(caller, tokens)
            for path in ("/metrics", "/readyz"):
                await running.get(path)
            running.process.terminate()
            assert await running.exit_status() == 0
            return (await running._log.read()).decode()

    GUARD.looked_at.clear()
    output = asyncio.run(exchange())
    _assert_no_part_is_in(output, tokens)
    assert ("user-1" in output) is ("hash" not in options)
    assert {"a pipe", "the answer to /metrics", "the answer to /readyz"} <= GUARD.looked_at


def test_the_console_shows_no_secret_either(tmp_path: Path) -> None:
    keys = SigningKeys("ES384")
    tokens = _tokens(keys)
    log = tmp_path / "log"

    async def exchange() -> None:
        options = ("--log-format", "console", "--log-path", "raw", "--log-level", "debug")
        async with issuer(keys) as held:
            policy = policy_with(ISSUER, held.jwks_uri)
            with log.open("wb") as file:
                async with logging_to(file, tmp_path, *options, policy=policy) as running:
                    await _send_all(running.caller, tokens)
                    assert await running.stop() == 0

    asyncio.run(exchange())
    GUARD.look_into(log)
    _assert_no_part_is_in(log.read_text(), tokens)
