"""How much memory a verified token takes: bytes of CPython's objects, rather too many than too few.

The length of a token says little. An empty object is three characters of it, and 64 bytes here.
"""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.jws import ProtectedHeader
    from authz_service.core.strict_json import JsonObject, JsonValue

_FIXED: Final = 640
"""The digest, its place in the cache, and the objects around header and claims, times included."""

# What `getsizeof` gives for a string, in a sixth of the time.
_string_size: Final = str.__sizeof__


HELD: Final = 256
"""What is around each thing that is held with a token: the place for it, and what says of what."""


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
        size += _SIZE_OF.get(type(value), getsizeof)(value)
    return size


def _object_size(members: JsonObject) -> int:
    return getsizeof(members) + sum(map(_string_size, members)) + _size(members.values())


def _array_size(items: list[JsonValue]) -> int:
    return getsizeof(items) + _size(items)


_SIZE_OF: Final[Mapping[type, Callable[[Any], int]]] = {
    dict: _object_size,
    list: _array_size,
    str: _string_size,
}
