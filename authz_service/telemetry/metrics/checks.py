"""Checks: what was decided, how long it took, how many are under way."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from authz_service.core.decision import DenyReason, refusal
from authz_service.telemetry.metrics.families import counter, only_counter, only_gauge

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from prometheus_client.core import Metric

    from authz_service.core.decision import Decision
    from authz_service.telemetry.metrics.sources import Sources

    _Labels = tuple[str, str, str, str]

BUCKETS: Final = (
    50e-6, 100e-6, 250e-6, 500e-6,
    1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0,
)  # fmt: skip
"""Upper bounds in seconds: a Check takes some 100 µs, and 2 s where it waits for keys."""

_SERIES_AT_ONCE: Final = 50  # about half a millisecond
# An alert asks for an increase, and a series that begins with 1 has none.
_FROM_THE_START: Final = (("deny", DenyReason.INTERNAL_ERROR.value, "enforce", ""),)


class CheckMetrics(Collector):
    """Counts Checks. A resource that has gone with a reload has no series any more."""

    def __init__(self, sources: Sources) -> None:
        """Nothing was counted yet. *sources* know how many Checks are under way, or given up."""
        self._sources = sources
        self._decisions: Counter[_Labels] = Counter(dict.fromkeys(_FROM_THE_START, 0))
        self._durations = {"allow": _Durations(), "deny": _Durations()}
        self._shed = 0

    def count(self, decision: Decision, seconds: float) -> None:
        """Count one Check that was answered after *seconds*."""
        deny = refusal(decision)
        resource = "" if decision.match is None else decision.match.route.resource
        if deny is None:
            labels = ("allow", "", "enforce", resource)
        else:
            mode = "enforce" if deny is decision else "audit"
            labels = ("deny", deny.reason.value, mode, resource)
            self._shed += deny.reason is DenyReason.OVERLOADED
        self._decisions[labels] += 1
        self._durations[labels[0]].observe(seconds)

    def keep(self, resources: Collection[str]) -> None:
        """Forget the series of every resource that is not among *resources*."""
        kept = {"", *resources}
        self._decisions = Counter(
            {labels: n for labels, n in self._decisions.items() if labels[3] in kept}
        )

    def collect(self) -> Iterator[Metric]:
        """Make the families; of the decisions, of which there may be thousands, in parts."""
        values = iter(list(self._decisions.items()))
        while part := list(islice(values, _SERIES_AT_ONCE)):
            yield counter(
                "authz_decisions",
                "Checks answered, by decision and, for refusals, reason; mode audit is not"
                " enforced, and resource is empty where no route matched.",
                ("decision", "reason", "mode", "resource"),
                part,
            )
        yield self._duration()
        shed = "Checks refused at once because too many were under way."
        yield only_counter("authz_checks_shed", shed, self._shed)
        if self._sources.in_flight is not None:
            under_way = "Checks that have arrived and have not been answered."
            yield only_gauge("authz_checks_in_flight", under_way, self._sources.in_flight())
        if self._sources.abandoned is not None:
            gone = "Checks that were not decided, since their callers had gone."
            yield only_counter("authz_checks_abandoned", gone, self._sources.abandoned())

    def _duration(self) -> Metric:
        family = HistogramMetricFamily(
            "authz_check_duration_seconds",
            "From a Check as it was read to its answer as it was made, waiting for keys included.",
            labels=("decision",),
        )
        for decision, durations in self._durations.items():
            family.add_metric((decision,), durations.buckets(), durations.sum)
        return family


class _Durations:
    """How many Checks took how long, in all of the buckets and beyond."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Every upper bound, and how many were not above it."""
        bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))
