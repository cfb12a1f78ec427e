"""Checks while a large policy is loaded anew: none fails, and how long they take."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.figures import Unit, percentile
from bench.loads import Pace, ask
from bench.minting import KeyServer
from bench.policies import policy
from bench.processes import BenchError, service
from bench.rounds import in_turns
from bench.rows import Reference, Row, at_most
from bench.shop import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.loads import Report
    from bench.minting import Issuer
    from bench.processes import Service
    from bench.scale import Scale

_HOSTS: Final = 100
_RATE: Final = 1000
_BEFORE: Final = 0.5  # seconds of load before the policy changes


@dataclass(frozen=True, slots=True)
class _Round:
    """The latencies that count, the Checks that failed, and how long the reload took."""

    latencies: list[float]
    failed: int
    reload: float = 0.0


class _Policy:
    """A policy that is another one each time that it is written."""

    def __init__(self, issuer: Issuer, routes: int) -> None:
        self._issuer = issuer
        self._routes = routes
        self._versions = 0

    def text(self) -> str:
        self._versions += 1
        text = policy([self._issuer], routes=self._routes // _HOSTS, hosts=_HOSTS)
        return f"{text}      - {{path: /version-{self._versions}, methods: {{GET: public}}}}\n"


def rows(scale: Scale) -> Iterator[Row]:
    """The Checks from the change on disk to the new policy, beside those without a change."""
    routes, seconds = scale.pick((10_000, 12), (1000, 3))
    with KeyServer() as keys:
        issuer = keys.issuer("issuer", "RS256")
        written = _Policy(issuer, routes)
        checks = Kind.ALLOWED.checks(issuer, 100)
        with service(written.text(), scale.directory) as running:
            ask(running, checks, Pace(1000, at_once=16))  # to warm up
            load = partial(ask, running, checks, Pace(seconds * _RATE, rate=_RATE), may_fail=True)
            ways = [partial(_reloading, running, load, written), partial(_undisturbed, load)]
            rounds = in_turns(ways, scale.pick(5, 1))
    during, without = zip(*rounds, strict=True)
    yield from _rows(f"{routes:,} routes loaded anew", during, without)


def _rows(name: str, during: Sequence[_Round], without: Sequence[_Round]) -> Iterator[Row]:
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        figures, references = (
            [percentile(each.latencies, share) for each in side] for side in (during, without)
        )
        reference = Reference("undisturbed", references)
        yield Row(f"{name}: {label}, {_RATE:,}/s", figures, reference)
    yield Row(f"{name}: until in use, {_RATE:,}/s", [each.reload for each in during])
    failed, others = ([each.failed for each in side] for side in (during, without))
    reference = Reference("undisturbed", others)
    yield Row(f"{name}: Checks that failed", failed, reference, at_most(0), Unit.COUNT)


def _undisturbed(load: Callable[[], Report]) -> _Round:
    report = load()
    return _Round(list(report.latencies), report.failed)


def _reloading(running: Service, load: Callable[[], Report], written: _Policy) -> _Round:
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        time.sleep(_BEFORE)
        logged = running.log.stat().st_size
        start = time.monotonic()
        _replace(running.policy, written.text())
        running.wait_for("policy_reloaded", after=logged)
        end = time.monotonic()
        report = loading.result()
        if max(report.moments) < end:
            raise BenchError(f"the load was over before the reload, which took {end - start:.1f} s")
        return _Round(report.between(start, end), report.failed, end - start)


def _replace(file: Path, text: str) -> None:
    """Put *text* in the place of what is in *file*, at once."""
    other = file.with_name("next")
    other.write_text(text, encoding="utf-8")
    other.replace(file)
