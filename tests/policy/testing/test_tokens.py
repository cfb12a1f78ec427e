"""A test's token is what the test says, and what it must be for the rest; never more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from authz_service.core import base64url
from authz_service.core.limits import MAX_TOKEN_BYTES
from authz_service.policy.presets import PRESETS
from tests.policy.folder import KEY_SET
from tests.policy.testing.suite import AUDIENCE, NOW, POLICY, TWO_ISSUERS

if TYPE_CHECKING:
    from tests.policy.testing.suite import Suite

FITS: Final = f'claims: {{aud: {AUDIENCE}, scope: "read:products"}}'
GET: Final = "request: GET /products"


def sent(suite: Suite, test: str, policy: str | None = None) -> tuple[Any, Any]:
    """Give the header and the payload of the token of a test, whatever becomes of it."""
    further = {} if policy is None else {"policy": policy}
    [outcome] = suite.outcomes(f"tests:\n  - {{{test}, expect: deny}}\n", **further)
    [value] = outcome.case.request.header_values("authorization")
    scheme, _, token = value.partition(" ")
    assert scheme == "Bearer"
    header, payload, _signature = (base64url.decode(part) for part in token.split("."))
    return json.loads(header), json.loads(payload)


def test_what_a_valid_token_needs_is_filled_in(suite: Suite) -> None:
    assert sent(suite, f"{GET}, token: {{claims: {{}}}}") == (
        {"alg": "ES384", "kid": "throwaway", "typ": "at+jwt"},
        {
            "iss": "https://auth.example.com/oidc",
            "sub": "test-sub",
            "client_id": "test-client_id",
            "jti": "test-jti",
            "iat": NOW,
            "exp": NOW + 3600,
        },
    )


def test_what_is_filled_in_follows_the_issuers_profile(suite: Suite) -> None:
    assert sent(suite, "request: GET /a, token: {issuer: partner}", TWO_ISSUERS) == (
        {"alg": "RS256", "kid": "throwaway", "typ": "jwt"},
        {
            "iss": "https://partner.example",
            "azp": "test-azp",
            "nbf": NOW,
            "iat": NOW,
            "exp": NOW + 300,
        },
    )


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_token_of_each_preset_needs_an_audience_and_a_scope_and_nothing_else(
    suite: Suite, preset: str
) -> None:
    issuer, audience = PRESETS[preset], PRESETS[preset].audience_stand_in or "aud"
    scopes = dict.fromkeys(issuer.scope_claims, "read")
    policy = (
        "version: 1\n"
        f"issuers: [{{issuer: https://auth.example.com, preset: {preset}}}]\n"
        "resources: [{audience: https://shopping.api, routes: [{path: /a, methods: {GET: []}}]}]\n"
    )
    claims = json.dumps({audience: "https://shopping.api", **scopes})
    [outcome] = suite.outcomes(
        f"tests:\n  - {{request: GET /a, token: {{claims: {claims}}}, expect: allow}}\n",
        policy=policy,
    )
    assert outcome.passed, outcome.decision


def test_a_token_of_an_issuer_without_types_has_none(suite: Suite) -> None:
    policy = TWO_ISSUERS.replace("[absent, jwt]", "[absent]")
    header, _ = sent(suite, "request: GET /a, token: {issuer: partner}", policy)
    assert "typ" not in header


@pytest.mark.parametrize("claim", ["aud", "scope", "scp"])
def test_audience_and_scopes_are_not_filled_in_even_where_they_are_required(
    suite: Suite, claim: str
) -> None:
    policy = TWO_ISSUERS.replace("[azp, nbf]", f"[azp, {claim}]")
    _, payload = sent(suite, "request: GET /a, token: {issuer: partner}", policy)
    assert claim not in payload


def test_a_token_without_an_audience_misses_a_claim(suite: Suite) -> None:
    suite.passes_one(f'{GET}, token: {{claims: {{scope: "read:products"}}}}, expect: missing_claim')


def test_a_token_without_scopes_has_none(suite: Suite) -> None:
    token = f"token: {{claims: {{aud: {AUDIENCE}}}}}"
    suite.passes_one(f"{GET}, {token}, expect: insufficient_scope")


def test_a_token_that_fits_is_allowed(suite: Suite) -> None:
    suite.passes_one(f"{GET}, token: {{{FITS}}}, expect: allow")


def test_no_token_is_sent_unless_there_is_one(suite: Suite) -> None:
    for token in ("", "token: none,"):
        outcome = suite.passes_one(f"{GET}, {token} expect: missing_token")
        assert outcome.case.request.headers == ()


def test_a_name_stands_for_a_token_and_like_changes_it(suite: Suite) -> None:
    suite.passes(
        "tokens:\n"
        f'  reader: {{claims: {{aud: {AUDIENCE}, scope: "read:products"}}, without: [jti]}}\n'
        "  whole: {like: reader, claims: {jti: a}}\n"
        "  foreign: {like: whole, header: {typ: JWT}}\n"
        "  nobody: {like: none}\n"
        "tests:\n"
        "  - request: GET /products\n"
        "    tokens:\n"
        "      - {token: reader, expect: missing_claim}\n"
        "      - {token: whole, expect: allow}\n"
        "      - {like: whole, expect: allow}\n"
        "      - {token: foreign, expect: token_type_not_allowed}\n"
        "      - {like: foreign, without_header: [typ], expect: token_type_not_allowed}\n"
        "      - {like: foreign, header: {typ: at+jwt}, expect: allow}\n"
        '      - {token: {like: whole, claims: {scope: ""}}, expect: insufficient_scope}\n'
        "      - {token: nobody, expect: missing_token}\n"
        "      - {like: nobody, claims: {a: b}, expect: missing_token}\n"
        "      - {like: whole, forged: true, expect: bad_signature}\n"
    )


def test_what_was_left_out_comes_back_with_a_value(suite: Suite) -> None:
    token = "token: {like: a, claims: {jti: x}, header: {kid: throwaway}}"
    tokens = f"tokens: {{a: {{{FITS}, without: [jti, sub], without_header: [kid]}}}}\n"
    [outcome] = suite.outcomes(f"{tokens}tests: [{{{GET}, {token}, expect: missing_claim}}]\n")
    assert outcome.passed
    tokens = tokens.replace(", sub", "")
    [outcome] = suite.outcomes(f"{tokens}tests: [{{{GET}, {token}, expect: allow}}]\n")
    assert outcome.passed


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (f"{FITS}, header: {{typ: JWT}}", "token_type_not_allowed"),
        (f"{FITS}, header: {{typ: null}}", "malformed_token"),
        (f"{FITS}, without_header: [typ]", "token_type_not_allowed"),
        (f"{FITS}, header: {{alg: none}}", "algorithm_not_allowed"),
        (f"{FITS}, header: {{alg: HS256}}", "algorithm_not_allowed"),
        (f"{FITS}, header: {{alg: ES256}}", "algorithm_not_allowed"),
        (f"{FITS}, header: {{alg: RS256}}", "allow"),
        (f"{FITS}, header: {{alg: 7}}", "malformed_token"),
        (f"{FITS}, without_header: [alg]", "malformed_token"),
        (f"{FITS}, header: {{kid: other}}", "unknown_key"),
        (f"{FITS}, without_header: [kid]", "allow"),
        (f"{FITS}, header: {{crit: [x]}}", "malformed_token"),
        (f"{FITS}, header: {{jku: 'https://evil.example'}}", "allow"),
        (f"{FITS}, forged: true", "bad_signature"),
        (f"{FITS}, forged: false", "allow"),
        (f"{FITS}, without: [jti]", "missing_claim"),
        (f"{FITS}, without: [exp]", "missing_claim"),
        (f"{FITS}, without: [iss]", "missing_claim"),
        (f"claims: {{aud: {AUDIENCE}, jti: null}}", "malformed_claim"),
        (f"claims: {{aud: {AUDIENCE}, iss: 'https://evil.example'}}", "unknown_issuer"),
        (f"claims: {{aud: {AUDIENCE}, exp: soon}}", "malformed_claim"),
        (f"claims: {{aud: {AUDIENCE}, exp: -5m}}", "expired"),
        (f"claims: {{aud: {AUDIENCE}, exp: {NOW}}}", "insufficient_scope"),
        (f"claims: {{aud: {AUDIENCE}, exp: {NOW - 10}}}", "expired"),
        (f"claims: {{aud: {AUDIENCE}, exp: {NOW - 11}.5}}", "expired"),
        (f"claims: {{aud: {AUDIENCE}, nbf: +1h}}", "not_yet_valid"),
        (f"claims: {{aud: {AUDIENCE}, iat: +1m}}", "not_yet_valid"),
        (f"claims: {{aud: {AUDIENCE}, exp: +500d}}", "insufficient_scope"),
        ("claims: {aud: other}", "wrong_audience"),
        ("raw: opaque", "malformed_token"),
        ("raw: a b", "malformed_credentials"),
        (f"raw: {'a' * (MAX_TOKEN_BYTES + 1)}", "token_too_large"),
    ],
)
def test_one_thing_about_a_token_is_different(suite: Suite, token: str, expected: str) -> None:
    suite.passes_one(f"{GET}, token: {{{token}}}, expect: {expected}")


def test_times_are_whole_seconds_from_now(suite: Suite) -> None:
    claims = "{exp: +1h, nbf: -1.5s, iat: -1d, auth_time: -500ms, at: +1h, day: 5m}"
    _, payload = sent(suite, f"{GET}, token: {{claims: {claims}}}")
    assert json.dumps({name: payload[name] for name in ("exp", "nbf", "iat", "auth_time")}) == (
        f'{{"exp": {NOW + 3600}, "nbf": {NOW - 1.5}, "iat": {NOW - 86400},'
        f' "auth_time": {NOW - 0.5}}}'
    )
    assert (payload["at"], payload["day"]) == ("+1h", "5m")


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600),
        ("'2026-01-01T00:00:00Z'", 1_767_225_600),
        ("1767225600", 1_767_225_600),
    ],
)
def test_the_clock_stands_where_the_file_says(suite: Suite, now: str, seconds: int) -> None:
    tests = f"{GET}, token: {{claims: {{aud: {AUDIENCE}}}}}, expect: insufficient_scope"
    [outcome] = suite.passes(f"now: {now}\ntests: [{{{tests}}}]\n")
    assert outcome.now == seconds
    payload = outcome.case.request.headers[0][1].split(".")[1]
    assert json.loads(base64url.decode(payload))["iat"] == seconds


def test_the_issuer_is_the_one_whose_iss_is_claimed(suite: Suite) -> None:
    token = "claims: {iss: 'https://partner.example/2', aud: a, scp: r}"
    suite.passes_one(f"request: GET /a, token: {{{token}}}, expect: allow", TWO_ISSUERS)
    token = "claims: {iss: 'https://evil.example', aud: a}"
    suite.passes_one(f"request: GET /a, token: {{{token}}}, expect: unknown_issuer", TWO_ISSUERS)


def test_a_named_issuer_signs_whatever_the_claims_say(suite: Suite) -> None:
    claims = "claims: {iss: 'https://partner.example', aud: a}"
    token = f"issuer: logto, {claims}, header: {{alg: RS256, typ: JWT}}"
    suite.passes_one(f"request: GET /a, token: {{{token}}}, expect: unknown_key", TWO_ISSUERS)


def test_a_token_with_a_name_is_signed_once(suite: Suite) -> None:
    outcomes = suite.passes(
        f"tokens: {{reader: {{{FITS}}}}}\n"
        "tests:\n"
        "  - {token: reader, requests: [GET /products: allow, GET /products/1: allow]}\n"
        "  - {token: reader, request: GET /products, expect: allow}\n"
    )
    assert (
        len({outcome.case.request.header_values("authorization")[0] for outcome in outcomes}) == 1
    )


def test_keys_of_a_file_are_not_asked_for(suite: Suite) -> None:
    (suite.path / "keys.json").write_text(KEY_SET)
    policy = POLICY.replace("preset: logto", "preset: logto, jwks_file: keys.json")
    suite.passes_one(f"{GET}, token: {{{FITS}}}, expect: allow", policy)
