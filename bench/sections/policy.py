"""Policies that are loaded, linted, tested and evaluated.

`test` is timed by the clock on the wall, as whoever waits for it does, and what is one thread's
work by the processor's time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Final

from authz_service.core.conditions import RequestAttributes
from authz_service.core.request import Host, HttpRequest
from authz_service.policy import load_policy
from authz_service.policy.lint import RULES
from authz_service.policy.loader import load
from authz_service.policy.when import WhenExpression
from bench.large_policies import SHOP, cases, of_many_hosts, of_one_resource, of_services
from bench.rows import Reference, Row, at_most, times
from tests.support.hostile_input import SHAPES, SHARES, hostile_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from authz_service.core.strict_json import JsonObject
    from authz_service.policy.loader import LoadedPolicy
    from bench.rows import Target
    from bench.scale import Scale

_CASES: Final = 1_000
_ROUTES: Final = (1_000, 10_000)
_LINTED: Final = (600, 2_400)
_COMMON: Final = "claims.organization_id == path.id && 'admin' in claims.roles"
_REPEATS: Final = 1_000
_ROUNDS: Final = 9


def rows(scale: Scale) -> Iterator[Row]:
    """Each beside a small one of its kind."""
    yield _test(scale)
    yield _lint(scale, of_one_resource, code="unreachable-route", one_in=3)
    yield _lint(scale, of_many_hosts, code="hidden-by-host", one_in=2)
    yield _when(scale.pick(_ROUNDS, 1))
    yield _load(scale)


def _beside(
    name: str,
    measured: Callable[[], float],
    reference: tuple[str, Callable[[], float]],
    scale: Scale,
    target: Target,
) -> Row:
    called, small = reference
    figures, references = zip(*scale.turns([measured, small], _ROUNDS), strict=True)
    return Row(name, figures, Reference(called, references), target)


def _test(scale: Scale) -> Row:
    policy = _write(scale.directory, "shop.yaml", SHOP)
    many, one = (
        partial(
            _seconds_of_test,
            policy,
            _write(scale.directory, f"cases_{size}.yaml", cases(size)),
            size,
        )
        for size in (_CASES, 1)
    )
    return _beside(f"test of {_CASES:,} cases", many, ("of one case", one), scale, at_most(2))


def _seconds_of_test(policy: Path, file: Path, size: int) -> float:
    """How long the whole process takes."""
    command = [sys.executable, "-m", "authz_service", "test", "--policy", str(policy), str(file)]
    started = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    seconds = time.perf_counter() - started
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{size} passed" in result.stdout, result.stdout
    return seconds


def _lint(scale: Scale, policy_of: Callable[[int], str], *, code: str, one_in: int) -> Row:
    """*one_in* is how many routes there are for each that has a warning of *code*."""
    few, many = (
        partial(
            _seconds_of_rules,
            load([_write(scale.directory, f"lint_{size}.yaml", policy_of(size))], environment={}),
            code,
            size // one_in,
        )
        for size in _LINTED
    )
    target = times(2 * _LINTED[1] / _LINTED[0])  # what is quadratic takes twice that
    name = f"lint of {_LINTED[1]:,} routes {policy_of.__name__}".replace("_", " ")
    return _beside(name, many, (f"of {_LINTED[0]}", few), scale, target)


def _seconds_of_rules(loaded: LoadedPolicy, code: str, warnings: int) -> float:
    started = time.process_time()
    found = {name: len(list(rule(loaded))) for name, rule in RULES.items()}
    seconds = time.process_time() - started
    assert found[code] == warnings
    return seconds


def _load(scale: Scale) -> Row:
    few, many = (
        partial(_seconds_of_load, _write(scale.directory, f"routes_{size}.yaml", of_services(size)))
        for size in _ROUTES
    )
    name = f"load of {_ROUTES[1]:,} routes"
    return _beside(name, many, (f"of {_ROUTES[0]:,}", few), scale, at_most(2))


def _seconds_of_load(file: Path) -> float:
    started = time.process_time()
    load_policy([file], environment={})
    return time.process_time() - started


def _when(rounds: int) -> Row:
    """Every hostile input in every round; the one with the worst median counts."""
    common = WhenExpression.parse(_COMMON)
    hostile: dict[str, list[float]] = defaultdict(list)
    references = []
    for number in range(rounds + 1):
        taken = list(_hostile_seconds())
        seconds_of_common = _seconds_of_common(common)
        if number:  # the first warms up
            references.append(seconds_of_common)
            for name, seconds in taken:
                hostile[name].append(seconds)
    worst = max(hostile, key=lambda name: median(hostile[name]))
    reference = Reference("a common one", references)
    return Row(f"when: {worst}", hostile[worst], reference, at_most(0.02))


def _hostile_seconds() -> Iterator[tuple[str, float]]:
    """How long each shape takes at each of its sizes, in CPU time of this thread."""
    for shape in SHAPES:
        expression = WhenExpression.parse(shape.text)
        for share in SHARES:
            for same in (False, True):
                claims, attributes = shape.claims(share), hostile_attributes(share, same=same)
                name = f"{shape.text} at {share:.0%}{', one letter' if same else ''}"
                yield name, _seconds_of_when(expression, claims, attributes)


def _seconds_of_when(
    expression: WhenExpression, claims: JsonObject, attributes: RequestAttributes
) -> float:
    started = time.thread_time()
    expression.holds(claims, attributes)
    return time.thread_time() - started


def _seconds_of_common(expression: WhenExpression) -> float:
    """How long one evaluation takes, on the average of many."""
    claims: JsonObject = {"sub": "alice", "organization_id": "o1", "roles": ["reader", "admin"]}
    attributes = RequestAttributes(HttpRequest("GET", "h", "/o1"), Host("h"), {"id": "o1"})
    started = time.thread_time()
    for _ in range(_REPEATS):
        assert expression.holds(claims, attributes)
    return (time.thread_time() - started) / _REPEATS


def _write(directory: Path, name: str, text: str) -> Path:
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file
