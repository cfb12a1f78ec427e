"""Families of metrics that are made when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    Values = Iterable[tuple[tuple[str, ...], float]]
    """The values of the labels, in their order, with the value of the series."""


def gauge(name: str, meaning: str, labels: tuple[str, ...], values: Values) -> Metric:
    """Make a gauge with one series for each of *values*."""
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for of_labels, value in values:
        family.add_metric(of_labels, value)
    return family


def counter(name: str, meaning: str, labels: tuple[str, ...], values: Values) -> Metric:
    """Make a counter, whose series end in `_total`, with one for each of *values*."""
    family = CounterMetricFamily(name, meaning, labels=labels)
    for of_labels, value in values:
        family.add_metric(of_labels, value)
    return family


def only_gauge(name: str, meaning: str, value: float) -> Metric:
    """Make a gauge with one series, which has no labels."""
    return gauge(name, meaning, (), [((), value)])


def only_counter(name: str, meaning: str, value: float) -> Metric:
    """Make a counter with one series, which has no labels."""
    return counter(name, meaning, (), [((), value)])
