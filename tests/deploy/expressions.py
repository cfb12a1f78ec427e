"""What is wrong with a PromQL expression about our metrics."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import promql_parser as promql

from authz_service.core.decision import DenyReason
from tests.support.measured import samples, with_everything

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TARGET_LABELS: Final = frozenset({"job", "instance"})
"""What Prometheus itself puts on each series."""

_VALUES: Final[Mapping[str, frozenset[str]]] = {
    "decision": frozenset({"allow", "deny"}),
    "mode": frozenset({"enforce", "audit"}),
    "reason": frozenset(reason.value for reason in DenyReason),
    "result": frozenset({"changed", "unchanged", "failed"}),
}


_EXACT: Final = (promql.MatchOp.Equal, promql.MatchOp.NotEqual)


@dataclass(frozen=True)
class _Selector:
    """A series that an expression asks for, and what it wants of its labels."""

    name: str
    matchers: tuple[tuple[str, promql.MatchOp, str], ...]


@functools.cache
def labels_of_metrics() -> Mapping[str, frozenset[str]]:
    """Every series that the service can have, by name, with its labels; and Prometheus' `up`."""
    return {"up": TARGET_LABELS} | {
        sample.name: frozenset(sample.labels) | TARGET_LABELS
        for sample in samples(with_everything())
    }


def wrong_with(expression: str) -> list[str]:
    """Name every metric, label and value that there is none of. Raises ValueError for no PromQL."""
    wrong = []
    known: set[str] = set()
    nodes = _nodes(promql.parse(expression))
    for selector in _selectors(nodes):
        labels = labels_of_metrics().get(selector.name)
        if labels is None:
            wrong.append(f"no metric {selector.name}")
            continue
        known |= labels
        wrong += _wrong_matchers(selector, labels)
    return wrong + [f"no label {label}" for label in _grouped_by(nodes) - known]


def _wrong_matchers(selector: _Selector, labels: frozenset[str]) -> Iterator[str]:
    for label, operation, value in selector.matchers:
        if label not in labels:
            yield f"no label {label} in {selector.name}"
        elif operation in _EXACT and value not in _VALUES.get(label, {value}):
            yield f"no value {value} of {label}"


def _nodes(expression: promql.Expr) -> list[promql.Expr]:
    found: list[promql.Expr] = []
    promql.walk(expression, found.append)
    return found


def _selectors(nodes: list[promql.Expr]) -> Iterator[_Selector]:
    for node in nodes:
        if isinstance(node, promql.VectorSelector):
            matchers = ((each.name, each.op, each.value) for each in node.matchers.matchers)
            yield _Selector(node.name or "", tuple(matchers))


def _grouped_by(nodes: list[promql.Expr]) -> set[str]:
    labels: set[str] = set()
    for node in nodes:
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            labels |= set(node.modifier.labels)
    return labels
