"""Checks are logged in their order, a moment later, each with its own time, and none is lost."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from authz_service.core.decision import Deny, DenyReason
from authz_service.core.request import HttpRequest
from authz_service.ext_authz.servicer import DecidedCheck
from authz_service.server import observer
from authz_service.server.observer import AT_ONCE, GATHERED, CheckObserver
from authz_service.telemetry.logs import checks
from authz_service.telemetry.logs.settings import LogSettings
from authz_service.telemetry.metrics import Metrics
from tests.support.event_loops import eventually
from tests.telemetry.logged import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

MANY = 3 * AT_ONCE + 1


def _check(number: int) -> DecidedCheck:
    request = HttpRequest("GET", "h", "/", (("x-request-id", str(number)),))
    return DecidedCheck(request, Deny(DenyReason.NO_ROUTE), 0.001, context_extensions={"a": "b"})


def _logged(act: Callable[[CheckObserver], Coroutine[None, None, None]]) -> list[dict[str, Any]]:
    """What is logged while the observer is told as *act* has it."""
    observe = CheckObserver(Metrics(), LogSettings(), None)
    return [json.loads(line) for line in lines_of(lambda: asyncio.run(act(observe)), checks)]


def test_checks_are_logged_in_their_order_and_no_sooner_than_others_have_had_their_turn() -> None:
    async def act(observe: CheckObserver) -> None:
        for number in range(MANY):
            observe(_check(number))
        assert len(observe._unlogged) == MANY
        observe._log_in_parts()
        assert len(observe._unlogged) == MANY - AT_ONCE
        await eventually(lambda: not observe._unlogged)

    events = _logged(act)
    assert [event["request_id"] for event in events] == [str(number) for number in range(MANY)]
    assert all(event["context_extensions"] == {"a": "b"} for event in events)


def test_nothing_is_put_down_where_there_is_no_decision_log() -> None:
    async def exchange() -> None:
        observe = CheckObserver(Metrics(), LogSettings(level="warning"), None)
        observe(_check(1))
        assert not observe._unlogged

    asyncio.run(exchange())


def test_the_time_of_a_check_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1_700_000_000_000_000_000, 1_700_000_001_500_000_000])

    async def act(observe: CheckObserver) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: next(moments))
        observe(_check(1))
        observe(_check(2))
        await observe.stop(within=1)

    assert [event["timestamp"] for event in _logged(act)] == [
        "2023-11-14T22:13:20.000000Z",
        "2023-11-14T22:13:21.500000Z",
    ]


def test_they_are_logged_without_anybody_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "GATHER", 0.001)

    async def act(observe: CheckObserver) -> None:
        for number in range(2):
            observe(_check(number))
            await eventually(lambda: not observe._unlogged)

    assert len(_logged(act)) == 2


def test_many_are_not_gathered_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "GATHER", 3600)

    async def act(observe: CheckObserver) -> None:
        for round_ in range(2):
            for number in range(GATHERED - 1):
                observe(_check(round_ * GATHERED + number))
            await asyncio.sleep(0.01)
            assert len(observe._unlogged) == GATHERED - 1
            observe(_check(round_ * GATHERED + GATHERED - 1))
            await eventually(lambda: not observe._unlogged)

    events = _logged(act)
    assert [event["request_id"] for event in events] == [str(n) for n in range(2 * GATHERED)]


def test_one_that_cannot_be_scheduled_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "GATHER", 0.001)

    def fails() -> asyncio.AbstractEventLoop:
        raise MemoryError

    async def act(observe: CheckObserver) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(asyncio, "get_running_loop", fails)
            with pytest.raises(MemoryError):
                observe(_check(1))
        observe(_check(2))
        await eventually(lambda: not observe._unlogged)

    assert [event["request_id"] for event in _logged(act)] == ["2"]


def test_one_that_cannot_be_logged_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = []
    monkeypatch.setattr(observer, "log_bug", lambda event, _error: failed.append(event))

    async def act(observe: CheckObserver) -> None:
        observe(_check(1))
        observe(_check(2)._replace(seconds="no number"))  # type: ignore[arg-type] # a bug
        observe(_check(3))
        observe.flush()

    async def with_bug(observe: CheckObserver) -> None:
        monkeypatch.setattr(observe, "_metrics", _Anything())
        await act(observe)

    assert [event["request_id"] for event in _logged(with_bug)] == ["1", "3"]
    assert failed == ["observer_failed"]


class _Anything:
    """Counts whatever it is given."""

    def count(self, *_arguments: object) -> None:
        """Do nothing."""
