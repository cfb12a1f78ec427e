"""Answers that are put together from parts say what one that is made at once says."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import pytest

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow, Deny, DenyReason
from authz_service.core.verified import TokenCacheLimits, VerifiedTokens
from authz_service.ext_authz import responses
from authz_service.ext_authz.convert import to_check_response, to_http_request
from authz_service.ext_authz.responses import Responses
from tests.edge.shop import NOW, POLICY, REFUSALS, check_request, mint, policy_from, published

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
    from authz_service.core.decision import Decision
    from authz_service.core.policy import Policy

ALLOWED: Final[dict[str, Callable[[], CheckRequest]]] = {
    "public": lambda: check_request("/healthz"),
    "a token": lambda: check_request(token=mint()),
    "another token": lambda: check_request(token=mint({"sub": "émile", "scope": "read:products"})),
    "another route": lambda: check_request("/me", token=mint()),
    "something to strip": lambda: check_request(token=mint(), headers=[("x-auth-role", "root")]),
    "public, something to strip": lambda: check_request(
        "/healthz", headers=[("X_Auth_Subject", "root"), ("x-auth-a", "b")]
    ),
}
REQUESTS: Final = ALLOWED | {str(refusal.reason): refusal.request for refusal in REFUSALS}


@functools.cache
def _policies() -> tuple[Policy, ...]:
    """Refusals are enforced by one, and reported by the other."""
    return policy_from(POLICY), policy_from(f"mode: audit\n{POLICY}")


class Service:
    """Decides with a cache, and answers."""

    def __init__(self) -> None:
        self.responses = Responses()
        self.cache = VerifiedTokens(TokenCacheLimits())

    def decide(self, request: CheckRequest, policy: Policy) -> Decision:
        return authorize(
            to_http_request(request), policy=policy, keys=published(), now=NOW, verified=self.cache
        )

    def answer(self, decision: Decision) -> CheckResponse:
        return CheckResponse.FromString(self.responses.of(decision))


def test_an_answer_is_the_same_however_often_its_parts_were_made_before() -> None:
    requests = [make() for make in REQUESTS.values()]
    seen = set()
    for policy in _policies():
        service = Service()
        for _ in range(3):
            for request in requests:
                decision = service.decide(request, policy)
                assert service.answer(decision) == to_check_response(decision)
                seen.add(type(decision))
        assert service.cache.statistics().hits > 0
    assert seen == {Allow, Deny}


@pytest.mark.parametrize("first", REQUESTS)
@pytest.mark.parametrize("second", ALLOWED)
def test_no_answer_has_anything_of_the_one_before(first: str, second: str) -> None:
    service = Service()
    (policy, _) = _policies()
    requests = [REQUESTS[name]() for name in (first, second)]
    for _ in range(3):
        for request in requests:
            decision = service.decide(request, policy)
            assert service.answer(decision) == to_check_response(decision)


def test_a_known_token_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    (policy, _) = _policies()
    request = check_request(token=mint())
    for _ in range(2):
        service.answer(service.decide(request, policy))
    for name in ("verdict", "changes", "identification", "to_check_response"):
        monkeypatch.setattr(responses, name, None)
    assert service.answer(service.decide(request, policy)).status.code == 0


def test_refusals_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "_MOST_REFUSALS", 5)
    service = Service()
    for reason in DenyReason:
        for _ in range(2):
            assert service.answer(Deny(reason)) == to_check_response(Deny(reason))
        assert len(service.responses._refusals) <= 5
