"""`authz-service serve`."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import click

from authz_service.cli.examples import examples
from authz_service.cli.exits import refuse
from authz_service.cli.path_arguments import paths
from authz_service.cli.serving import key_storage, limits, listening, log_output, token_cache
from authz_service.cli.serving.setting import setting
from authz_service.server import background, heap
from authz_service.server.listen import ListenError
from authz_service.server.loading import LoadError, Loading, Refused
from authz_service.server.settings import ServeSettings
from authz_service.telemetry import logs
from authz_service.telemetry.logs.foreign import as_events

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from authz_service.telemetry.logs.settings import LogSettings


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
@key_storage.options
@token_cache.options
def command(log: LogSettings, **others: Any) -> None:  # noqa: ANN401 - fields of ServeSettings
    """Run the service until SIGTERM or SIGINT.

    When the policy changes on disk, or at SIGHUP, it is loaded anew.
    """
    logs.configure(log_format=log.log_format, level=log.level)
    with as_events():
        try:
            _run(_service(ServeSettings(log=log, **others)))
        except (LoadError, ListenError) as error:
            refuse(f"authz-service: {error}")
    if not logs.finish() or background.is_busy():
        os._exit(0)


def _service(settings: ServeSettings) -> Coroutine[None, None, None]:
    """The service, with its policy. Raises LoadError."""
    with Loading(settings.policy) as loading:
        heap.share_one()  # before there are threads
        # The most of what a start takes: the policy is loaded meanwhile.
        from authz_service.server.service import serve  # noqa: PLC0415

        loaded = loading.result()
    if isinstance(loaded, Refused):
        refuse(*(str(problem) for problem in loaded.problems))
    return serve(settings, loaded)


def _be_deaf() -> None:
    """Let no signal that comes late make something else of an end that was in order."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _run(service: Coroutine[None, None, None]) -> None:
    """Run *service* on uvloop, or on asyncio's own loop where there is none."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(service)
    else:
        uvloop.run(service)
    _be_deaf()
