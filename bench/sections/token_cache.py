"""What the cache of verified tokens gains and costs: a decision in process, without gRPC."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow
from authz_service.core.verified import TokenCacheLimits, VerifiedTokens
from bench.in_process import Judged, seconds_each
from bench.minting import ALGORITHMS
from bench.rows import Reference, Row, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_service.core.request import HttpRequest
    from bench.scale import Scale

_KNOWN: Final = times(0.75)
_NEW: Final = times(1.5)


def rows(scale: Scale) -> Iterator[Row]:
    """A token that is known, and one that is seen for the first time, beside the same without."""
    for alg in ALGORITHMS:
        judged = Judged.of(alg, scale.pick(200, 50), scale)
        requests = judged.requests()
        cache = VerifiedTokens(TokenCacheLimits())
        known = partial(_seconds, judged, requests, cache)
        without = partial(_seconds, judged, requests, None)
        new = partial(_new, judged, requests)
        known()
        measured = scale.turns([known, without, new], 15, quick=3)
        assert cache.statistics().misses == len(requests)
        knowns, references, news = zip(*measured, strict=True)
        reference = Reference("without a cache", references)
        yield Row(f"decision, {alg}, known token", knowns, reference, _KNOWN)
        yield Row(f"decision, {alg}, new token", news, reference, _NEW)


def _new(judged: Judged, requests: list[HttpRequest]) -> float:
    return _seconds(judged, requests, VerifiedTokens(TokenCacheLimits()))


def _seconds(judged: Judged, requests: list[HttpRequest], cache: VerifiedTokens | None) -> float:
    """How long one decision takes, on the average of *requests*."""
    now = time.time()

    def decide(requests: Iterable[HttpRequest]) -> None:
        for request in requests:
            decision = authorize(
                request, policy=judged.policy, keys=judged.keys, now=now, verified=cache
            )
            assert isinstance(decision, Allow)

    return seconds_each(decide, requests)
