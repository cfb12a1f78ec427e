"""Who reaches the port where Envoy asks: TLS, client certificates, the mode of a unix socket."""

from __future__ import annotations

import grp
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from authz_service.cli.serving.setting import as_one, setting
from authz_service.policy.problems import printable
from authz_service.server.listen import Address, UnixAddress
from authz_service.server.settings import TransportSettings
from authz_service.server.tls.callers import CallerList
from authz_service.server.tls.identity import TlsFiles
from authz_service.server.unix_socket import SocketAccess

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODE: Final = re.compile(r"0?[0-7]{3}", re.ASCII)
_WRITABLE: Final = 0o222  # what connect(2) needs
_MAX_GROUP: Final = 2**32 - 2


def _mode(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    mode = int(value, 8) if _MODE.fullmatch(value) else 0
    if not mode & _WRITABLE:
        raise click.BadParameter(
            "write it in octal, such as 0660 or 0600; who may connect is who may write"
        )
    return mode


def _group(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return grp.getgrnam(value).gr_gid
    except (KeyError, ValueError):
        if value.isascii() and value.isdigit() and int(value) <= _MAX_GROUP:
            return int(value)
    raise click.BadParameter(f"there is no group {printable(value)!r} here; write a name or an id")


def _path(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Path | None:
    if value == "":
        raise click.BadParameter("the path is empty")
    return None if value is None else Path(value)


def _callers(
    _context: click.Context, _parameter: click.Parameter, value: Sequence[str]
) -> CallerList | None:
    try:
        return CallerList.parse(value) if value else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _settings(  # noqa: PLR0913 - one for each option
    *,
    listen: Address,
    insecure_listen: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    tls_client_san: CallerList | None,
    socket_mode: int | None,
    socket_group: int | None,
) -> TransportSettings:
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together: give both or none")
    if tls_client_ca is not None and tls_cert is None:
        raise click.UsageError("--tls-client-ca needs --tls-cert and --tls-key")
    if tls_client_san is not None and tls_client_ca is None:
        raise click.UsageError("--tls-client-san needs --tls-client-ca")
    files = None
    if tls_cert is not None and tls_key is not None:
        files = TlsFiles(tls_cert, tls_key, tls_client_ca)
    return TransportSettings(
        insecure_listen=insecure_listen,
        tls=files,
        callers=tls_client_san,
        socket=_access(listen, socket_mode, socket_group),
    )


def _access(listen: Address, mode: int | None, group: int | None) -> SocketAccess:
    if isinstance(listen, UnixAddress):
        return SocketAccess(SocketAccess().mode if mode is None else mode, group)
    if mode is not None or group is not None:
        raise click.UsageError(
            f"--socket-mode and --socket-group are for --listen unix:/path: {listen} has neither"
        )
    return SocketAccess()


options = as_one(
    "transport", _settings,
    setting(
        "--insecure-listen", is_flag=True, show_default=False,
        help="Listen beyond this machine without TLS: whoever reaches the port may ask.",
    ),
    setting(
        "--tls-cert", metavar="FILE", callback=_path,
        help="Certificate and chain for --listen, PEM. Read anew when it changes. Default: no TLS.",
    ),
    setting(
        "--tls-key", metavar="FILE", callback=_path,
        help="The certificate's private key, PEM, without a passphrase.",
    ),
    setting(
        "--tls-client-ca", metavar="FILE", callback=_path,
        help="Who signs Envoy's certificate, PEM; Envoy then needs one. Default: it needs none.",
    ),
    setting(
        "--tls-client-san", metavar="NAME", multiple=True, callback=_callers,
        help="A SPIFFE ID (spiffe://...) or DNS name that Envoy's certificate must have. May be"
        " given more than once; one is enough. Default: any certificate of the client CA.",
    ),
    setting(
        "--socket-mode", metavar="MODE", callback=_mode,
        help="Permissions of a unix socket, octal.  [default: 0660]",
    ),
    setting(
        "--socket-group", metavar="GROUP", callback=_group,
        help="Group of a unix socket, by name or id. Default: the process's.",
    ),
    shared=("listen",),
)  # fmt: skip
