"""Where the admin port is, as `serve` and `health` read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from authz_service.cli.serving.setting import setting
from authz_service.server.listen import TcpAddress, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMS: Final = "write HOST:PORT, [::]:PORT or off"


def _admin_address(
    _context: click.Context, _parameter: click.Parameter, value: str
) -> TcpAddress | None:
    if value == "off":
        return None
    try:
        address = parse_address(value)
    except ValueError:
        raise click.BadParameter(_FORMS) from None
    if not isinstance(address, TcpAddress):
        raise click.BadParameter(_FORMS)
    return address


def admin_option(what: str) -> Callable[..., Any]:
    """Make `--admin`, with *what* as its help. The command gets None for `off`."""
    return setting(
        "--admin", default="127.0.0.1:9192", metavar="ADDRESS", callback=_admin_address, help=what
    )
