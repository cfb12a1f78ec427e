"""How much memory a verified token takes: bytes of CPython's objects, rather too many than too few.

The length of a token says little. An empty object is three characters of it, and 64 bytes here.
"""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.jws import ProtectedHeader
    from authz_service.core.strict_json import JsonValue

_FIXED: Final = 640
"""The digest, its place in the cache, and the objects around header and claims, times included."""


HELD: Final = 256
"""What is around each thing that is held with a token: the place for it, and what says of what."""


def footprint(header: ProtectedHeader, claims: AccessTokenClaims) -> int:
    """Bytes that are held for a token with *header* and *claims*.

    Values that CPython shares, such as small integers, count each time, so that a token made to
    look small never is.
    """
    strings = (header.alg, header.kid, header.typ, *claims.scopes)
    sequences = (claims.audiences, claims.scopes)
    return _FIXED + sum(map(getsizeof, strings + sequences)) + _size(claims.members)


def _size(value: JsonValue) -> int:
    """The bytes of *value* and all that is in it, no deeper than strict_json lets it be."""
    size = getsizeof(value)
    if isinstance(value, dict):
        return size + sum(getsizeof(name) + _size(member) for name, member in value.items())
    if isinstance(value, list):
        return size + sum(map(_size, value))
    return size
