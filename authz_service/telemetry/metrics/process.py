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
        if self._sources.warnings is not None:
            amiss = "What is amiss and keeps nobody from being served, as /readyz says."
            yield only_gauge("authz_warnings", amiss, self._sources.warnings())
        if self._sources.log_events_lost is not None:
            lost = "Events that could not be written to the log."
            yield only_counter("authz_log_events_lost", lost, self._sources.log_events_lost())
        if self._sources.certificate_validity is not None:
            of_what = "of the gRPC port's certificate, in seconds since the epoch."
            for bound, value in zip(
                ("not_before", "not_after"), self._sources.certificate_validity(), strict=True
            ):
                name = f"authz_tls_certificate_{bound}_seconds"
                yield only_gauge(name, f"The time {bound} {of_what}", value)
