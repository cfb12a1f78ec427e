"""Where the service listens."""

from __future__ import annotations

import click

from authz_service.cli.serving import transport
from authz_service.cli.serving.setting import setting, together
from authz_service.server.listen import Address, TcpAddress, parse_address

_ADMIN_FORMS = "write HOST:PORT, [::]:PORT or off"


def _listen_address(_context: click.Context, _parameter: click.Parameter, value: str) -> Address:
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
    if not isinstance(address, TcpAddress):
        raise click.BadParameter(_ADMIN_FORMS)
    return address


options = together(
    setting(
        "--listen", default="127.0.0.1:9191", metavar="ADDRESS", callback=_listen_address,
        help="Where Envoy asks, over gRPC: HOST:PORT, [::]:PORT, unix:/path or unix:@name.",
    ),
    setting(
        "--admin", default="127.0.0.1:9192", metavar="ADDRESS", callback=_admin_address,
        help="Where /livez, /readyz and /metrics are, over HTTP, or off.",
    ),
    transport.options,
)  # fmt: skip
