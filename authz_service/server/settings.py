"""What the service was told when it was started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.core.verified import TokenCacheLimits
from authz_service.server.limits import ServeLimits
from authz_service.server.unix_socket import SocketAccess
from authz_service.telemetry.logs.settings import LogSettings

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.server.listen import Address, TcpAddress
    from authz_service.server.tls.callers import CallerList
    from authz_service.server.tls.identity import TlsFiles


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Who reaches the gRPC port. Without *tls* there is none; without *callers*, all may ask.

    *insecure_listen* allows an address beyond this machine without TLS.
    """

    insecure_listen: bool = False
    tls: TlsFiles | None = None
    callers: CallerList | None = None
    socket: SocketAccess = field(default_factory=SocketAccess)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The settings of `serve`. *admin* is None where there is to be no admin port.

    *key_cache* is the directory that keeps key sets for the next start, if there is one.
    """

    policy: tuple[Path, ...]
    listen: Address
    admin: TcpAddress | None
    transport: TransportSettings = field(default_factory=TransportSettings)
    limits: ServeLimits = field(default_factory=ServeLimits)
    log: LogSettings = field(default_factory=LogSettings)
    token_cache: TokenCacheLimits = field(default_factory=TokenCacheLimits)
    key_cache: Path | None = None
