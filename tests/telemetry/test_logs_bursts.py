"""What somebody may bring about as often as they like is told a bounded number of times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from authz_service.telemetry.logs.bursts import BOUNDED, BURST, EVERY, Bursts
from tests.support.event_loops import FakeClock

if TYPE_CHECKING:
    from structlog.typing import EventDict


class _Log:
    """Passes events through, and keeps those that come out."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[EventDict] = []
        self._bursts = Bursts(self.clock)

    def tell(self, event: str, times: int = 1) -> int:
        """How many of *times* come out."""
        before = len(self.events)
        for _ in range(times):
            try:
                self.events.append(self._bursts(None, "error", {"event": event}))
            except structlog.DropEvent:
                continue
        return len(self.events) - before


@pytest.mark.parametrize("event", sorted(BOUNDED))
def test_a_flood_of_faults_is_a_few_lines(event: str) -> None:
    log = _Log()
    assert log.tell(event, 10_000) == BURST
    log.clock.advance(EVERY)
    assert log.tell(event, 10_000) == 1
    assert log.events[-1] == {"event": event, "suppressed": 10_000 - BURST}


def test_what_was_suppressed_is_told_once() -> None:
    log = _Log()
    log.tell("check_failed", BURST + 5)
    log.clock.advance(2 * EVERY)
    assert log.tell("check_failed", 2) == 2
    assert [event.get("suppressed") for event in log.events[-2:]] == [5, None]


def test_after_a_quiet_time_there_is_room_for_a_burst_again_and_no_more() -> None:
    log = _Log()
    log.tell("check_failed", BURST)
    log.clock.advance(1000 * BURST * EVERY)
    assert log.tell("check_failed", 1000) == BURST


def test_one_fault_does_not_hide_another() -> None:
    log = _Log()
    log.tell("check_unreadable", 1000)
    assert log.tell("check_failed") == 1


@pytest.mark.parametrize("event", ["check", "key_set_stale", "policy_not_reloaded", "log_lost"])
def test_decisions_and_what_the_service_does_are_always_told(event: str) -> None:
    assert _Log().tell(event, 1000) == 1000
