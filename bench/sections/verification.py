"""Verification alone: a token is parsed, its key selected, its signature verified, its claims held.

In this process, without gRPC, request, route or cache.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from authz_service.core.bearer import BearerToken
from authz_service.core.claims import AccessTokenClaims, validate
from authz_service.core.jws import CompactJws, verify
from authz_service.core.verified import VerifiedToken
from bench.in_process import Judged, seconds_each
from bench.minting import ALGORITHMS, primitive_seconds
from bench.rows import Reference, Row, plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.scale import Scale

_TARGET: Final = plus(30e-6)


def rows(scale: Scale) -> Iterator[Row]:
    """Each algorithm, beside the library's verification with the loaded key."""
    for alg in ALGORITHMS:
        judged = Judged.of(alg, scale.pick(500, 100), scale)
        ours = partial(seconds_each, _Verifier(judged), [*judged.tokens])
        primitive = partial(primitive_seconds, judged.issuer, [*judged.tokens])
        pairs = scale.turns([ours, primitive], 25, quick=3)
        figures, references = zip(*pairs, strict=True)
        yield Row(f"verification, {alg}", figures, Reference(f"{alg} verify", references), _TARGET)


class _Verifier:
    """What a token goes through, from its text to claims that meet a requirement."""

    def __init__(self, judged: Judged) -> None:
        self._keys = judged.keys[judged.issuer.name]
        self._requirement = judged.requirement()
        self._issuer = self._requirement.issuers[judged.issuer.identifier]
        self._attributes = judged.attributes()
        self._now = time.time()

    def __call__(self, tokens: Iterable[str]) -> None:
        """Verify them all. Raises AccessDenied."""
        for token in tokens:
            jws = CompactJws.parse(BearerToken(token))
            key = self._keys.select(alg=jws.header.alg, kid=jws.header.kid)
            payload = verify(jws, key)
            claims = AccessTokenClaims.parse(payload, self._issuer)
            verified = VerifiedToken(self._issuer, self._keys, key, jws.header, payload, claims)
            validate(verified, self._requirement, attributes=self._attributes, now=self._now)
