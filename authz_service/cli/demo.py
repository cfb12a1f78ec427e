"""`authz-service demo`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

import click

from authz_service.cli.examples import examples
from authz_service.cli.exits import FAILED, INTERRUPTED, refuse
from authz_service.demo.extra import DEMO_EXTRA

try:
    import aiohttp  # noqa: F401 - for what is imported next
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ImportError:
    refuse(f"the demo needs {DEMO_EXTRA}")

from authz_service.demo import tokens
from authz_service.demo.envoy import EnvoyError
from authz_service.demo.service import ServiceStartError
from authz_service.demo.tour import tour
from authz_service.demo.world import API, SHOP, running_world

if TYPE_CHECKING:
    from authz_service.demo.tour import Outcome
    from authz_service.demo.world import World

_WIDTH: Final = 150  # where there is no terminal to ask
_WIDE: Final = 120  # from here on, five columns can be read


@click.command("demo", epilog=examples(
    "authz-service demo",
    "authz-service demo --once",
    "authz-service demo --port 8080",
))  # fmt: skip
@click.option("--once", is_flag=True, help="End after the tour: status 0 if all went as it should.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, envvar="AUTHZ_DEMO_PORT", show_envvar=True,
    help="Port of Envoy on 127.0.0.1; a free one unless given.",
)  # fmt: skip
def command(*, once: bool, port: int) -> None:
    """Run a development issuer, a sample API, the real Envoy and the service on this machine.

    Then send requests through Envoy and show what was decided of each, and leave everything
    running until Ctrl-C, with commands to try.
    """
    try:
        passed = asyncio.run(_demonstrate(once=once, port=port))
    except (EnvoyError, ServiceStartError) as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"the demo cannot run here: {error.strerror or error}")
    except asyncio.CancelledError:
        sys.exit(INTERRUPTED)
    sys.exit(0 if passed else FAILED)


async def _demonstrate(*, once: bool, port: int) -> bool:
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH
    console = Console(width=width, highlight=False)
    _cancel_on_signals()
    console.print("starting a development issuer, a sample API, authz-service and Envoy …")
    async with running_world(listener=port) as world:
        with console.status("touring …"):
            outcomes = await tour(world, lambda _outcome: None)
        console.print(_table(outcomes, wide=console.width >= _WIDE))
        passed = _report(console, outcomes)
        if not once:
            console.print(await _commands(world), soft_wrap=True, markup=False)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            console.print("stopping …")
    return passed


def _cancel_on_signals() -> None:
    """Let Ctrl-C and SIGTERM cancel this task, so that everything is stopped on the way out."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _table(outcomes: list[Outcome], *, wide: bool) -> Table:
    table = Table(title="What authz-service decided, and what came through Envoy", show_lines=True)
    columns = ["", "request", "the token had", "decision", "reason", "the upstream saw"]
    if not wide:
        columns = ["", "request, the token had", "decision, reason", "the upstream saw"]
    for name in columns:
        table.add_column(name, overflow="fold")
    for outcome in outcomes:
        good = not outcome.faults
        request, token = Text(outcome.stop.request), Text(outcome.stop.token)
        colour = "green" if outcome.decision == "allow" else "red"
        decision = Text(f"{outcome.decision} {outcome.status}", style=colour)
        reason = Text(outcome.reason)
        if 'scope="' in outcome.challenge:
            reason.append("\nneeds " + outcome.challenge.partition("scope=")[2])
        cells = [request, token, decision, reason]
        if not wide:
            lines = Text("\n")
            cells = [lines.join([request, token]), lines.join([decision, reason])]
        table.add_row(
            Text("✓" if good else "✗", style="green" if good else "red"),
            *cells,
            Text(outcome.upstream_saw or "nothing"),
        )
    return table


def _report(console: Console, outcomes: list[Outcome]) -> bool:
    failed = [outcome for outcome in outcomes if outcome.faults]
    for outcome in failed:
        for fault in outcome.faults:
            console.print(f"✗ {outcome.stop.request} ({outcome.stop.token}): {fault}", markup=False)
    console.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} as they should be")
    return not failed


async def _commands(world: World) -> str:
    """Ready-made commands for everything that still runs."""
    base = f"http://127.0.0.1:{world.envoy.listener}"
    issuer = world.issuer.issuer
    good = await tokens.granted(world.issuer, resource=API, scope="read:products write:products")
    weak = await tokens.granted(world.issuer, resource=API, scope="read:orders")
    return f"""
Everything runs until Ctrl-C. Try:

A token that works:
  curl -i {base}/products -H 'authorization: Bearer {good}'

One with the wrong scope:
  curl -i {base}/products -H 'authorization: Bearer {weak}'

None:
  curl -i {base}/products

A token of your own:
  curl -s -u {SHOP.client_id}:{SHOP.client_secret} {issuer}/token -d grant_type=client_credentials \
-d resource={API} -d 'scope=read:products'

A new signing key:
  curl -s -X POST {issuer.removesuffix("/oidc")}/development/rotate

Readiness and metrics:
  curl -s http://{world.service.admin}/readyz
  curl -s http://{world.service.admin}/metrics

The policy, the configuration and the logs are in {world.directory} until then.
"""
