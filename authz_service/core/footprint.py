"""How much memory a verified token takes: bytes of CPython's objects, rather too many than too few.

The length of a token says little. An empty object is three characters of it, and 64 bytes here.
"""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.jws import ProtectedHeader
    from authz_service.core.strict_json import JsonValue

_FIXED: Final = 608
"""The digest, its place in the cache, and the objects around header and claims, times included."""

_string_size: Final = str.__sizeof__  # what `getsizeof` gives for a string, in a sixth of the time


def footprint(header: ProtectedHeader, claims: AccessTokenClaims) -> int:
    """Bytes that are held for a token with *header* and *claims*.

    Values that CPython shares, such as small integers, count each time, so that a token made to
    look small never is.
    """
    scopes = getsizeof(claims.scopes) + sum(map(_string_size, claims.scopes))
    return _FIXED + getsizeof(claims.audiences) + scopes + _size((*header, claims.members))


def _size(values: Iterable[JsonValue]) -> int:
    """The bytes of *values* and all that is in them, no deeper than strict_json lets it be."""
    size = 0
    for value in values:
        if isinstance(value, dict):
            size += getsizeof(value) + sum(map(_string_size, value)) + _size(value.values())
        elif isinstance(value, list):
            size += getsizeof(value) + _size(value)
        else:
            size += value.__sizeof__()
    return size
