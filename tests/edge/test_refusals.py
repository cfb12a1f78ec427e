"""Every reason to refuse, as Envoy gets it: the table of the answers, through the wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from authz_service._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from authz_service.core.decision import NOT_OF_THE_REQUEST, DenyReason
from authz_service.policy import PolicyError
from tests.edge.rig import FakeKeys, answer, ask, reason, servicer
from tests.edge.shop import (
    ISSUER,
    NOW,
    POLICY,
    REFUSALS,
    SECRET,
    Refusal,
    check_request,
    mint,
    policy_from,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
        CheckRequest,
        CheckResponse,
    )
    from authz_service.core.jwks import KeySet
    from authz_service.ext_authz.servicer import AuthorizationServicer

OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
EACH_REASON: Final = pytest.mark.parametrize(
    "refusal", REFUSALS, ids=[refusal.reason.value for refusal in REFUSALS]
)


class _BrokenKeys(FakeKeys):
    @property
    def key_sets(self) -> Mapping[str, KeySet]:
        raise RuntimeError(SECRET)

    @key_sets.setter
    def key_sets(self, value: Mapping[str, KeySet]) -> None:
        del value


def _broken() -> AuthorizationServicer:
    return servicer(keys=_BrokenKeys())


def test_no_reason_lacks_a_row() -> None:
    reasons = [refusal.reason for refusal in REFUSALS]
    assert sorted([*reasons, *NOT_OF_THE_REQUEST]) == sorted(DenyReason)


@EACH_REASON
def test_each_reason_gets_its_status_its_code_its_headers_and_its_body(refusal: Refusal) -> None:
    response = answer(refusal.request())
    assert reason(response) == refusal.reason.value
    _assert_is_refused_as(refusal, response)


def _assert_is_refused_as(refusal: Refusal, response: CheckResponse) -> None:
    denied = response.denied_response
    expected = {"content-type": "application/json", "cache-control": "no-store"}
    if refusal.challenge is not None:
        expected["www-authenticate"] = refusal.challenge
    if refusal.retry_after is not None:
        expected["retry-after"] = refusal.retry_after
    assert response.status.code == refusal.rpc
    assert denied.status.code == refusal.http
    assert [(each.header.key, each.header.value) for each in denied.headers] == [*expected.items()]
    assert all(each.append_action == OVERWRITE for each in denied.headers)
    body = json.loads(denied.body)
    assert set(body) == {"error", "error_description"}
    assert body["error"] == refusal.error
    assert body["error_description"]


def test_our_own_fault_is_a_500(log_events: list[object]) -> None:
    response = answer(check_request(), served=_broken)
    row = Refusal(DenyReason.INTERNAL_ERROR, check_request, 500, 13, "server_error")
    assert reason(response) == "internal_error"
    _assert_is_refused_as(row, response)
    assert len(log_events) == 1


@EACH_REASON
def test_nothing_of_the_request_or_the_token_goes_back_to_the_client(refusal: Refusal) -> None:
    request = refusal.request()
    assert SECRET.encode() in request.SerializeToString()
    response = answer(request)
    told = response.denied_response.SerializeToString() + response.status.SerializeToString()
    assert SECRET.encode() not in told
    assert b"user-1" not in told
    assert ISSUER.encode() not in told


@EACH_REASON
def test_the_answer_to_a_reason_is_always_the_same(refusal: Refusal) -> None:
    first, second = ask(refusal.request(), refusal.request())
    assert first.denied_response == second.denied_response


@EACH_REASON
def test_a_refused_token_is_in_no_part_of_the_response(refusal: Refusal) -> None:
    request = refusal.request()
    authorization = request.attributes.request.http.headers["authorization"]
    sent = [part for part in authorization.removeprefix("Bearer ").split(".") if part]
    response = answer(request).SerializeToString()
    assert not any(part.encode() in response for part in sent)


@EACH_REASON
def test_a_denied_response_has_no_field_that_could_split_it(refusal: Refusal) -> None:
    for option in answer(refusal.request()).denied_response.headers:
        assert (option.header.key + option.header.value).isprintable()
        assert (option.header.key + option.header.value).isascii()
        assert not option.header.raw_value


def test_the_challenge_is_one_line_of_ascii_whatever_the_resource_is_called() -> None:
    text = POLICY.replace(
        "- name: shopping\n    audience: https://shopping.api",
        '- audience: "https://shopping.api/\\r\\nset-cookie: session=\\u0438"',
    )
    try:
        policy = policy_from(text)
    except PolicyError:
        return  # to refuse such a policy is as good
    response = answer(check_request(), served=lambda: servicer(policy=policy))
    assert reason(response) == "missing_token"
    for option in response.denied_response.headers:
        assert option.header.value.isprintable()
        assert option.header.value.isascii()


def _metadata(response: CheckResponse) -> dict[str, str | float]:
    return {
        name: value.string_value if value.HasField("string_value") else value.number_value
        for name, value in response.dynamic_metadata.fields.items()
    }


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (check_request("/nowhere"), {"reason": "no_route"}),
        (
            check_request(),
            {"reason": "missing_token", "resource": "shopping", "route": "/products"},
        ),
    ],
    ids=["before_a_route", "before_a_token"],
)
def test_metadata_of_a_refusal_holds_what_was_established(
    request_: CheckRequest, expected: dict[str, str]
) -> None:
    assert _metadata(answer(request_)) == {"decision": "deny", **expected}


def test_metadata_names_the_issuer_of_a_token_that_was_not_verified_and_nobody_else() -> None:
    token = mint({"sub": "somebody"}, {"kid": "unknown"})
    assert _metadata(answer(check_request(token=token))) == {
        "decision": "deny",
        "reason": "unknown_key",
        "resource": "shopping",
        "route": "/products",
        "issuer": "logto",
    }


def test_metadata_of_a_verified_token_that_does_not_suffice_says_whose_it_is() -> None:
    token = mint({"scope": "read:orders read:members"})
    assert _metadata(answer(check_request(token=token))) == {
        "decision": "deny",
        "reason": "insufficient_scope",
        "resource": "shopping",
        "route": "/products",
        "issuer": "logto",
        "subject": "user-1",
        "client_id": "app-1",
        "scope": "read:orders read:members",
        "expires_at": NOW + 3600,
    }
