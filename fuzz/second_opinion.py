"""Whether a request may pass, found a second time by code that shares nothing with the service.

It knows the policy of `fuzz.world` by heart, and says why an allow is wrong. It has no opinion on
denials: to deny is never a hole.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from fuzz.genuine import Claims, audiences, genuine, scopes

_SHOP: Final = "https://shopping.api"
_FILES: Final = frozenset({"https://files.api", "client-1"})
_BEARER: Final = re.compile(r"(?i)(?:^|,)[ \t]*bearer(?:[ \t,]|$)")

Holds = Callable[[Claims, list[str]], bool]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the upstream will see it; names of *headers* in lower case."""

    method: str
    authority: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Every value under *name*."""
        return [value for key, value in self.headers if key == name]


def _has(*needed: str) -> Holds:
    return lambda claims, _path: _SHOP in audiences(claims) and scopes(claims) >= {*needed}


def _deletes(claims: Claims, _path: list[str]) -> bool:
    return _SHOP in audiences(claims) and bool(scopes(claims) & {"delete:products", "admin"})


def _is_member(claims: Claims, path: list[str]) -> bool:
    return (
        f"urn:logto:organization:{path[1]}" in audiences(claims)
        and "read:members" in scopes(claims)
    )  # fmt: skip


def _orders(claims: Claims, path: list[str]) -> bool:
    value = claims["organization_id"]
    return _SHOP in audiences(claims) and path[1] in (value if isinstance(value, list) else [value])


def _leads(claims: Claims, _path: list[str]) -> bool:
    roles = claims["team"]["roles"]
    roles = roles if isinstance(roles, list) else [roles]
    leading = any(role == "lead" or role is True or _is_seven(role) for role in roles)
    return _SHOP in audiences(claims) and leading and claims["email"] is not None


def _is_seven(value: object) -> bool:
    return not isinstance(value, bool) and value == 7


def _is_adult(claims: Claims, path: list[str]) -> bool:
    age = claims["age"]
    grown = not isinstance(age, bool) and isinstance(age, int | float) and age >= 18
    return _SHOP in audiences(claims) and grown and path[1] == claims["sub"]


def _reads_files(claims: Claims, _path: list[str]) -> bool:
    return bool(_FILES & audiences(claims)) and "read:files" in scopes(claims)


def _writes_files(claims: Claims, _path: list[str]) -> bool:
    return bool(_FILES & audiences(claims)) and "write:files" in scopes(claims)


_ROUTES: Final[Mapping[str, Mapping[str, Holds]]] = {
    "products": {"GET": _has("read:products"), "POST": _has("write:products")},
    "products/archive": {"GET": _has("admin")},
    "products/*": {"GET": _has("read:products"), "DELETE": _deletes},
    "me/**": {"*": _has()},
    "organizations/*/members": {"GET": _is_member},
    "organizations/*/orders": {"GET": _orders},
    "team": {"GET": _leads},
    "adults/*": {"GET": _is_adult},
    "maybe": {"GET": _has("read:products")},
    "watched": {"GET": _has("admin")},
    "files: files/**": {"GET": _reads_files, "*": _writes_files},
}  # the first that matches counts
_OF_FILES: Final = "files: "
_FOR_NOBODY_IN_PARTICULAR: Final = {"healthz", "files: open/*"}


def objection(seen: Seen, identity: Mapping[str, str]) -> str | None:
    """Say why *seen* must not pass with the headers of *identity*, if so."""
    path = _segments(seen.target)
    if path is None:
        return "an ambiguous path"
    resource = _resource(seen.authority)
    if resource is None:
        return "a host of nobody"
    if not resource and (";" in seen.target.partition("?")[0] or any("/" in part for part in path)):
        return "an ambiguous path"
    if identity:
        return _objection_to_identity(seen, resource, path, identity)
    return None if _is_open(seen, resource, path) else "nobody in particular"


def _segments(target: str) -> list[str] | None:
    raw = target.split("?", maxsplit=1)[0]
    if not raw.startswith("/") or not raw.isascii():
        return None
    parts = [unquote(part.split(";")[0], errors="strict") for part in raw.split("/")[1:]]
    if parts[-1] == "":
        parts.pop()
    pieces = {piece.split(";")[0] for part in parts for piece in re.split(r"[/\\]", part)}
    if pieces & {"", ".", ".."} or any(c in part for part in parts for c in "%\\\0\r\n\x7f"):
        return None
    return parts


def _resource(authority: str) -> str | None:
    """Give what comes before the routes of the resource that *authority* belongs to."""
    host = re.sub(r":[0-9]*$", "", authority).lower().removesuffix(".")
    if host in {"[::1]", "files.example.com"} or re.fullmatch(r"\[[0:.]*:[0:.]*1\]", host):
        return _OF_FILES
    return "" if host == "shop.example.com" or host.endswith(".shop.example.com") else None


def _is_open(seen: Seen, resource: str, path: list[str]) -> bool:
    """Whether this request may pass without anybody's claims."""
    if not resource and seen.method == "OPTIONS":
        asks = any(seen.values("origin")) and any(seen.values("access-control-request-method"))
        if asks and _match(resource, path, [*_ROUTES, *_FOR_NOBODY_IN_PARTICULAR]):
            return True
    if seen.method not in {"GET", "HEAD"}:
        return False
    if _match(resource, path, _FOR_NOBODY_IN_PARTICULAR) or path == ["watched"]:
        return True
    sent = any(_BEARER.search(value) for value in seen.values("authorization"))
    return not resource and path == ["maybe"] and not sent


def _objection_to_identity(
    seen: Seen, resource: str, path: list[str], identity: Mapping[str, str]
) -> str | None:
    values = seen.values("authorization")
    if len(values) != 1 or values[0][:7].lower() != "bearer ":
        return "not one bearer token"
    claims = genuine(values[0][7:].lstrip(" "))
    if claims is None:
        return "a token that nobody signed, or that is not valid now"
    told = identity.get("x-claims", "")
    if json.loads(base64.urlsafe_b64decode(told + "==")) != claims:
        return "other claims than the token's"
    subject = claims["sub"]
    if re.fullmatch(r"[A-Za-z0-9]+", subject) and identity.get("x-auth-subject") != subject:
        return "somebody else"
    told = identity.get("x-auth-scope", "")
    if not told.startswith('%"') and frozenset(told.split(" ")) - {""} != scopes(claims) - {""}:
        return "other scopes than the token's"
    return None if _is_admitted(claims, seen.method, resource, path) else "not enough of a token"


def _is_admitted(claims: Claims, method: str, resource: str, path: list[str]) -> bool:
    route = _match(resource, path, _ROUTES)
    methods = _ROUTES[route] if route else {}
    holds = methods.get("GET" if method == "HEAD" else method) or methods.get("*")
    try:
        return holds is not None and holds(claims, path)
    except (KeyError, TypeError):
        return False


def _match(resource: str, path: list[str], routes: Iterable[str]) -> str | None:
    for route in routes:
        if route.startswith(_OF_FILES) == bool(resource) and _fits(
            route.removeprefix(_OF_FILES).split("/"), path
        ):
            return route
    return None


def _fits(pattern: list[str], path: list[str]) -> bool:
    if pattern[-1] == "**":
        return path[: len(pattern) - 1] == pattern[:-1]
    return len(pattern) == len(path) and all(
        expected in {"*", actual} for expected, actual in zip(pattern, path, strict=True)
    )
