"""The command group. A command's module is imported when the command is asked for, not before."""

from __future__ import annotations

import importlib
import os
from typing import Final

import click

_COMMANDS: Final = {
    "serve": "Run the service.",
    "import": "Write a policy from a description of an API.",
    "demo": "Run everything on this machine and show what is decided.",
}
_MODULES: Final = {"import": "import_openapi"}  # import is a keyword


# gRPC's own log is neither JSON nor ours; what it knows of a failure is reported by us.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class _LazyGroup(click.Group):
    """Finds each command in the module of its name, or in that of `_MODULES`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        name = _MODULES.get(cmd_name, cmd_name)
        module = importlib.import_module(f"authz_service.cli.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="authz-service")
def main() -> None:
    """External authorization for Envoy, by OAuth 2 access tokens."""
