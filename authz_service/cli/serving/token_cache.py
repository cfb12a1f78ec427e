"""How many verified tokens the service remembers."""

from __future__ import annotations

from authz_service.cli.serving.setting import Number, as_one, setting
from authz_service.core.verified import TokenCacheLimits

_DEFAULT = TokenCacheLimits()


def _limits(*, token_cache_entries: int, token_cache_bytes: int) -> TokenCacheLimits:
    return TokenCacheLimits(token_cache_entries, token_cache_bytes)


options = as_one(
    "token_cache", _limits,
    setting(
        "--token-cache-entries", default=_DEFAULT.entries, metavar="N", type=Number(min=0),
        help="How many verified tokens are remembered at the most; 0 for none.",
    ),
    setting(
        "--token-cache-bytes", default=_DEFAULT.bytes, metavar="BYTES", type=Number(min=0),
        help="How many bytes of memory they may take at the most; 0 for none.",
    ),
)  # fmt: skip
