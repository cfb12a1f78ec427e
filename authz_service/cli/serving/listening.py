"""Where the service listens."""

from __future__ import annotations

import click

from authz_service.cli.admin_address import admin_option
from authz_service.cli.serving import transport
from authz_service.cli.serving.setting import setting, together
from authz_service.server.listen import Address, parse_address


def _listen_address(_context: click.Context, _parameter: click.Parameter, value: str) -> Address:
    try:
        return parse_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


options = together(
    setting(
        "--listen", default="127.0.0.1:9191", metavar="ADDRESS", callback=_listen_address,
        help="Where Envoy asks, over gRPC: HOST:PORT, [::]:PORT, unix:/path or unix:@name.",
    ),
    admin_option("Where /livez, /readyz and /metrics are, over HTTP, or off."),
    transport.options,
)  # fmt: skip
