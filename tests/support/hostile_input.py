"""The expressions and the requests that make a `when` as slow as a client can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_service.core.conditions import RequestAttributes
from authz_service.core.request import Host, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.core.strict_json import JsonObject

TOKEN: Final = 12_000
"""Characters of JSON that a token of 16 KiB holds."""
HEADERS: Final = 60_000
"""Characters that Envoy lets pass."""

SHARES: Final = tuple(n / 100 for n in (1, 2, 3, 5, 8, 12, 18, 25, 35, 50, 70, 100))
"""Of the largest sizes: the worst is just below where the price denies, wherever that is."""


@dataclass(frozen=True, slots=True)
class Shape:
    """An expression, and the claims that it finds hard, for a share of the largest token.

    It is *affordable* if even the largest input costs less than what is denied.
    """

    text: str
    claims: Callable[[float], JsonObject]
    affordable: bool = False


def integers(share: float) -> JsonObject:
    """Claims with as many values as fit."""
    return {"l": [0] * int(TOKEN / 2 * share)}


def _names(share: float) -> JsonObject:
    return {"l": ["aaab"] * int(TOKEN / 7 * share), "s": "a" * int(TOKEN / 2 * share)}


def _object(share: float) -> JsonObject:
    return {"l": {f"k{n}": n for n in range(int(TOKEN / 12 * share))}}


SHAPES: Final = (
    Shape("claims.l.all(x, x == 0)", integers, affordable=True),
    Shape("claims.l.all(x, x != path.id)", _names),
    Shape("claims.l.all(x, claims.l == claims.l)", integers),
    Shape("claims.l.all(x, claims == claims)", _object),
    Shape("claims.l.all(x, !(1 in claims.l))", integers),
    Shape("claims.l.all(x, (claims.l + claims.l).size() > 0)", integers),
    Shape("(claims.l + claims.l + claims.l).all(x, x == 0)", integers),
    Shape("claims.l.exists(x, int(x) == 1)", _names),
    Shape("claims.l.exists(x, claims.nope == 1)", integers, affordable=True),
    Shape("claims.l.exists(x, claims.s.size() == 1)", _names),
    Shape("claims.l.exists(x, claims.s + claims.s == 'b')", _names),
    Shape("claims.l.exists(x, x.matches('^team-[a-z]+-admin$'))", _names),
    Shape("claims.l.exists(x, duration(claims.s) == duration('1s'))", _names),
    Shape("claims.l.exists(x, request.headers.a.contains(x))", _names),
    Shape("request.headers.a.contains(request.headers.b)", _names),
    Shape("request.headers.a.matches('(x|y)*x(x|y){20}z')", _names),
    Shape("request.headers.a.matches('.*x.{30}z')", _names),
    Shape("request.headers.c.matches('(é|x)*x(é|x){20}z')", _names),
    Shape("request.headers.a.matches('(x+x+)+y')", _names, affordable=True),
    Shape("claims.l.exists(x, request.headers.c.matches('[a-z]*x[a-z]{20}z'))", _names),
    Shape("request.headers.all(k, request.headers[k].size() > 0)", integers, affordable=True),
)


def _mixed(length: int, letters: str) -> str:
    """Text without a period, so that no state of a pattern comes back soon."""
    seed, text = 1, []
    for _ in range(length):
        seed = (seed * 1_103_515_245 + 12_345) % 2**31
        text.append(letters[seed >> 16 & 1])
    return "".join(text)


_XY: Final = _mixed(HEADERS, "xy")
_EX: Final = _mixed(HEADERS, "éx")


def hostile_attributes(share: float, *, same: bool = False) -> RequestAttributes:
    """Describe a request whose headers are *share* of the largest.

    The first of them has letters that are mixed, or one letter that is the *same* everywhere.
    """
    size = int(HEADERS * share)
    first = "a" * (size * 2 // 3) if same else _XY[: size // 2]
    headers = (("a", first), ("b", "a" * (size // 3) + "b"), ("c", _EX[: size // 3]))
    return RequestAttributes(HttpRequest("GET", "h", "/", headers), Host("h"), {"id": "alice"})
