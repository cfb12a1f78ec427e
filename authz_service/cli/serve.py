"""`authz-service serve`."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from authz_service.cli.examples import examples
from authz_service.cli.exits import refuse
from authz_service.cli.path_arguments import paths
from authz_service.policy import PolicyError
from authz_service.server import background
from authz_service.server.listen import ListenError, TcpAddress, UnixAddress, parse_address
from authz_service.server.service import ServeSettings, serve
from authz_service.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

_ADMIN_FORMS = "write HOST:PORT, [::]:PORT or off"


def _listen_address(
    _context: click.Context, _parameter: click.Parameter, value: str
) -> TcpAddress | UnixAddress:
    try:
        return parse_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _admin_address(
    _context: click.Context, _parameter: click.Parameter, value: str
) -> TcpAddress | None:
    if value == "off":
        return None
    try:
        address = parse_address(value)
    except ValueError:
        raise click.BadParameter(_ADMIN_FORMS) from None
    if isinstance(address, UnixAddress):
        raise click.BadParameter(_ADMIN_FORMS)
    return address


@click.command("serve", epilog=examples(
    "authz-service serve --policy policy.yaml",
    "authz-service serve --policy policy.d/ --listen unix:/run/authz.sock --log-format console",
    "AUTHZ_POLICY=policy.yaml authz-service serve --admin off",
))  # fmt: skip
@click.option(
    "--policy", multiple=True, required=True, envvar="AUTHZ_POLICY", metavar="PATH",
    show_envvar=True, type=click.Path(), callback=paths,
    help="Policy file, or a directory of them. May be given more than once.",
)  # fmt: skip
@click.option(
    "--listen", default="127.0.0.1:9191", envvar="AUTHZ_LISTEN", show_default=True,
    show_envvar=True, metavar="ADDRESS", callback=_listen_address,
    help="Where Envoy asks, over gRPC: HOST:PORT, [::]:PORT or unix:/path.",
)  # fmt: skip
@click.option(
    "--admin", default="127.0.0.1:9192", envvar="AUTHZ_ADMIN", show_default=True,
    show_envvar=True, metavar="ADDRESS", callback=_admin_address,
    help="Where /livez, /readyz and /metrics are, over HTTP, or off.",
)  # fmt: skip
@click.option(
    "--log-format", default="json", envvar="AUTHZ_LOG_FORMAT", show_default=True,
    show_envvar=True, type=click.Choice(logs.FORMATS),
)  # fmt: skip
@click.option(
    "--log-level", default="info", envvar="AUTHZ_LOG_LEVEL", show_default=True,
    show_envvar=True, type=click.Choice(logs.LEVELS),
)  # fmt: skip
def command(
    policy: tuple[Path, ...],
    listen: TcpAddress | UnixAddress,
    admin: TcpAddress | None,
    log_format: str,
    log_level: str,
) -> None:
    """Run the service until SIGTERM or SIGINT.

    When the policy changes on disk, or at SIGHUP, it is loaded anew.
    """
    logs.configure(log_format=log_format, level=log_level)
    try:
        _run(serve(ServeSettings(policy, listen, admin)))
    except PolicyError as error:
        refuse(*(str(problem) for problem in error.problems))
    except ListenError as error:
        refuse(f"authz-service: {error}")
    finally:
        logs.finish()
    if background.is_busy():
        os._exit(0)


def _run(service: Coroutine[None, None, None]) -> None:
    """Run *service* on uvloop, or on asyncio's own loop where there is none."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(service)
    else:
        uvloop.run(service)
