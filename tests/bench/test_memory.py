"""What the section about memory fills the token cache with."""

from __future__ import annotations

import pytest

from authz_service.core.bearer import BearerToken
from authz_service.core.claims import AccessTokenClaims
from authz_service.core.footprint import footprint
from authz_service.core.jws import CompactJws, VerifiedPayload
from authz_service.core.verified import TokenCacheLimits
from bench.minting import Issuer
from bench.sections.memory import _FILLS
from tests.support.policies import LOGTO


@pytest.mark.parametrize("name", _FILLS)
def test_there_are_more_tokens_than_the_cache_takes_by_default(name: str) -> None:
    claims, count = _FILLS[name]
    limits = TokenCacheLimits()
    issuer = Issuer("issuer", "https://auth.example.com", "ES256")
    jws = CompactJws.parse(BearerToken(issuer.token(**claims)))
    parsed = AccessTokenClaims.parse(VerifiedPayload(jws.unverified_payload), LOGTO)
    assert count > limits.entries or count * footprint(jws.header, parsed) > limits.bytes
