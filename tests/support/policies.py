"""A shop's policy, compiled by hand: Logto's three models and every form of requirement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.claims import ClaimReference
from authz_service.core.conditions import ClaimCondition, RequestAttributes
from authz_service.core.decision import DenyReason
from authz_service.core.forward import ForwardRules
from authz_service.core.hosts import HostIndex, HostPattern
from authz_service.core.policy import (
    Issuer,
    Policy,
    Public,
    RemoteKeys,
    Route,
    TokenRequirement,
    TokenTypes,
)
from authz_service.core.request import Host, HttpRequest
from authz_service.core.routes import PathPattern, RouteIndex
from authz_service.core.templates import Template
from tests.support.tokens import AUDIENCE, ISSUER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.conditions import Condition
    from authz_service.core.policy import Requirement
    from authz_service.core.strict_json import JsonObject

HOST: Final = "shop.example.com"
LEEWAY: Final = 10
MAX_LIFETIME: Final = 86400

LOGTO: Final = Issuer(
    name="logto",
    identifiers=(ISSUER,),
    algorithms=frozenset(ALGORITHMS),
    token_types=TokenTypes.of("at+jwt"),
    required_claims=("sub", "client_id", "iat", "jti"),
    scope_claims=(ClaimReference.parse("scope"),),
    client_id_claims=(ClaimReference.parse("client_id"),),
    leeway=LEEWAY,
    max_token_lifetime=MAX_LIFETIME,
    keys=RemoteKeys(),
)
PARTNER: Final = Issuer(
    name="partner",
    identifiers=("https://partner.example",),
    algorithms=frozenset({"ES384"}),
    token_types=TokenTypes.of("at+jwt"),
    required_claims=(),
    scope_claims=(ClaimReference.parse("scp"),),
    client_id_claims=(ClaimReference.parse("azp"),),
    leeway=LEEWAY,
    max_token_lifetime=None,
    keys=RemoteKeys(),
)


@dataclass(frozen=True)
class HoldsIf:
    """A condition of a kind of its own, refused as `condition_failed`."""

    claim: str
    reason: DenyReason = DenyReason.CONDITION_FAILED

    def holds(self, members: JsonObject, attributes: RequestAttributes) -> bool:
        """Whether the claim is true, whatever the path."""
        del attributes
        return members.get(self.claim) is True


def needs(
    *scopes: str,
    issuers: tuple[Issuer, ...] = (LOGTO, PARTNER),
    audience: str = AUDIENCE,
    any_scope: tuple[str, ...] = (),
    conditions: tuple[Condition, ...] = (),
) -> TokenRequirement:
    """Require a token with *scopes*."""
    return TokenRequirement(
        issuers={iss: issuer for issuer in issuers for iss in issuer.identifiers},
        audiences=(Template.parse(audience),),
        scopes=scopes,
        any_scope=any_scope,
        conditions=conditions,
    )


def claim_is(claim: str, *values: str | float) -> ClaimCondition:
    """Require *claim* to be one of *values*; strings are templates."""
    return ClaimCondition(
        ClaimReference.parse(claim),
        tuple(Template.parse(value) if isinstance(value, str) else value for value in values),
    )


def attributes(**variables: str) -> RequestAttributes:
    """Describe a request whose path has *variables*."""
    return RequestAttributes(HttpRequest("GET", HOST, "/"), Host(HOST), variables)


def route(
    path: str,
    methods: Mapping[str, Requirement],
    *,
    keep_encoded_slash: bool = False,
    keep_path_parameters: bool = False,
) -> Route:
    """Make a route as the loader does: `*` is every method that is not named."""
    return Route(
        resource="shopping",
        pattern=PathPattern.parse(path),
        methods={method: needed for method, needed in methods.items() if method != "*"},
        other_methods=methods.get("*"),
        keep_encoded_slash=keep_encoded_slash,
        keep_path_parameters=keep_path_parameters,
    )


def policy_of(
    *routes: Route,
    issuers: tuple[Issuer, ...] = (LOGTO, PARTNER),
    forward: ForwardRules | None = None,
    host: str = HOST,
) -> Policy:
    """Compile a policy with *routes* for one host pattern."""
    index: RouteIndex[Route] = RouteIndex()
    for each in routes:
        index.add(each.pattern, each)
    return Policy(issuers, HostIndex({HostPattern.parse(host): index}), forward or ForwardRules())


def shop_policy(*, issuer: Issuer = LOGTO, forward: ForwardRules | None = None) -> Policy:
    """Compile the shop's policy, with *issuer* in the place of Logto."""
    issuers = (issuer, PARTNER)

    def scopes(
        *names: str, audience: str = AUDIENCE, conditions: tuple[Condition, ...] = ()
    ) -> TokenRequirement:
        return needs(*names, issuers=issuers, audience=audience, conditions=conditions)

    return policy_of(
        route("/healthz", {"GET": Public()}),
        route("/products", {"GET": scopes("read:products"), "POST": scopes("write:products")}),
        route(
            "/products/{product_id}",
            {
                "GET": scopes("read:products"),
                "DELETE": needs(issuers=issuers, any_scope=("delete:products", "admin")),
            },
        ),
        route("/products/archive", {"GET": scopes("read:products", "read:archive")}),
        route("/me/**", {"*": scopes()}),
        route("/mixed", {"GET": Public(), "*": scopes("admin")}),
        route("/heads", {"GET": Public(), "HEAD": scopes()}),
        route(
            "/organizations/{org_id}/members",
            {"GET": scopes("read:members", audience="urn:logto:organization:{org_id}")},
        ),
        route(
            "/organizations/{org_id}/orders",
            {"GET": scopes("read:orders", conditions=(claim_is("organization_id", "{org_id}"),))},
        ),
        route("/vip", {"GET": scopes(conditions=(HoldsIf("vip"),))}),
        route("/slashes/{name}", {"GET": scopes()}, keep_encoded_slash=True),
        route("/matrix/{name}", {"GET": scopes()}, keep_path_parameters=True),
        issuers=issuers,
        forward=forward,
    )
