"""The policy, compiled: who issues tokens, and what each route of each host asks of one.

What exists here is valid; `authz_service.policy` makes it from files and reports what is not.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.forward import ForwardRules
from authz_service.core.hosts import HostIndex
from authz_service.core.refresh import RefreshSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.claims import ClaimReference
    from authz_service.core.conditions import Condition
    from authz_service.core.jwks import KeySet
    from authz_service.core.request import Host, HttpRequest, RequestPath
    from authz_service.core.routes import PathPattern, RouteIndex
    from authz_service.core.templates import Template


@dataclass(frozen=True, slots=True)
class RemoteKeys:
    """Keys that the issuer publishes: at *jwks_uri*, or where its metadata says."""

    jwks_uri: str | None = None
    allow_http: bool = False
    refresh: RefreshSettings = field(default_factory=RefreshSettings)


_APPLICATION: Final = "application/"


@dataclass(frozen=True, slots=True)
class TokenTypes:
    """Which values of `typ` an access token may have, and whether it may have none."""

    names: frozenset[str]
    absent: bool = False

    @classmethod
    def of(cls, *names: str, absent: bool = False) -> TokenTypes:
        """Media types as RFC 7515, section 4.1.9, has them, with or without `application/`."""
        return cls(frozenset(_normal_type(name) for name in names), absent)

    def accept(self, typ: str | None) -> bool:
        """Whether a header with *typ*, or with none, is one of an access token."""
        return self.absent if typ is None else _normal_type(typ) in self.names


def _normal_type(typ: str) -> str:
    return typ.lower().removeprefix(_APPLICATION)


@dataclass(frozen=True, slots=True)
class AccessTokenMarks:
    """What tells an issuer's access token from its other tokens by the claims, as `typ` may not.

    The claims in *values* have those values. Of each group in *one_of*, at least one is there.
    Those in *never* are not there: only ID tokens have them.
    """

    values: tuple[tuple[str, str], ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    never: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authorization server, and what its access tokens look like. Times are in seconds.

    *identifiers* are the values of `iss` that it uses, compared exactly (RFC 8725, section 3.8).
    The scopes are those of all *scope_claims*; where a token has none of these claims, those of
    all *fallback_scope_claims*. The first of *client_id_claims* that a token has is the client.
    """

    name: str
    identifiers: tuple[str, ...]
    algorithms: frozenset[str]
    token_types: TokenTypes
    required_claims: tuple[str, ...]
    scope_claims: tuple[ClaimReference, ...]
    client_id_claims: tuple[ClaimReference, ...]
    leeway: float
    max_token_lifetime: float | None
    keys: RemoteKeys | KeySet
    fallback_scope_claims: tuple[ClaimReference, ...] = ()
    audience_stand_in: str | None = None
    """The claim that is compared in the place of `aud` where a token has none at all."""
    marks: AccessTokenMarks = AccessTokenMarks()
    required: bool = True
    """Whether the service is not ready without its keys."""
    needed_claims: frozenset[str] = field(init=False, repr=False, compare=False)
    """Every claim that its access tokens have, but for `aud` and the groups in *marks*."""

    def __post_init__(self) -> None:
        """Gather *needed_claims* once, for every token is held against them."""
        marked = (name for name, _value in self.marks.values)
        needed = frozenset({"iss", "exp", *self.required_claims, *marked})
        object.__setattr__(self, "needed_claims", needed)

    @property
    def retry_after(self) -> int:
        """Whole seconds, at least one, after which missing keys may have been fetched."""
        if not isinstance(self.keys, RemoteKeys):
            return 1
        return max(1, math.ceil(self.keys.refresh.cooldown))


@dataclass(frozen=True, slots=True)
class Public:
    """The requirement of a route that is open to everybody: no token is looked at."""


@dataclass(frozen=True, slots=True)
class TokenRequirement:
    """What a token must have: one of *audiences*, all *scopes*, one of *any_scope* if there are.

    *issuers* are those that may have issued it, by the values of `iss` they use. Where a token is
    *optional*, none is fine, and one that is sent must meet the rest. With *audit*, a refusal is
    reported and not enforced.
    """

    issuers: Mapping[str, Issuer]
    audiences: tuple[Template, ...]
    scopes: tuple[str, ...] = ()
    any_scope: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    optional: bool = False
    audit: bool = False
    _fixed_audiences: frozenset[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Expand once what is the same for every request."""
        varies = any(audience.variables for audience in self.audiences)
        fixed = None if varies else frozenset(audience.text for audience in self.audiences)
        object.__setattr__(self, "_fixed_audiences", fixed)

    def audiences_for(self, variables: Mapping[str, str]) -> frozenset[str]:
        """The audiences of which one must be the token's, with the path *variables* put in."""
        if self._fixed_audiences is not None:
            return self._fixed_audiences
        return frozenset(audience.expand(variables) for audience in self.audiences)

    @property
    def named_scopes(self) -> tuple[str, ...]:
        """Every scope that plays a part, for the challenge of a refused request."""
        return self.scopes + self.any_scope


Requirement = Public | TokenRequirement


_METHOD: Final = re.compile(r"[A-Z][A-Z0-9_-]*", re.ASCII)


def is_method(text: str) -> bool:
    """Whether *text* can name a method here. Methods are case-sensitive (RFC 9110, section 9.1).

    Not every server knows that: `delete` must not be "any other method" to us, and `DELETE` to it.
    """
    return _METHOD.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Route:
    """A path of a resource, and what each method needs there.

    *other_methods* is the requirement of every method that is not named, None where those are
    denied. A `%2F` or `;` parameters in a path are refused unless the resource keeps them.
    With *audit*, the refusal of a method that has no requirement is reported and not enforced.
    """

    resource: str
    pattern: PathPattern
    methods: Mapping[str, Requirement]
    other_methods: Requirement | None = None
    keep_encoded_slash: bool = False
    keep_path_parameters: bool = False
    allow_preflight: bool = False
    audit: bool = False

    def admits_preflight(self, request: HttpRequest) -> bool:
        """Whether *request* is a CORS preflight (Fetch Standard, "CORS-preflight request").

        It carries no credentials, and asks only what may be asked.
        """
        return (
            self.allow_preflight
            and request.method == "OPTIONS"
            and any(request.header_values("origin"))
            and any(request.header_values("access-control-request-method"))
        )

    def requirement_for(self, method: str) -> Requirement:
        """What *method* needs here; `HEAD` is judged as `GET` unless it is named.

        Raises AccessDenied (method_not_allowed): never hands on to a less specific route.
        """
        requirement = self.methods.get(method)
        if requirement is not None:
            return requirement
        if not is_method(method):
            raise AccessDenied(DenyReason.METHOD_NOT_ALLOWED)
        if method == "HEAD":
            requirement = self.methods.get("GET")
        if requirement is None:
            requirement = self.other_methods
        if requirement is None:
            raise AccessDenied(DenyReason.METHOD_NOT_ALLOWED)
        return requirement


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """The route that a request falls under, with the values of its path variables."""

    route: Route
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that one Check is judged by, but for keys and time. Empty, it denies all."""

    issuers: tuple[Issuer, ...] = ()
    hosts: HostIndex[RouteIndex[Route]] = HostIndex({})  # noqa: RUF009 - frozen and empty
    forward: ForwardRules = field(default_factory=ForwardRules)
    used_issuers: tuple[Issuer, ...] = ()
    """Those of *issuers* whose tokens some route takes; the others' keys are not needed."""
    audit: bool = False
    """The refusal of what no route names is reported and not enforced."""

    @property
    def resources(self) -> frozenset[str]:
        """The names of all resources that have routes; looked up anew each time."""
        return frozenset(
            route.resource for routes in self.hosts.values.values() for route in routes
        )

    def match(self, host: Host, path: RequestPath) -> RouteMatch:
        """Find the route for *host* and *path*: first the host, then the most specific pattern.

        Raises AccessDenied: ambiguous_path where the matched resource does not keep what the path
        has in it, no_route.
        """
        routes = self.hosts.find(host)
        route = routes.find(path.segments) if routes is not None else None
        if (path.has_encoded_slash and not (route and route.keep_encoded_slash)) or (
            path.has_parameters and not (route and route.keep_path_parameters)
        ):
            raise AccessDenied(DenyReason.AMBIGUOUS_PATH)
        if route is None:
            raise AccessDenied(DenyReason.NO_ROUTE)
        return RouteMatch(route, route.pattern.bind(path.segments))
