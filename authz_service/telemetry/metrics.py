"""Metrics in the Prometheus format. Label values come from closed sets, never from a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from authz_service.core.decision import refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

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
        self._reloads = Counter(
            "authz_policy_reloads",
            "Reloads of the policy: another one was taken, the same one was found, or none.",
            ("result",),
            registry=self._registry,
        )
        for result in ("changed", "unchanged", "failed"):
            self._reloads.labels(result)
        self._last_reload_successful = Gauge(
            "authz_policy_last_reload_successful",
            "Whether the policy in use is the one on disk as it was last read.",
            registry=self._registry,
        )
        self._last_reload_successful.set(1)

    def count(self, decision: Decision) -> None:
        """Count one answered Check."""
        deny = refusal(decision)
        if deny is None:
            self._decisions.labels("allow", "", "enforce").inc()
        else:
            mode = "enforce" if deny is decision else "audit"
            self._decisions.labels("deny", deny.reason.value, mode).inc()

    def count_reload(self, result: Literal["changed", "unchanged", "failed"]) -> None:
        """Count one reload of the policy."""
        self._reloads.labels(result).inc()
        self._last_reload_successful.set(result != "failed")

    def show_certificate(self, not_after: Callable[[], float]) -> None:
        """Show when the certificate of the gRPC port expires, which *not_after* is asked for."""
        gauge = Gauge(
            "authz_tls_certificate_not_after_seconds",
            "When the certificate of the gRPC port expires, in seconds since the epoch.",
            registry=self._registry,
        )
        gauge.set_function(not_after)

    def exposition(self) -> bytes:
        """The current values in the text format."""
        return generate_latest(self._registry)
