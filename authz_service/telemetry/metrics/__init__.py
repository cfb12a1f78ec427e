"""Metrics in the Prometheus format; docs/metrics.md explains each.

Label values come from closed sets and from the policy, never from a request. Each module has the
families of one subject, made at the moment of a scrape: of a Check, all that costs time is to count
it. Everything here belongs to the event loop's thread.
"""

from authz_service.telemetry.metrics.exposition import OPENMETRICS, TEXT, Format, format_for
from authz_service.telemetry.metrics.registry import Metrics
from authz_service.telemetry.metrics.sources import CacheStatistics, KeySetStatus, Sources

__all__ = [
    "OPENMETRICS",
    "TEXT",
    "CacheStatistics",
    "Format",
    "KeySetStatus",
    "Metrics",
    "Sources",
    "format_for",
]
