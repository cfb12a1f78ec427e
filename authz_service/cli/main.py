"""The command group. A command's module is imported when the command is asked for, not before."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import signal
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from authz_service.cli.examples import examples
from authz_service.cli.exits import quiet_endings
from authz_service.cli.imports import as_if_missing
from authz_service.cli.standard_streams import hold_standard_streams
from authz_service.cli.token_like import looks_like_a_token

_COMMANDS: Final = {
    "serve": "Run the service.",
    "health": "Say whether the service that runs here is ready.",
    "lint": "Say what is wrong and what is suspicious with a policy.",
    "test": "Run the tests of a policy.",
    "explain": "Show every step of one decision.",
    "import": "Write a policy from a description of an API.",
    "schema": "Print the JSON Schema of the policy file, for editors.",
    "completion": "Print what completes commands and options in a shell.",
    "demo": "Run everything on this machine and show what is decided.",
}
_MODULES: Final = {"import": "import_openapi"}  # import is a keyword

# SIGHUP asks these to reload. From the start and to the end, it must not be what it is to others,
# the end of the process; when they listen to it is up to them. SIGTERM ends them also before that.
_SERVICES: Final = frozenset({"serve"})

# gRPC's own log is neither JSON nor ours; what it knows of a failure is reported by us.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class _HelpFormatter(click.HelpFormatter):
    """Help with headings that stand out; click takes the style away where it is no terminal."""

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{click.style(f'{heading}:', bold=True)}\n")


class _Context(click.Context):
    formatter_class = _HelpFormatter


class _LazyGroup(click.Group):
    """Finds each command in the module of its name, or in that of `_MODULES`."""

    context_class = _Context

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name in _SERVICES:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, _end)
            hold_standard_streams()
        name = f"authz_service.cli.{_MODULES.get(cmd_name, cmd_name)}"
        # For pictures of exceptions, of which the service logs none, structlog would load 4 MiB.
        with as_if_missing("rich") if cmd_name in _SERVICES else contextlib.nullcontext():
            module = importlib.import_module(name)
        command: click.Command = module.command
        command.context_class = _Context
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not ctx.resilient_parsing:
            shown = "" if looks_like_a_token(name) else f" {name!r}"
            ctx.fail(f"No such command{shown}.{_suggestion(name)}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        options = click.Command.shell_complete(self, ctx, incomplete)  # imports no command
        return [
            *(
                CompletionItem(name, help=text)
                for name, text in _COMMANDS.items()
                if name.startswith(incomplete)
            ),
            *options,
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def make_context(self, info_name: str | None, args: list[str], **extra: Any) -> click.Context:  # type: ignore[override]  # noqa: ANN401
        if os.environ.get("NO_COLOR"):  # no-color.org
            extra["color"] = False
        with quiet_endings():
            return super().make_context(info_name, args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with quiet_endings():
            return super().invoke(ctx)


def _end(*_signal: object) -> None:
    """End before anything is served. In a container, a SIGTERM that nobody handles is lost.

    pid_namespaces(7): the first process of a namespace gets only signals that it has a handler for.
    An exception would be lost, and the stop with it, in code that lets none out, such as a weak
    reference's callback while modules are imported. There is nothing to tidy up yet.
    """
    os._exit(0)


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name, _COMMANDS, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "authz-service demo",
        "authz-service serve --policy policy.yaml",
        "authz-service serve --help",
    ),
)
@click.version_option(package_name="authz-service")
def main() -> None:
    """External authorization for Envoy, by OAuth 2 access tokens."""
