"""The command group. A command's module is imported when the command is asked for, not before."""

from __future__ import annotations

import importlib
import os
import signal
from typing import Final

import click

_COMMANDS: Final = {
    "serve": "Run the service.",
    "lint": "Say what is wrong and what is suspicious with a policy.",
    "test": "Run the tests of a policy.",
    "explain": "Show every step of one decision.",
    "demo": "Run everything on this machine and show what is decided.",
}

# SIGHUP asks these to reload. From the start and to the end, it must not be what it is to others,
# the end of the process; when they listen to it is up to them.
_DEAF_TO_HANGUP: Final = frozenset({"serve"})

# gRPC's own log is neither JSON nor ours; what it knows of a failure is reported by us.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class _LazyGroup(click.Group):
    """Finds each command in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name in _DEAF_TO_HANGUP:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        module = importlib.import_module(f"authz_service.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="authz-service")
def main() -> None:
    """External authorization for Envoy, by OAuth 2 access tokens."""
