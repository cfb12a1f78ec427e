"""Key sets, by issuer: how old they are, and how the fetching goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from authz_service.telemetry.metrics.families import counter, gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from authz_service.telemetry.metrics.sources import KeySetStatus

_ISSUER = ("issuer",)


class KeyMetrics(Collector):
    """Reads what the refresher says of each issuer. One that has gone has no series any more."""

    def __init__(self, key_sets: Callable[[], Iterable[KeySetStatus]]) -> None:
        """*key_sets* gives the status of each issuer's key set."""
        self._key_sets = key_sets

    def collect(self) -> Iterator[Metric]:
        """Make the families."""
        statuses = tuple(self._key_sets())
        yield gauge(
            "authz_key_set_keys",
            "Usable keys that the service has of an issuer.",
            _ISSUER,
            [((status.issuer,), status.keys) for status in statuses],
        )
        yield gauge(
            "authz_key_set_dropped_keys",
            "Keys of the issuer's key set that cannot be used, and are left out.",
            _ISSUER,
            [((status.issuer,), status.dropped) for status in statuses],
        )
        yield gauge(
            "authz_key_set_required",
            "Whether the service is not ready without the issuer's keys.",
            _ISSUER,
            [((status.issuer,), status.required) for status in statuses],
        )
        yield from _times(statuses)
        yield from _fetching(statuses)


def _times(statuses: Iterable[KeySetStatus]) -> Iterator[Metric]:
    yield gauge(
        "authz_key_set_age_seconds",
        "Since the issuer's key set was last fetched; no series without keys, and for a file.",
        _ISSUER,
        [((status.issuer,), status.age) for status in statuses if status.age is not None],
    )
    yield gauge(
        "authz_key_set_stale_in_seconds",
        "Until the issuer's keys are withdrawn, unless a fetch succeeds before.",
        _ISSUER,
        [((status.issuer,), status.stale_in) for status in statuses if status.stale_in is not None],
    )


def _fetching(statuses: Iterable[KeySetStatus]) -> Iterator[Metric]:
    yield counter(
        "authz_key_fetches",
        "Fetches of the issuer's key set that have ended: another one, the same one, or none.",
        ("issuer", "result"),
        [
            ((status.issuer, str(result)), count)
            for status in statuses
            for result, count in status.fetches.items()
        ],
    )
    yield counter(
        "authz_key_nudges",
        "Checks that asked for a fresher key set, because their token's key is not in this one.",
        _ISSUER,
        [((status.issuer,), status.nudges) for status in statuses],
    )
