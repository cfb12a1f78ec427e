"""What an operator learns of an overload, and where the service learns of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from grpc_channelz.v1.channelz import ChannelzServicer

from authz_service.demo.signing_keys import SigningKeys
from authz_service.server import calls, overload
from authz_service.server.calls import ServerCalls
from authz_service.server.overload import OverloadLog
from tests.edge.rig import PATIENCE, edge, reason, servicer
from tests.edge.shop import ISSUER, check_request, mint
from tests.server.processes import issuer, policy_with, service
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


def test_an_overload_is_told_once_in_a_second_with_all_that_it_has_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = captured(monkeypatch, overload)
    monkeypatch.setattr(overload, "EVERY", 0.05)

    async def exchange() -> None:
        log = OverloadLog()
        for _ in range(4):
            log.note()
        assert [event["refused"] for event in events] == [1]
        await _until(lambda: len(events) > 1)
        log.note()
        await _until(lambda: sum(event["refused"] for event in events) == 5)

    asyncio.run(exchange())
    assert [event["refused"] for event in events[:2]] == [1, 3]


def test_without_grpcs_account_nothing_waits_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = captured(monkeypatch, calls)

    def gone(*_arguments: object) -> None:
        raise ValueError

    async def exchange() -> None:
        async with edge(servicer()):
            count = ServerCalls()
            monkeypatch.setattr(ChannelzServicer, "GetServer", gone)
            assert [count(), count()] == [0, 0]

    asyncio.run(exchange())
    assert [(event["event"], event["error"]) for event in events] == [
        ("waiting_checks_unknown", "ValueError")
    ]


def test_checks_that_are_refused_unread_are_counted_and_not_logged_one_by_one(
    tmp_path: Path,
) -> None:
    async def exchange() -> None:
        old, new = SigningKeys("ES384"), SigningKeys("ES384")
        async with (
            issuer(old) as held,
            service(
                tmp_path, policy_with(ISSUER, held.jwks_uri),
                "--max-checks", "1", "--max-key-wait", "60",
            ) as running,
            running.caller() as caller,
        ):  # fmt: skip
            await running.event("readiness", ready=True)
            held.gate.clear()
            asked = asyncio.create_task(held.was_asked())
            waiting = asyncio.create_task(caller.check(check_request(token=mint(keys=new))))
            await asked
            for _ in range(5):
                assert reason(await caller.check(check_request("/healthz"))) == "overloaded"
            _status, metrics = await running.get("/metrics")
            held.published = (old, new)
            held.gate.set()
            assert reason(await waiting) != "overloaded"
            running.process.terminate()
            events = await running.rest_of_the_log()
        overloads = [event for event in events if event["event"] == "overloaded"]
        assert overloads[0]["refused"] == 1
        assert len([event for event in events if event["event"] == "check"]) == 1
        assert '{decision="deny",mode="enforce",reason="overloaded",resource=""} 5.0' in metrics

    asyncio.run(exchange())
