"""What is logged of each Check, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from authz_service.telemetry.logs.identity import IdentityHash

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("json", "console")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How `serve` logs; docs/logs.md tells what comes of it.

    *allows* is the fraction of the allowed Checks that is logged, from 0 to 1. With
    *identity_hash*, subjects and clients are shown by that. *raw_path* adds the request's path.
    """

    log_format: str = "json"
    level: str = "info"
    allows: float = 1.0
    identity_hash: IdentityHash | None = None
    raw_path: bool = False
