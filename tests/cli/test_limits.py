"""The limits of `serve`: what makes no sense is refused, and what is given arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from authz_service.cli import serve as serve_module
from authz_service.cli.main import main
from authz_service.cli.serve import command
from authz_service.core.limits import RequestLimits
from authz_service.ext_authz.limits import CheckLimits
from authz_service.server.limits import RpcLimits, ServeLimits, channel_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.server.settings import ServeSettings

INTEGERS = ("--max-checks", "--max-message-bytes", "--max-streams", "--max-token-bytes")
COUNTS = (*INTEGERS, "--max-headers")
DURATIONS = (
    "--max-connection-age", "--max-connection-idle", "--keepalive-time", "--keepalive-timeout",
    "--max-key-wait",
)  # fmt: skip


@pytest.fixture
def limits_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ServeLimits]:
    """Run `serve` up to where it would begin, and give the limits that it has."""
    given: list[ServeSettings] = []
    monkeypatch.setattr(serve_module, "_service", given.append)
    monkeypatch.setattr(serve_module, "_run", lambda _service: None)

    def run(*options: str, env: Mapping[str, Any] | None = None) -> ServeLimits:
        result = CliRunner().invoke(main, ["serve", "--policy", "p.yaml", *options], env=env)
        assert result.exit_code == 0, result.output
        return given[-1].limits

    return run


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "nan", "1e400", "99999999999999999999"])
@pytest.mark.parametrize("option", [*COUNTS, *DURATIONS])
def test_a_value_that_makes_no_sense_is_refused(option: str, value: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--policy", "p.yaml", f"{option}={value}"])
    assert result.exit_code == 2
    *_usage, problem = result.output.splitlines()
    assert problem.startswith(f"Error: Invalid value for '{option}'")


@pytest.mark.parametrize("value", ["-1", "-0.1", "x", "nan", "inf", "3601"])
def test_a_grace_that_makes_no_sense_is_refused(value: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--policy", "p.yaml", f"--grace={value}"])
    assert result.exit_code == 2
    assert "--grace" in result.output.splitlines()[-1]


def test_without_options_the_limits_are_the_defaults(
    limits_of: Callable[..., ServeLimits],
) -> None:
    assert limits_of() == ServeLimits()


def test_every_option_arrives_where_it_belongs(limits_of: Callable[..., ServeLimits]) -> None:
    given = limits_of(
        "--grace=0", "--max-checks=7", "--max-message-bytes=5000", "--max-streams=9",
        "--max-connection-age=11", "--max-connection-idle=12.5", "--keepalive-time=13",
        "--keepalive-timeout=14", "--max-key-wait=0.5", "--max-token-bytes=1000",
        "--max-headers=50",
    )  # fmt: skip
    assert given == ServeLimits(
        checks=CheckLimits(7, 0.5, RequestLimits(token_bytes=1000, headers=50)),
        rpc=RpcLimits(5000, 9, 11.0, 12.5, 13.0, 14.0),
        grace=0.0,
    )


def test_the_largest_limits_are_such_that_grpc_has_room_for(
    limits_of: Callable[..., ServeLimits],
) -> None:
    largest = {
        parameter.name: parameter.type.max
        for parameter in command.params
        if isinstance(parameter.type, click.IntRange | click.FloatRange)
    }
    options = (
        f"--{name.replace('_', '-')}={limit}"
        for name, limit in largest.items()
        if limit is not None
    )
    given = dict(channel_arguments(limits_of(*options).rpc))
    assert given["grpc.max_connection_age_ms"] == 24 * 86400 * 1000
    assert max(given.values()) < 2**31


def test_a_limit_is_an_environment_variable_too(limits_of: Callable[..., ServeLimits]) -> None:
    given = limits_of(env={"AUTHZ_MAX_CHECKS": "5", "AUTHZ_GRACE": "1.5"})
    assert (given.checks.checks, given.grace) == (5, 1.5)
