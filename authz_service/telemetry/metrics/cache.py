"""The cache of verified tokens: what it saves, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from authz_service.telemetry.metrics.families import only_counter, only_gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from authz_service.telemetry.metrics.sources import CacheStatistics


class CacheMetrics(Collector):
    """Reads what the cache counts itself."""

    def __init__(self, token_cache: Callable[[], CacheStatistics]) -> None:
        """*token_cache* gives the figures of the moment."""
        self._token_cache = token_cache

    def collect(self) -> Iterator[Metric]:
        """Make the families."""
        now = self._token_cache()
        hits = "Tokens whose signature was not verified again, since it had been."
        yield only_counter("authz_token_cache_hits", hits, now.hits)
        misses = "Tokens that were looked for in the cache and were not there."
        yield only_counter("authz_token_cache_misses", misses, now.misses)
        evictions = "Tokens that made room for others."
        yield only_counter("authz_token_cache_evictions", evictions, now.evictions)
        yield only_gauge("authz_token_cache_entries", "Tokens in the cache.", now.entries)
        yield only_gauge("authz_token_cache_bytes", "What they take, about.", now.bytes)
