"""The policy: which one is in use, and how its reloads went."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from prometheus_client.registry import Collector

from authz_service.telemetry.metrics.families import counter, gauge, only_gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

Result = Literal["changed", "unchanged", "failed"]


class PolicyMetrics(Collector):
    """Counts reloads."""

    def __init__(
        self, policy_hash: Callable[[], str] | None, clock: Callable[[], float] = time.time
    ) -> None:
        """There was no reload yet: the policy is the one of the start, a moment ago by *clock*."""
        self._policy_hash = policy_hash
        self._clock = clock
        self._reloads: dict[Result, int] = {"changed": 0, "unchanged": 0, "failed": 0}
        self._successful = True
        self._succeeded_at = clock()

    def count(self, result: Result) -> None:
        """Count one reload."""
        self._reloads[result] += 1
        self._successful = result != "failed"
        if self._successful:
            self._succeeded_at = self._clock()

    def collect(self) -> Iterator[Metric]:
        """Make the families."""
        yield counter(
            "authz_policy_reloads",
            "Reloads of the policy: another one was taken, the same one was found, or none.",
            ("result",),
            [((result,), count) for result, count in self._reloads.items()],
        )
        in_step = "Whether the policy in use is the one on disk as it was last read."
        yield only_gauge("authz_policy_last_reload_successful", in_step, self._successful)
        yield only_gauge(
            "authz_policy_last_reload_success_timestamp_seconds",
            "When the policy was last read from disk and was good, since the epoch.",
            self._succeeded_at,
        )
        if self._policy_hash is not None:
            yield gauge(
                "authz_policy_info",
                "The policy in use, by the SHA-256 of its files; always 1.",
                ("hash",),
                [((self._policy_hash(),), 1)],
            )
