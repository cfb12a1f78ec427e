"""All that a refusal can be explained by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from authz_service.core.bearer import credentials
from authz_service.core.errors import AccessDenied
from authz_service.core.jws import CompactJws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.decision import Deny
    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Issuer, Policy, RouteMatch, TokenRequirement
    from authz_service.core.request import HttpRequest


T = TypeVar("T")


class UnknownError(Exception):
    """What the reason is explained by is not there: `authorize` did not make this decision."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A refusal, and everything that it was decided by."""

    deny: Deny
    request: HttpRequest = field(repr=False)
    policy: Policy = field(repr=False)
    keys: Mapping[str, KeySet] = field(repr=False)
    now: float

    @property
    def match(self) -> RouteMatch:
        """The route. Raises UnknownError, as all of these do, where it was not established."""
        return _known(self.deny.match)

    @property
    def route(self) -> str:
        """The path of the route, as the policy has it."""
        return self.match.route.pattern.text

    @property
    def requirement(self) -> TokenRequirement:
        """What the token must have."""
        return _known(self.deny.requirement)

    @property
    def issuer(self) -> Issuer:
        """The issuer, by the token's own, perhaps unverified word."""
        return _known(self.deny.issuer)

    @property
    def claims(self) -> AccessTokenClaims:
        """The verified claims."""
        return _known(self.deny.claims)

    @property
    def token(self) -> str:
        """The bearer token, which is never to be shown."""
        try:
            return credentials(self.request).value
        except AccessDenied:
            raise UnknownError from None

    @property
    def jws(self) -> CompactJws:
        """The token, taken apart, and not verified here."""
        try:
            return CompactJws.parse(credentials(self.request))
        except AccessDenied:
            raise UnknownError from None


def _known(value: T | None) -> T:
    if value is None:
        raise UnknownError
    return value
