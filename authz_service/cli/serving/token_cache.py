"""How many verified tokens the service remembers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from authz_service.cli.serving.setting import setting, together
from authz_service.core.verified import TokenCacheLimits

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULT = TokenCacheLimits()

_given = together(
    setting(
        "--token-cache-entries", default=_DEFAULT.entries, metavar="N", type=click.IntRange(min=0),
        help="How many verified tokens are remembered at the most; 0 for none.",
    ),
    setting(
        "--token-cache-bytes", default=_DEFAULT.bytes, metavar="BYTES", type=click.IntRange(min=0),
        help="How many bytes of memory they may take at the most; 0 for none.",
    ),
)  # fmt: skip


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* both options, as one argument: `token_cache`, a TokenCacheLimits."""

    @functools.wraps(command)
    def with_limits(*, token_cache_entries: int, token_cache_bytes: int, **others: object) -> Any:  # noqa: ANN401 - the command's own
        limits = TokenCacheLimits(token_cache_entries, token_cache_bytes)
        return command(token_cache=limits, **others)

    with_options: Callable[..., Any] = _given(with_limits)
    return with_options
