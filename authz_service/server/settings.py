"""What the service was told when it was started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.server.listen import TcpAddress, UnixAddress


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The settings of `serve`. *admin* is None where there is to be no admin port.

    *key_cache* is the directory that keeps key sets for the next start, if there is one.
    """

    policy: tuple[Path, ...]
    listen: TcpAddress | UnixAddress
    admin: TcpAddress | None
    key_cache: Path | None = None
