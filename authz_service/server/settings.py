"""What the service was told when it was started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.server.limits import ServeLimits

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.server.listen import TcpAddress, UnixAddress


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The settings of `serve`. *admin* is None where there is to be no admin port."""

    policy: tuple[Path, ...]
    listen: TcpAddress | UnixAddress
    admin: TcpAddress | None
    limits: ServeLimits = field(default_factory=ServeLimits)
