"""How much of a request is looked at. What is above a limit is refused before it costs time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_TOKEN_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 200


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The most bytes that a token may have, and the most header field lines of a request.

    HTTP/2's pseudo-header fields count, where Envoy sends them along.
    """

    token_bytes: int = MAX_TOKEN_BYTES
    headers: int = MAX_HEADERS


DEFAULT_LIMITS: Final = RequestLimits()
