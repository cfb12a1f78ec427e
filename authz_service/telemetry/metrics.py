"""Metrics in the Prometheus format. Label values come from closed sets, never from a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from authz_service.core.decision import refusal

if TYPE_CHECKING:
    from authz_service.core.decision import Decision


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self) -> None:
        """Start every count at zero."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._decisions = Counter(
            "authz_decisions",
            "Checks answered, by decision and, for refusals, reason; mode audit is not enforced.",
            ("decision", "reason", "mode"),
            registry=self._registry,
        )

    def count(self, decision: Decision) -> None:
        """Count one answered Check."""
        deny = refusal(decision)
        if deny is None:
            self._decisions.labels("allow", "", "enforce").inc()
        else:
            mode = "enforce" if deny is decision else "audit"
            self._decisions.labels("deny", deny.reason.value, mode).inc()

    def exposition(self) -> bytes:
        """The current values in the text format."""
        return generate_latest(self._registry)
