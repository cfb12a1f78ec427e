"""Where an API answers: the `servers` of a document, as hosts and the paths that all begin with."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_service.core.errors import AccessDenied
from authz_service.core.hosts import ANY_HOST, HostPattern
from authz_service.core.request import Host
from authz_service.core.urls import split_url
from authz_service.openapi.values import refusal
from authz_service.policy.problems import Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from authz_service.openapi.document import Server

MAX_ADDRESSES: Final = 100

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
SCHEMES: Final = frozenset(_DEFAULT_PORTS)


@dataclass(frozen=True, slots=True)
class Address:
    """A host with the path that all paths there begin with, which has no final slash.

    *url* is what the document says, None where that names no host. A policy has no ports; *port*
    tells what is not at the same address, None where it may be any.
    """

    host: HostPattern
    base: str = ""
    url: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Every address of some servers, and what could not be said of them."""

    values: tuple[Address, ...]
    remarks: tuple[str, ...] = ()


ANYWHERE: Final = Addresses((Address(ANY_HOST),))
"""No server means the server `/` (OpenAPI 3.1.1, section 4.8.1.1): where the document came from."""


def addresses(servers: Sequence[Server], file: str) -> Addresses:
    """Resolve *servers* of the document *file*; without any, every host counts.

    Raises OpenApiError where there are too many: at one that was left out, other operations would
    decide alone.
    """
    if not servers:
        return ANYWHERE
    values: dict[Address, None] = {}
    remarks: dict[str, None] = {}
    for url in (url for server in servers for url in _urls(server, file, remarks)):
        if (address := _address(url)) is None:
            remarks[f"the server {url:.100} is left out: it is no URL of a host"] = None
            continue
        if address not in values and len(values) == MAX_ADDRESSES:
            raise refusal(Position(file), f"more than {MAX_ADDRESSES} servers of one operation")
        values[address] = None
        if address.port not in {None, *_DEFAULT_PORTS.values()}:
            remarks[f"the server {url:.100} stands for every port: a policy has none"] = None
    return Addresses(tuple(values), tuple(remarks))


def _urls(server: Server, file: str, remarks: dict[str, None]) -> Iterator[str]:
    """The URL of *server* with each combination of the values that its variables may have."""
    names = list(dict.fromkeys(_VARIABLE.findall(server.url)))
    variables = server.variables or {}
    choices: list[list[str]] = []
    for name in names:
        if name not in variables:
            remarks[f"the server {server.url:.100} is left out: it has no {{{name:.50}}}"] = None
            return
        variable = variables[name]
        if not variable.enum:
            remarks[f"of the server variable {{{name:.50}}}, the default alone is taken"] = None
        choices.append(list(dict.fromkeys([variable.default, *(variable.enum or [])])))
    if math.prod(len(values) for values in choices) > MAX_ADDRESSES:
        message = f"{server.url:.100} stands for more than {MAX_ADDRESSES} servers"
        raise refusal(Position(file), message)
    for values in itertools.product(*choices):
        yield _substituted(server.url, dict(zip(names, values, strict=True)))


def _substituted(url: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values[match[1]], url)


def _address(url: str) -> Address | None:
    if "{" in url or "}" in url or "\\" in url:
        return None
    absolute = url
    if url.startswith("//"):
        absolute = f"https:{url}"
    elif "://" not in url:
        return _relative(url)
    parts = split_url(absolute)
    if parts is None or parts.scheme not in SCHEMES or parts.query or parts.fragment:
        return None
    try:
        host = Host.parse(parts.netloc)
    except AccessDenied:
        return None
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return Address(HostPattern(host.name), parts.path.rstrip("/"), absolute.rstrip("/"), port)


def _relative(url: str) -> Address | None:
    """A path on the host that serves the document, which may be any."""
    path = "/" + url.removeprefix("./").strip("/")
    if ":" in url.partition("/")[0] or any(mark in path for mark in "?#"):
        return None
    return Address(ANY_HOST, path.rstrip("/"))
