"""What each refusal looks like to the client."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from authz_service.core.answers import ANSWERS, RpcCode, body, response_headers
from authz_service.core.decision import Deny, DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.policy import RemoteKeys
from authz_service.core.refresh import RefreshSettings
from tests.support.checks import Check, denied
from tests.support.policies import LOGTO, needs, policy_of, route, shop_policy

R = DenyReason
INVALID_TOKEN = 'Bearer realm="shopping", error="invalid_token"'
LACKING_SCOPE = 'Bearer realm="shopping", error="insufficient_scope"'


def headers_of(deny: Deny) -> dict[str, str]:
    pairs = response_headers(deny)
    assert len(dict(pairs)) == len(pairs), "no field twice"
    return dict(pairs)


# The table of the contract.
@pytest.mark.parametrize(
    ("reasons", "http_status", "rpc_code"),
    [
        ([R.NO_ROUTE, R.METHOD_NOT_ALLOWED], 403, RpcCode.PERMISSION_DENIED),
        ([R.AMBIGUOUS_PATH, R.BAD_HOST, R.MALFORMED_CREDENTIALS], 400, RpcCode.INVALID_ARGUMENT),
        ([R.MISSING_TOKEN], 401, RpcCode.UNAUTHENTICATED),
        (
            [
                R.MALFORMED_TOKEN,
                R.TOKEN_TOO_LARGE,
                R.ALGORITHM_NOT_ALLOWED,
                R.TOKEN_TYPE_NOT_ALLOWED,
                R.UNKNOWN_ISSUER,
                R.UNKNOWN_KEY,
                R.BAD_SIGNATURE,
                R.MALFORMED_CLAIM,
                R.MISSING_CLAIM,
                R.EXPIRED,
                R.NOT_YET_VALID,
                R.LIFETIME_TOO_LONG,
                R.WRONG_AUDIENCE,
            ],
            401,
            RpcCode.UNAUTHENTICATED,
        ),
        ([R.INSUFFICIENT_SCOPE], 403, RpcCode.PERMISSION_DENIED),
        (
            [R.CLAIM_MISMATCH, R.CONDITION_FAILED, R.CLAIMS_TOO_LARGE],
            403,
            RpcCode.PERMISSION_DENIED,
        ),
        ([R.TOO_MANY_HEADERS], 431, RpcCode.INVALID_ARGUMENT),
        ([R.KEYS_UNAVAILABLE, R.UNTRUSTED_CALLER, R.OVERLOADED], 503, RpcCode.UNAVAILABLE),
        ([R.INTERNAL_ERROR], 500, RpcCode.INTERNAL),
    ],
)
def test_each_reason_has_the_statuses_of_the_contract(
    reasons: list[DenyReason], http_status: int, rpc_code: RpcCode
) -> None:
    for reason in reasons:
        answer = ANSWERS[reason]
        assert (answer.http_status, answer.rpc_code) == (http_status, rpc_code)


def test_every_reason_has_an_answer_and_every_answer_a_reason() -> None:
    assert set(ANSWERS) == set(DenyReason)


@pytest.mark.parametrize("reason", DenyReason)
def test_the_body_is_an_error_of_constant_text(reason: DenyReason) -> None:
    document = json.loads(body(ANSWERS[reason]))
    assert document.keys() == {"error", "error_description"}
    assert all(isinstance(text, str) and text for text in document.values())
    assert document["error"] == ANSWERS[reason].error


@pytest.mark.parametrize("reason", DenyReason)
def test_every_answer_is_json_that_nobody_stores(reason: DenyReason) -> None:
    headers = headers_of(Deny(reason))
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert all(name == name.lower() for name in headers)


@pytest.mark.parametrize("reason", DenyReason)
def test_a_challenge_goes_with_401_and_where_rfc_6750_has_one(reason: DenyReason) -> None:
    expected = ANSWERS[reason].http_status == 401 or reason in {
        R.MALFORMED_CREDENTIALS,
        R.INSUFFICIENT_SCOPE,
    }
    assert ("www-authenticate" in headers_of(Deny(reason))) is expected


@pytest.mark.parametrize(
    ("check", "challenge"),
    [
        (Check(authorization=None), 'Bearer realm="shopping"'),
        (Check(authorization="Basic x"), 'Bearer realm="shopping"'),
        (Check(authorization="Bearer"), 'Bearer realm="shopping", error="invalid_request"'),
        (Check(authorization="Bearer x"), INVALID_TOKEN),
        (Check(claims={"exp": 0}), INVALID_TOKEN),
        (Check(claims={"aud": "x"}), INVALID_TOKEN),
        (
            Check(claims={"scope": ""}),
            f'{LACKING_SCOPE}, scope="read:products"',
        ),
        (
            Check(target="/products/archive"),
            f'{LACKING_SCOPE}, scope="read:products read:archive"',
        ),
        (
            Check(target="/products/1", method="DELETE"),
            f'{LACKING_SCOPE}, scope="delete:products admin"',
        ),
    ],
)
def test_the_challenge_is_the_one_of_rfc_6750(check: Check, challenge: str) -> None:
    assert headers_of(denied(check))["www-authenticate"] == challenge


@pytest.mark.parametrize("reason", DenyReason)
def test_a_challenge_without_a_route_is_still_one(reason: DenyReason) -> None:
    challenge = headers_of(Deny(reason)).get("www-authenticate")
    error = ANSWERS[reason].challenge_error
    if challenge is not None:
        assert challenge == ("Bearer" if error is None else f'Bearer error="{error}"')


def test_quotes_in_the_operators_words_are_escaped() -> None:
    quoting = replace(route("/x", {"GET": needs('a"b', "c\\d")}), resource='my "shop" \\')
    decision = denied(Check(target="/x", policy=policy_of(quoting)))
    assert headers_of(decision)["www-authenticate"] == (
        r'Bearer realm="my \"shop\" \\", error="insufficient_scope", scope="a\"b c\\d"'
    )


@pytest.mark.parametrize(("cooldown", "seconds"), [(10, "10"), (0.2, "1"), (2.5, "3")])
def test_a_client_is_told_when_to_try_again(cooldown: float, seconds: str) -> None:
    remote = RemoteKeys(refresh=RefreshSettings(cooldown=cooldown))
    issuer = replace(LOGTO, keys=remote)
    decision = denied(Check(keys=dict, policy=shop_policy(issuer=issuer)))
    assert decision.reason is R.KEYS_UNAVAILABLE
    assert headers_of(decision)["retry-after"] == seconds


@pytest.mark.parametrize("reason", DenyReason)
def test_only_what_passes_by_itself_is_worth_trying_again(reason: DenyReason) -> None:
    expected = "1" if reason in {R.KEYS_UNAVAILABLE, R.OVERLOADED} else None
    assert headers_of(Deny(reason)).get("retry-after") == expected


def test_how_long_keys_take_says_nothing_of_how_long_an_overload_does() -> None:
    issuer = replace(LOGTO, keys=RemoteKeys(refresh=RefreshSettings(cooldown=10)))
    assert headers_of(Deny(R.OVERLOADED, issuer=issuer))["retry-after"] == "1"


def test_a_refusal_names_its_reason() -> None:
    refused = AccessDenied(DenyReason.EXPIRED)
    assert str(refused) == "expired"
    assert not refused.nudge
