"""What `serve` makes of the options of the token cache."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from authz_service.cli.serving import token_cache as cache
from authz_service.core.verified import TokenCacheLimits


@click.command()
@click.option("--other", default="other")
@cache.options
def command(token_cache: TokenCacheLimits, other: str) -> None:
    """Show what was given."""
    click.echo((token_cache.entries, token_cache.bytes, other))


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ("", {}, (TokenCacheLimits().entries, TokenCacheLimits().bytes, "other")),
        ("--token-cache-entries 7", {}, (7, TokenCacheLimits().bytes, "other")),
        ("--token-cache-bytes 0 --token-cache-entries 0 --other x", {}, (0, 0, "x")),
        (
            "--token-cache-bytes 5",
            {"AUTHZ_TOKEN_CACHE_ENTRIES": "3", "AUTHZ_TOKEN_CACHE_BYTES": "4"},
            (3, 5, "other"),
        ),
    ],
)
def test_the_options_and_their_variables_are_one_setting(
    arguments: str, environment: dict[str, str], expected: tuple[object, ...]
) -> None:
    clean = {"AUTHZ_TOKEN_CACHE_ENTRIES": None, "AUTHZ_TOKEN_CACHE_BYTES": None}
    result = CliRunner().invoke(command, arguments.split(), env={**clean, **environment})
    assert (result.exit_code, result.stdout.strip()) == (0, str(expected))
