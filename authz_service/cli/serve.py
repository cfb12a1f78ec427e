"""`authz-service serve`."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click

from authz_service.cli.examples import examples
from authz_service.cli.exits import refuse
from authz_service.cli.path_arguments import paths
from authz_service.cli.serving import limits, listening, log_output
from authz_service.cli.serving.setting import setting
from authz_service.policy import PolicyError
from authz_service.server import background
from authz_service.server.listen import ListenError
from authz_service.server.service import serve
from authz_service.server.settings import ServeSettings
from authz_service.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from authz_service.server.listen import TcpAddress, UnixAddress


@click.command("serve", epilog=examples(
    "authz-service serve --policy policy.yaml",
    "authz-service serve --policy policy.d/ --listen unix:/run/authz.sock --log-format console",
    "AUTHZ_POLICY=policy.yaml authz-service serve --admin off",
))  # fmt: skip
@setting(
    "--policy", multiple=True, required=True, metavar="PATH", type=click.Path(), callback=paths,
    help="Policy file, or a directory of them. May be given more than once.",
)  # fmt: skip
@listening.options
@log_output.options
@limits.options
def command(
    policy: tuple[Path, ...],
    listen: TcpAddress | UnixAddress,
    admin: TcpAddress | None,
    log_format: str,
    log_level: str,
    **limit_options: Any,  # noqa: ANN401 - click's own
) -> None:
    """Run the service until SIGTERM or SIGINT.

    When the policy changes on disk, or at SIGHUP, it is loaded anew.
    """
    logs.configure(log_format=log_format, level=log_level)
    try:
        _run(serve(ServeSettings(policy, listen, admin, limits.settings(**limit_options))))
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
