"""A decision with everything that it was made of: what an explanation has to go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from authz_service.core.authorize import Trail, authorize
from authz_service.core.conditions import RequestAttributes
from authz_service.core.decision import Deny, DenyReason, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.decision import Decision
    from authz_service.core.hosts import HostPattern
    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Issuer, Policy, RouteMatch
    from authz_service.core.request import Host, HttpRequest

_OF_THE_HEADER: Final = {DenyReason.ALGORITHM_NOT_ALLOWED, DenyReason.TOKEN_TYPE_NOT_ALLOWED}
_OF_THE_LAST_STEP: Final = {DenyReason.MALFORMED_CLAIM, DenyReason.CLAIMS_TOO_LARGE}


class KeyOrigin(StrEnum):
    """Where the keys came from that the token was held against."""

    LIVE = "live"
    FILE = "file"
    POLICY = "policy"
    THROWAWAY = "throwaway"


@dataclass(frozen=True, slots=True)
class KeysUsed:
    """The keys of the one *issuer* that the token names; *where* they were, or were sought.

    *key_set* is None where they could not be had, and *fault* says why.
    """

    issuer: str
    origin: KeyOrigin
    where: str
    key_set: KeySet | None = field(repr=False)
    fault: str | None = None

    @property
    def key_sets(self) -> Mapping[str, KeySet]:
        """The keys, as the decision wants them."""
        return {} if self.key_set is None else {self.issuer: self.key_set}


@dataclass(frozen=True, slots=True)
class Judged:
    """One *request* after its *decision*, with what each step established on the way."""

    request: HttpRequest
    policy: Policy = field(repr=False)
    now: float
    keys: KeysUsed | None
    decision: Decision
    trail: Trail = field(repr=False)

    @property
    def signature_skipped(self) -> bool:
        """Whether the signature that was verified is one of our own."""
        return self.keys is not None and self.keys.origin is KeyOrigin.THROWAWAY

    @property
    def deny(self) -> Deny | None:
        """The refusal, enforced or not."""
        return refusal(self.decision)

    @property
    def failed_step(self) -> int | None:
        """The number, in docs/decision.md, of the step that refused; None for an allow."""
        deny, trail = self.deny, self.trail
        if deny is None:
            return None
        if deny.reason in _OF_THE_HEADER:
            return 9
        if trail.claims is not None:
            return 14 if deny.reason in _OF_THE_LAST_STEP else 13
        established = {
            1: trail.path, 2: trail.host, 3: trail.match, 4: trail.requirement, 6: trail.token,
            7: trail.jws, 8: trail.issuer, 10: trail.key, 11: trail.payload,
        }  # fmt: skip
        return next((number for number, what in established.items() if what is None), 12)

    @property
    def host_pattern(self) -> HostPattern | None:
        """The host pattern of the policy that was chosen, whether or not it has a route."""
        host, hosts = self.trail.host, self.policy.hosts
        chosen = None if host is None else hosts.find(host)
        return next((name for name, routes in hosts.values.items() if routes is chosen), None)

    def attributes(self, host: Host, match: RouteMatch) -> RequestAttributes:
        """What a condition may look at beside the claims."""
        return RequestAttributes(self.request, host, match.variables)


def judge(
    request: HttpRequest, *, policy: Policy, now: float, keys: KeysUsed | None = None
) -> Judged:
    """Decide as the service does, at the time *now*, and keep what led there."""
    trail = Trail()
    try:
        decision = authorize(
            request, policy=policy, keys=keys.key_sets if keys else {}, now=now, trail=trail
        )
    except Exception:  # noqa: BLE001 - a fault of ours, which the service refuses as well
        decision = Deny()
    return Judged(request, policy, now, keys, decision, trail)


def issuer_whose_keys_are_needed(
    request: HttpRequest, *, policy: Policy, now: float
) -> Issuer | None:
    """The issuer that the token names, None where the request is decided without any key."""
    deny = judge(request, policy=policy, now=now).deny
    needs_keys = deny is not None and deny.reason is DenyReason.KEYS_UNAVAILABLE
    return deny.issuer if needs_keys and deny is not None else None
