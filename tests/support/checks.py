"""One request with everything that it is judged by: allowed, but for what a test changes."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow, Deny
from authz_service.core.request import HttpRequest
from tests.support.keys import key_set, signing_key
from tests.support.policies import HOST, shop_policy
from tests.support.tokens import NOW, mint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.core.decision import Decision
    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Policy
    from tests.support.keys import SigningKey

SHOP: Final = shop_policy()


@functools.cache
def published_keys() -> Mapping[str, KeySet]:
    """Both issuers' keys; they have the same key id, and are not the same."""
    return {
        "logto": key_set(signing_key()),
        "partner": key_set(signing_key(owner="partner")),
    }


@dataclass(frozen=True, kw_only=True)
class Check:
    """A request. *claims* and *header* replace members of a valid token.

    *token* is called for another one altogether; *authorization* holds `{}` for the token, or is
    None for no such field.
    """

    method: str = "GET"
    authority: str = HOST
    target: str = "/products"
    claims: Mapping[str, object] = field(default_factory=dict)
    header: Mapping[str, object] = field(default_factory=dict)
    signed_with: Callable[[], SigningKey] = signing_key
    token: Callable[[], str] | None = None
    authorization: str | None = "Bearer {}"
    headers: tuple[tuple[str, str], ...] = ()
    policy: Policy = SHOP
    keys: Callable[[], Mapping[str, KeySet]] = published_keys
    now: float = NOW

    def request(self) -> HttpRequest:
        """Write the request with its token."""
        headers = self.headers
        if self.authorization is not None:
            value = self.authorization
            if "{}" in value:
                token = self.token or functools.partial(
                    mint, self.claims, self.header, key=self.signed_with()
                )
                value = value.replace("{}", token())
            headers = (("authorization", value), *headers)
        return HttpRequest(self.method, self.authority, self.target, headers)

    def decide(self) -> Decision:
        """Have it judged."""
        return authorize(self.request(), policy=self.policy, keys=self.keys(), now=self.now)


def allowed(check: Check) -> Allow:
    """Give the decision on *check*, which must be to allow."""
    decision = check.decide()
    assert isinstance(decision, Allow), decision.reason
    return decision


def denied(check: Check) -> Deny:
    """Give the decision on *check*, which must be to deny."""
    decision = check.decide()
    assert isinstance(decision, Deny)
    return decision
