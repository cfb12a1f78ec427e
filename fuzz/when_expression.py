"""`when`: CEL expressions of a policy, evaluated with the claims and headers of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service.core.conditions import RequestAttributes
from authz_service.core.request import Host, HttpRequest
from authz_service.policy.when import WhenExpression
from fuzz.target import Target
from tests.support.hostile_input import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.strict_json import JsonObject

_ATTRIBUTES: Final = RequestAttributes(
    HttpRequest("GET", "shop.example.com", "/a/b?c=d", (("a", "x" * 200), ("cookie", "\xff"))),
    Host("shop.example.com"),
    {"id": "alice", "name": ""},
)
_CLAIMS: Final[tuple[JsonObject, ...]] = (
    {},
    {
        "sub": "alice",
        "age": 44,
        "exp": 1e308,
        "big": 10**300,
        "small": -(2**63),
        "vip": True,
        "none": None,
        "l": [1, "x", [True, None], {"a": 1.5}],
        "s": "\u202e\U0001f600",
        "address": {"country": "NL", "": {"/": 0}},
    },
)
_WORDS: Final = (
    "claims", "claims.sub", "path.id", "request.headers", "request.method", "request.path", ".l",
    ".address", "['sub']", "has(", "all(x, ", "exists(x, ", "exists_one(", "size(", "matches(",
    "contains(", "startsWith(", "in ", "&&", "||", "? ", " : ", "==", "!=", "!", "-", "int(",
    "uint(", "double(", "string(", "timestamp(", "duration(", "type(", "dyn(", "bytes(",
    "b'\\xff'", "r'\\'", "1u", "0x7fffffffffffffff", "-9223372036854775808", "1e309", "'", '"""',
    "`a`", "//",
    "[", "{", "cel.bind(", "optional.of(", "map(", "getFullYear('Z')", "\\u0000", "(a|b){1000}",
    "%",
    "null",
)  # fmt: skip


def _seeds() -> Iterator[bytes]:
    for shape in SHAPES:
        yield shape.text.encode()
    for text in (
        "claims.age >= 18 && path.id == claims.sub",
        "has(claims.address) && claims.address.country in ['NL', 'DE']",
        "request.headers.a.matches('^x+$') || request.method == 'GET'",
        "timestamp(int(claims.exp)) > timestamp('2025-01-01T00:00:00Z')",
        "claims.l.exists(x, type(x) == list && 1u in x) ? true : !claims.vip",
        'claims["sub"].startsWith("a") // so',
        r"claims.sub.matches(r'^[A-\\a-z]+$')",
    ):
        yield text.encode()


def _judge(octets: bytes) -> None:
    text = octets.decode("utf-8", "replace")
    try:
        expression = WhenExpression.parse(text)
    except ValueError as error:
        assert "\n" not in str(error), "more than one line"
        return
    for claims in _CLAIMS:
        answer = expression.holds(claims, _ATTRIBUTES)
        assert isinstance(answer, bool)
        assert expression.holds(claims, _ATTRIBUTES) is answer
        if not answer:
            assert expression.failure(claims, _ATTRIBUTES)


TARGET: Final = Target(_seeds, _judge, words=_WORDS, max_bytes=1024)
