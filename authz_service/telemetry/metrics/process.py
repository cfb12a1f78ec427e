"""The process: what it is built of, whether it is ready, what of its log was lost."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from authz_service.telemetry.metrics.families import gauge, only_counter, only_gauge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from authz_service.telemetry.metrics.sources import Sources


class ProcessMetrics(Collector):
    """What is true of the process as a whole."""

    def __init__(self, sources: Sources) -> None:
        """*sources* know what changes; the versions do not."""
        self._sources = sources
        self._versions = (version("authz-service"), platform.python_version(), version("grpcio"))

    def collect(self) -> Iterator[Metric]:
        """Make the families."""
        labels = ("version", "python", "grpcio")
        yield gauge("authz_build_info", "What is running; always 1.", labels, [(self._versions, 1)])
        if self._sources.ready is not None:
            ready = "Whether requests should be sent here, as /readyz says."
            yield only_gauge("authz_ready", ready, self._sources.ready())
        if self._sources.log_events_lost is not None:
            lost = "Events that could not be written to the log."
            yield only_counter("authz_log_events_lost", lost, self._sources.log_events_lost())
        if self._sources.certificate_not_after is not None:
            expires = "When the certificate of the gRPC port expires, in seconds since the epoch."
            name = "authz_tls_certificate_not_after_seconds"
            yield only_gauge(name, expires, self._sources.certificate_not_after())
