"""`authz-service completion`."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from authz_service.cli.examples import examples

_PROGRAM: Final = "authz-service"
_VARIABLE: Final = "_AUTHZ_SERVICE_COMPLETE"  # the one that click looks for under that name
_SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


@click.command("completion", epilog=examples(
    'eval "$(authz-service completion bash)"',
    'eval "$(authz-service completion zsh)"',
    "authz-service completion fish > ~/.config/fish/completions/authz-service.fish",
))  # fmt: skip
@click.argument("shell", type=click.Choice([*_SHELLS]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and paths in SHELL.

    bash 4.4 or newer: put the first example into ~/.bashrc.

    zsh: put the second one into ~/.zshrc, after compinit.

    fish: run the third one once.
    """
    script = _SHELLS[shell](context.find_root().command, {}, _PROGRAM, _VARIABLE)
    # Not bash's own, which runs the bash of this machine to see how old it is.
    click.echo(ShellComplete.source(script))
