"""The service sends spans to a real collector, and none of its troubles are the service's."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

import pytest

from tests.edge.rig import PATIENCE
from tests.edge.shop import check_request
from tests.server.processes import PUBLIC_ONLY, bound_socket, service
from tests.support.collector import attributes_of, collector

if TYPE_CHECKING:
    from pathlib import Path

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PARENT: Final = "b7ad6b7169203331"
TRACEPARENT: Final = ("traceparent", f"00-{TRACE}-{PARENT}-01")


def test_each_check_is_a_span_of_the_trace_of_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def exchange() -> None:
        async with collector() as collecting:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collecting.endpoint)
            monkeypatch.setenv("OTEL_SERVICE_NAME", "authz-of-the-shop")
            monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
            async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
                await caller.check(check_request("/healthz", headers=[TRACEPARENT]))
                await caller.check(check_request("/nowhere"))
                first, second = await collecting.received(2)
                running.signal(signal.SIGTERM)
                assert await running.exit_status() == 0
                assert running.errors.read_bytes() == b""
            assert collecting.resource["service.name"] == "authz-of-the-shop"
        assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
        assert attributes_of(first)["authz.decision"] == "allow"
        assert second.parent_span_id == b""
        assert attributes_of(second)["authz.reason"] == "no_route"

    asyncio.run(exchange())


@pytest.mark.parametrize("trouble", ["down", "hung"])
def test_a_collector_that_takes_nothing_holds_up_no_check_and_no_stop(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = bound_socket()

    async def exchange() -> None:
        async with collector() as collecting:
            if trouble == "down":
                collecting.endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            collecting.gate.clear()
            monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collecting.endpoint)
            async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
                await caller.check(check_request("/healthz"))
                if trouble == "down":
                    told = await running.event("traces_trouble")
                    assert "UNAVAILABLE" in str(told["why"])
                else:
                    await asyncio.wait_for(collecting.asked.wait(), PATIENCE)
                for _ in range(20):
                    await caller.check(check_request("/healthz"))
                running.signal(signal.SIGTERM)
                assert await running.exit_status() == 0
                log = [event["event"] for event in await running.rest_of_the_log()]
                assert log[-2:] == ["traces_lost", "stopped"]
                assert running.errors.read_bytes() == b""

    with nobody:
        asyncio.run(exchange())


def test_a_collector_that_hangs_makes_no_failure_of_a_stop_with_little_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def exchange() -> None:
        async with collector() as collecting:
            collecting.gate.clear()
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collecting.endpoint)
            async with (
                service(tmp_path, PUBLIC_ONLY, "--grace", "1") as running,
                running.caller() as caller,
            ):
                await caller.check(check_request("/healthz"))
                running.signal(signal.SIGTERM)
                ended = [event["event"] for event in await running.rest_of_the_log()]
                assert ended[-3:] == ["stopping", "traces_lost", "stopped"]
                assert await running.exit_status() == 0

    asyncio.run(exchange())
