"""Are policies loaded, linted, tested and evaluated fast enough? A table with a reference each.

Ends with status 1 if a target is missed. Each figure is the median of several rounds, with the
least and the greatest, and its reference takes turns with it. `test` is timed by the clock on the
wall as whoever waits for it does, and what is one thread's work by the processor's time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from authz_service.core.conditions import RequestAttributes
from authz_service.core.request import Host, HttpRequest
from authz_service.policy import load_policy
from authz_service.policy.lint import RULES
from authz_service.policy.loader import load
from authz_service.policy.when import WhenExpression
from bench.comparison import Comparison, Limit, in_turns, table
from bench.large_policies import SHOP, cases, of_many_hosts, of_one_resource, of_services
from tests.support.hostile_input import SHAPES, SHARES, hostile_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from authz_service.core.strict_json import JsonObject
    from authz_service.policy.loader import LoadedPolicy

_CASES: Final = 1_000
_ROUTES: Final = (1_000, 10_000)
_LINTED: Final = (600, 2_400)
_COMMON: Final = "claims.organization_id == path.id && 'admin' in claims.roles"
_REPEATS: Final = 1_000
_ROUNDS: Final = 9
_QUICK_ROUNDS: Final = 3


def main(rounds: int) -> int:
    """Run the benchmark and give the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        comparisons = list(_compare(Path(directory), rounds))
    print(table(comparisons))
    return 0 if all(each.is_met for each in comparisons) else 1


def _compare(directory: Path, rounds: int) -> Iterator[Comparison]:
    yield _test(directory, rounds)
    yield _lint(directory, rounds, of_one_resource, code="unreachable-route", one_in=3)
    yield _lint(directory, rounds, of_many_hosts, code="hidden-by-host", one_in=2)
    yield _when(rounds)
    yield _load(directory, rounds)


def _test(directory: Path, rounds: int) -> Comparison:
    policy = _write(directory, "shop.yaml", SHOP)
    many, one = (
        partial(
            _seconds_of_test, policy, _write(directory, f"cases_{size}.yaml", cases(size)), size
        )
        for size in (_CASES, 1)
    )
    figures, references = in_turns(many, one, rounds)
    limit = Limit(seconds=2)
    return Comparison(f"test of {_CASES:,} cases", figures, "of one case", references, limit)


def _seconds_of_test(policy: Path, file: Path, size: int) -> float:
    """How long the whole process takes."""
    command = [sys.executable, "-m", "authz_service", "test", "--policy", str(policy), str(file)]
    started = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    seconds = time.perf_counter() - started
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{size} passed" in result.stdout, result.stdout
    return seconds


def _lint(
    directory: Path, rounds: int, policy_of: Callable[[int], str], *, code: str, one_in: int
) -> Comparison:
    """*one_in* is how many routes there are for each that has a warning of *code*."""
    few, many = (
        partial(
            _seconds_of_rules,
            load([_write(directory, f"lint_{size}.yaml", policy_of(size))], environment={}),
            code,
            size // one_in,
        )
        for size in _LINTED
    )
    figures, references = in_turns(many, few, rounds)
    limit = Limit(times=2 * _LINTED[1] / _LINTED[0])  # what is quadratic takes twice that
    name = f"lint of {_LINTED[1]:,} routes {policy_of.__name__}".replace("_", " ")
    return Comparison(name, figures, f"of {_LINTED[0]}", references, limit)


def _seconds_of_rules(loaded: LoadedPolicy, code: str, warnings: int) -> float:
    started = time.process_time()
    found = {name: len(list(rule(loaded))) for name, rule in RULES.items()}
    seconds = time.process_time() - started
    assert found[code] == warnings
    return seconds


def _load(directory: Path, rounds: int) -> Comparison:
    few, many = (
        partial(_seconds_of_load, _write(directory, f"routes_{size}.yaml", of_services(size)))
        for size in _ROUTES
    )
    figures, references = in_turns(many, few, rounds)
    name, reference = f"load of {_ROUTES[1]:,} routes", f"of {_ROUTES[0]:,}"
    return Comparison(name, figures, reference, references, Limit(seconds=2))


def _seconds_of_load(file: Path) -> float:
    started = time.process_time()
    load_policy([file], environment={})
    return time.process_time() - started


def _when(rounds: int) -> Comparison:
    """Every hostile input in every round; the one with the worst median counts."""
    common = WhenExpression.parse(_COMMON)
    hostile: dict[str, list[float]] = defaultdict(list)
    references = []
    for number in range(rounds + 1):
        taken = list(_hostile_seconds())
        reference = _seconds_of_common(common)
        if number:  # the first warms up
            references.append(reference)
            for name, seconds in taken:
                hostile[name].append(seconds)
    worst = max(hostile, key=lambda name: median(hostile[name]))
    limit = Limit(seconds=0.02)
    return Comparison(f"when: {worst}", hostile[worst], "a common one", references, limit)


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{_QUICK_ROUNDS} rounds, not {_ROUNDS}"
    )
    sys.exit(main(_QUICK_ROUNDS if parser.parse_args().quick else _ROUNDS))
