"""Refusals of a request, whatever its token: host, path, method, and the lack of a token."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.hosts import ANY_HOST
from authz_service.core.limits import MAX_HEADERS
from authz_service.core.policy import is_method
from authz_service.core.request import Host, RequestPath
from authz_service.policy.why.facts import UnknownError
from authz_service.policy.why.wording import cut, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.hosts import HostPattern
    from authz_service.core.policy import Route
    from authz_service.core.routes import RouteIndex
    from authz_service.policy.why.facts import Facts

_MAX_PATH: Final = 8 * 1024  # as in core.request
_MAX_AUTHORITY: Final = 261  # as there
_NOT_VISIBLE: Final = re.compile(r"[^!-~]")
_MALFORMED_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_REFUSED_ESCAPES: Final = {
    "%25": "%, which a server that decodes twice takes for another escape",
    "%5[cC]": "\\, which some servers take for /",
    "%(?:[01][0-9A-Fa-f]|7[fF])": "control character, where some servers end the path",
}
_NO_NAME: Final = frozenset({"", ".", ".."})
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,15}) ")


def no_route(facts: Facts) -> str:
    """Say which host pattern was chosen, and what comes near among its routes."""
    hosts = facts.policy.hosts.values
    host, path = Host.parse(facts.request.authority), RequestPath.parse(facts.request.target)
    index = facts.policy.hosts.find(host)
    if index is None:
        there_are = listed((str(pattern) for pattern in hosts), nothing="none at all")
        return f"no resource has the host {cut(host.name)}: the policy has {there_are}"
    chosen = next(pattern for pattern, routes in hosts.items() if routes is index)
    wanted = facts.request.target.partition("?")[0]
    elsewhere = [
        str(pattern) for pattern, routes in hosts.items() if routes.find(path.segments) is not None
    ]
    near = difflib.get_close_matches(wanted[:500], _paths(index), n=1, cutoff=0.4)
    hint = f"; the nearest is {near[0]}" if near else f": there is {listed(_paths(index), 'or')}"
    if elsewhere:
        hint = f"; the host {listed(elsewhere, 'or')} has one, and {chosen} is the closer match"
    return f"no route of {_named(chosen)} has the path {cut(wanted)}{hint}"


def _named(pattern: HostPattern) -> str:
    return "any host (*)" if pattern == ANY_HOST else f"the host {pattern}"


def _paths(index: RouteIndex[Route]) -> list[str]:
    return [route.pattern.text for route in index]


def method_not_allowed(facts: Facts) -> str:
    """Name the methods that the route has."""
    method, route = facts.request.method, facts.match.route
    named = [*route.methods, *(() if route.other_methods is None else ("*",))]
    if not is_method(method):
        hint = f": write {method.upper()}" if is_method(method.upper()) else ""
        return f"{shown(method)} is not a method, since methods are in upper case{hint}"
    has = listed(named, nothing="no method at all")
    return f"the route {facts.route} has {has}, and not {shown(method)}"


def ambiguous_path(facts: Facts) -> str:
    """Say what in the path could be read in two ways."""
    path = facts.request.target.partition("?")[0]
    return f"the path {shown(path)} could be read in two ways: {next(_path_faults(path))}"


def _path_faults(path: str) -> Iterator[str]:
    """What is wrong with *path*, in the order of `RequestPath.parse` and then of the match."""
    if len(path) > _MAX_PATH:
        yield f"it has {len(path)} characters, and {_MAX_PATH} are allowed"
    if not path.startswith("/"):
        yield "it does not start with /"
    if stray := _NOT_VISIBLE.search(path):
        code = f"U+{ord(stray[0]):04X}"
        yield f"it holds the character {code} as it is, which belongs percent-encoded"
    for character in "\\#":
        if character in path:
            yield f"it holds a {character}"
    if malformed := _MALFORMED_ESCAPE.search(path):
        yield f"{cut(malformed[0])} is no escape: % comes before two hexadecimal digits"
    yield from _segment_faults(path)
    if "%2f" in path.lower():
        yield "it holds an encoded / (%2F): where the API needs it, write encoded_slash: keep"
    if ";" in path:
        yield "it holds a ; with parameters: where the API needs them, write path_parameters: keep"
    yield "servers differ in what they make of it"


def _segment_faults(path: str) -> Iterator[str]:
    for escape, is_what in _REFUSED_ESCAPES.items():
        if found := re.search(escape, path):
            yield f"{found[0]} is an encoded {is_what}"
    segments = path[1:].removesuffix("/").split("/") if path != "/" else []
    for segment in segments:
        name = segment.partition(";")[0]
        if segment == "":
            yield "it has an empty segment (//)"
        elif name in _NO_NAME:
            yield f"it has the segment {shown(segment)}"
        elif (decoded := unquote(name)) in _NO_NAME:
            yield f"its segment {cut(segment)} is {decoded} once it is decoded"
        elif not _is_utf_8(segment):
            yield f"its segment {cut(segment)} is not UTF-8 once it is decoded"
        elif not _is_a_name(segment):
            yield f"its segment {cut(segment)} is not the same to every server once it is decoded"


def _is_utf_8(segment: str) -> bool:
    try:
        unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _is_a_name(segment: str) -> bool:
    """Whether `RequestPath` takes *segment*, whatever resources keep in theirs."""
    try:
        RequestPath.parse(f"/{segment}")
    except AccessDenied:
        return False
    return True


def bad_host(facts: Facts) -> str:
    """Say what is wrong with the host."""
    authority = facts.request.authority
    if not authority:
        return "the request names no host"
    if len(authority) > _MAX_AUTHORITY:
        return f"the host has {len(authority)} characters, and {_MAX_AUTHORITY} are allowed"
    if "," in authority:
        return f"{shown(authority)} are several hosts, and a request has one"
    if "@" in authority:
        return f"{shown(authority)} has a user in it, and a host has none"
    return f"{shown(authority)} is no host name and no address"


def too_many_headers(facts: Facts) -> str:
    """Say how many there are, and how many there may be unless `serve` was told otherwise."""
    return f"the request has {len(facts.request.headers)} headers, and {MAX_HEADERS} are allowed"


def missing_token(facts: Facts) -> str:
    """Say what stands in the place of a bearer token. What may itself be a token is not shown."""
    values = [value for value in facts.request.header_values("authorization") if value]
    needs = f"{facts.route} needs a bearer token for {shown(facts.request.method)}"
    if not values:
        return f"{needs}, and the request has no Authorization header"
    if scheme := _SCHEME.match(values[0]):
        return f"{needs}, and the Authorization header has the scheme {scheme[1]}"
    return f"{needs}, and the Authorization header does not begin with Bearer"


def malformed_credentials(facts: Facts) -> str:
    """Say what the Authorization header is instead of `Bearer` and one token."""
    values = facts.request.header_values("authorization")
    if len(values) > 1:
        return f"the request has {len(values)} Authorization headers, and one is allowed"
    if not values:
        raise UnknownError
    token = values[0][len("Bearer") :].strip()
    if "," in values[0]:
        return "the Authorization header holds several values, joined by a comma, and not one token"
    if not token:
        return "there is nothing after Bearer in the Authorization header"
    if " " in token:
        return "there is more than one word after Bearer in the Authorization header"
    return "what is after Bearer holds a character that no token has (RFC 6750, section 2.1)"


REASONS: Final = {
    DenyReason.NO_ROUTE: no_route,
    DenyReason.METHOD_NOT_ALLOWED: method_not_allowed,
    DenyReason.AMBIGUOUS_PATH: ambiguous_path,
    DenyReason.BAD_HOST: bad_host,
    DenyReason.TOO_MANY_HEADERS: too_many_headers,
    DenyReason.MISSING_TOKEN: missing_token,
    DenyReason.MALFORMED_CREDENTIALS: malformed_credentials,
}
