"""Every decision has a sentence that says what was found and what would have been needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from authz_service.core.claims import ClaimReference
from authz_service.core.conditions import ClaimCondition
from authz_service.core.decision import NOT_OF_THE_REQUEST, Deny, DenyReason
from authz_service.core.forward import ForwardRules
from authz_service.core.hosts import HostIndex, HostPattern
from authz_service.core.policy import AccessTokenMarks, Policy, Public, Route
from authz_service.core.routes import RouteIndex
from authz_service.core.summary import summarize
from authz_service.policy.when import WhenExpression
from authz_service.policy.why import why
from authz_service.policy.why.described import describe_requirement, describe_token
from tests.support.checks import Check
from tests.support.keys import KID, key_set, signing_key
from tests.support.policies import (
    LOGTO,
    PARTNER,
    claim_is,
    needs,
    policy_of,
    route,
    shop_policy,
)
from tests.support.tokens import ISSUER, MISSING, NOW, mint

MANY: Final = "ES256, ES384, ES512, Ed25519, EdDSA, PS256, PS384, PS512, RS256, RS384 or RS512"
PATHS: Final = (
    "/healthz, /products, /products/archive, /products/{product_id}, /me/**, /mixed, /heads,"
    " /organizations/{org_id}/members, /organizations/{org_id}/orders, /vip, /slashes/{name}"
    " or /matrix/{name}"
)
TWO_WAYS: Final = "could be read in two ways"
HEADERS: Final = tuple((f"x-{n}", ClaimReference.parse("big")) for n in range(6))
PRESENT: Final = ClaimCondition(ClaimReference.parse("a"), None)
IS_VIP: Final = WhenExpression.parse("claims.vip")
MARKED: Final = shop_policy(
    issuer=replace(
        LOGTO,
        audience_stand_in="client_id",
        marks=AccessTokenMarks((("use", "access"),), (("azp", "cid"),), ("nonce",)),
    )
)
ALL_CLAIMS: Final = shop_policy(forward=ForwardRules(claims_header="x-claims"))


Row = tuple[Check, str | None, str]


def two_hosts() -> Policy:
    below: RouteIndex[Route] = RouteIndex()
    for found in (route("/a", {"GET": Public()}), route("/b", {"GET": Public()})):
        below.add(found.pattern, found)
    exact: RouteIndex[Route] = RouteIndex()
    exact.add((a := route("/a", {"GET": Public()})).pattern, a)
    hosts: dict[str, RouteIndex[Route]] = {
        "*": RouteIndex(),
        "*.example.com": below,
        "shop.example.com": exact,
    }
    return Policy(
        hosts=HostIndex({HostPattern.parse(name): index for name, index in hosts.items()})
    )


def path(target: str, fault: str) -> Row:
    shown = target or '""'
    return Check(target=target), "ambiguous_path", f"the path {shown} {TWO_WAYS}: {fault}"


WRONG_TYPES: Final[list[tuple[str, object, str, str]]] = [
    ("iss", 7, "7", "a string that is not empty"),
    ("jti", None, "null", "a string that is not empty"),
    ("aud", [""], '[""]', "a string or a list of strings, none empty"),
    ("exp", "soon", '"soon"', "a number, in seconds since 1970"),
    ("nbf", True, "true", "a number, in seconds since 1970"),
    ("iat", 10**400, f"1{'0' * 199}…", "a number, in seconds since 1970"),
    ("sub", "", '""', "a string that is not empty"),
    ("client_id", {}, "{}", "a string that is not empty"),
    ("scope", 7, "7", "a string of scopes, or a list of single ones"),
    ("scope", ["a b"], '["a b"]', "a string of scopes, or a list of single ones"),
]
ROWS: Final[list[Row]] = [
    (
        Check(target="/product?x=1"),
        "no_route",
        "no route of the host shop.example.com has the path /product; the nearest is /products",
    ),
    (
        Check(target="/zzzzzzzz"),
        "no_route",
        "no route of the host shop.example.com has the path /zzzzzzzz: there is " + PATHS,
    ),
    (
        Check(authority="Other.example:8080"),
        "no_route",
        "no resource has the host other.example: the policy has shop.example.com",
    ),
    (
        Check(policy=Policy()),
        "no_route",
        "no resource has the host shop.example.com: the policy has none at all",
    ),
    (
        Check(policy=two_hosts(), target="/b"),
        "no_route",
        (
            "no route of the host shop.example.com has the path /b; the host *.example.com has one,"
            " and"
            " shop.example.com is the closer match"
        ),
    ),
    (
        Check(policy=two_hosts(), authority="other"),
        "no_route",
        "no route of any host (*) has the path /products: there is none",
    ),
    (
        Check(method="DELETE"),
        "method_not_allowed",
        "the route /products has GET and POST, and not DELETE",
    ),
    (
        Check(method="get"),
        "method_not_allowed",
        "get is not a method, since methods are in upper case: write GET",
    ),
    (
        Check(method="g(t"),
        "method_not_allowed",
        "g(t is not a method, since methods are in upper case",
    ),
    (
        Check(policy=policy_of(route("/products", {}))),
        "method_not_allowed",
        "the route /products has no method at all, and not GET",
    ),
    (
        Check(policy=policy_of(route("/products", {"*": needs()})), method="a"),
        "method_not_allowed",
        "a is not a method, since methods are in upper case: write A",
    ),
    path("", "it does not start with /"),
    path("products", "it does not start with /"),
    (
        Check(target="/a b"),
        "ambiguous_path",
        (
            f'the path "/a b" {TWO_WAYS}: it holds the character U+0020 as it is, which belongs'
            " percent-encoded"
        ),
    ),
    path("/é", "it holds the character U+00E9 as it is, which belongs percent-encoded"),
    path("/a\\b", "it holds a \\"),
    path("/a#b", "it holds a #"),
    path("/%zz", "%zz is no escape: % comes before two hexadecimal digits"),
    path("/%", "% is no escape: % comes before two hexadecimal digits"),
    path(
        "/a%25b", "%25 is an encoded %, which a server that decodes twice takes for another escape"
    ),
    path("/a%5cb", "%5c is an encoded \\, which some servers take for /"),
    path("/%00", "%00 is an encoded control character, where some servers end the path"),
    path("//a", "it has an empty segment (//)"),
    path("/a//b", "it has an empty segment (//)"),
    path("/a/../b", "it has the segment .."),
    path("/.", "it has the segment ."),
    path("/a/..;x/b", "it has the segment ..;x"),
    path("/;x", "it has the segment ;x"),
    path("/a/%2e%2e/b", "its segment %2e%2e is .. once it is decoded"),
    path("/%ff", "its segment %ff is not UTF-8 once it is decoded"),
    path("/a%c2%80", "its segment a%c2%80 is not the same to every server once it is decoded"),
    path("/a;x=%2f", "its segment a;x=%2f is not the same to every server once it is decoded"),
    path(
        "/a%2f..%2fb",
        "its segment a%2f..%2fb is not the same to every server once it is decoded",
    ),
    path(
        "/a%2Fb",
        "it holds an encoded / (%2F): where the API needs it, write encoded_slash: keep",
    ),
    path(
        "/a;b=c",
        "it holds a ; with parameters: where the API needs them, write path_parameters: keep",
    ),
    (
        Check(target="/" + "x" * 9000),
        "ambiguous_path",
        f"the path /{'x' * 199}… {TWO_WAYS}: it has 9001 characters, and 8192 are allowed",
    ),
    (
        Check(headers=(("x", ""),) * 1500),
        "too_many_headers",
        "the request has 1501 headers, and 200 are allowed",
    ),
    (Check(authority=""), "bad_host", "the request names no host"),
    (Check(authority="a,b"), "bad_host", "a,b are several hosts, and a request has one"),
    (Check(authority="u@h"), "bad_host", "u@h has a user in it, and a host has none"),
    (Check(authority="a b"), "bad_host", '"a b" is no host name and no address'),
    (
        Check(authority="x" * 300),
        "bad_host",
        "the host has 300 characters, and 261 are allowed",
    ),
    (
        Check(authorization=None),
        "missing_token",
        "/products needs a bearer token for GET, and the request has no Authorization header",
    ),
    (
        Check(authorization=""),
        "missing_token",
        "/products needs a bearer token for GET, and the request has no Authorization header",
    ),
    (
        Check(authorization="Basic dXNlcjpwYXNz"),
        "missing_token",
        "/products needs a bearer token for GET, and the Authorization header has the scheme Basic",
    ),
    (
        Check(authorization="{}"),
        "missing_token",
        (
            "/products needs a bearer token for GET, and the Authorization header does not begin"
            " with"
            " Bearer"
        ),
    ),
    (
        Check(authorization="Bearer {},Bearer {}"),
        "malformed_credentials",
        "the Authorization header holds several values, joined by a comma, and not one token",
    ),
    (
        Check(headers=(("authorization", "Bearer x"),)),
        "malformed_credentials",
        "the request has 2 Authorization headers, and one is allowed",
    ),
    (
        Check(authorization="Bearer"),
        "malformed_credentials",
        "there is nothing after Bearer in the Authorization header",
    ),
    (
        Check(authorization="Bearer {} {}"),
        "malformed_credentials",
        "there is more than one word after Bearer in the Authorization header",
    ),
    (
        Check(authorization="Bearer {}é"),
        "malformed_credentials",
        "what is after Bearer holds a character that no token has (RFC 6750, section 2.1)",
    ),
    (
        Check(token=lambda: "opaque"),
        "malformed_token",
        (
            "the token is no JWT: it may be an opaque token, as issuers give where the client does"
            " not"
            " ask for an API resource"
        ),
    ),
    (
        Check(token=lambda: "a.b"),
        "malformed_token",
        "the token has 2 parts, and a signed JWT has three",
    ),
    (
        Check(token=lambda: "a.b.c.d.e"),
        "malformed_token",
        "the token has five parts: it is an encrypted one (JWE), and signed ones are taken",
    ),
    (
        Check(token=lambda: "e30.e31.AA"),
        "malformed_token",
        "the token's payload is not canonical base64url without padding",
    ),
    (Check(token=lambda: ".e30.AA"), "malformed_token", "the token's header is empty"),
    (
        Check(token=lambda: "e30.e30.A"),
        "malformed_token",
        "the token's signature is not canonical base64url without padding",
    ),
    (
        Check(token=lambda: "e3.e30.AA"),
        "malformed_token",
        "the token's header is not canonical base64url without padding",
    ),
    (Check(token=lambda: "ew.e30.AA"), "malformed_token", "the token's header is not JSON"),
    (
        Check(token=lambda: "W10.e30.AA"),
        "malformed_token",
        "the token's header is not a JSON object",
    ),
    (
        Check(token=lambda: "eyJhIjoxLCJhIjoyfQ.e30.AA"),
        "malformed_token",
        (
            "the token's header is JSON that not every parser reads the same way: a member twice,"
            " NaN,"
            " half a character, or more than 16 levels"
        ),
    ),
    (Check(token=lambda: "e30.e30."), "malformed_token", "the token's header has no alg"),
    (
        Check(header={"crit": ["x"]}),
        "malformed_token",
        "the token's header has crit, an extension that is not understood here",
    ),
    (
        Check(header={"kid": None}),
        "malformed_token",
        "kid in the token's header is null, and must be a string",
    ),
    (
        Check(header={"alg": 7}),
        "malformed_token",
        "alg in the token's header is 7, and must be a string",
    ),
    (
        Check(header={"typ": ["JWT"]}),
        "malformed_token",
        'typ in the token\'s header is ["JWT"], and must be a string',
    ),
    (
        Check(token=lambda: "a" * 20000),
        "token_too_large",
        "the token has 20000 bytes, and 16384 are allowed",
    ),
    (
        Check(header={"alg": "HS256"}),
        "algorithm_not_allowed",
        f"the token is signed with HS256, and tokens of logto with {MANY}",
    ),
    (
        Check(header={"typ": "JWT"}),
        "token_type_not_allowed",
        (
            "the token's typ is JWT, and that of access tokens of logto is at+jwt (JWT may be an ID"
            " token)"
        ),
    ),
    (
        Check(header={"typ": MISSING}),
        "token_type_not_allowed",
        "the token has no typ, and that of access tokens of logto is at+jwt",
    ),
    (
        Check(claims={"iss": "https://evil.example"}),
        "unknown_issuer",
        (
            f"the token's iss is https://evil.example, and /products takes tokens of {ISSUER} or"
            " https://partner.example"
        ),
    ),
    (
        Check(claims={"iss": f"{ISSUER}/"}),
        "unknown_issuer",
        (
            f"the token's iss is {ISSUER}/, and /products takes tokens of {ISSUER} or"
            " https://partner.example (every character counts)"
        ),
    ),
    (
        Check(
            policy=policy_of(route("/products", {"GET": needs(issuers=(LOGTO,))})),
            claims={"iss": "https://partner.example"},
        ),
        "unknown_issuer",
        (
            "the token's iss is https://partner.example (partner), and /products takes tokens of"
            f" {ISSUER}"
        ),
    ),
    (
        Check(header={"kid": "other"}),
        "unknown_key",
        "logto has no key other, which the token names: there is key-1",
    ),
    (
        Check(keys=lambda: {"logto": key_set(signing_key("ES256"))}),
        "unknown_key",
        "the key key-1 of logto is not for ES384",
    ),
    (
        Check(header={"kid": MISSING}, keys=lambda: {"logto": key_set(signing_key("ES256"))}),
        "unknown_key",
        "no key of logto is for ES384, which the token is signed with",
    ),
    (
        Check(
            header={"kid": MISSING},
            keys=lambda: {"logto": key_set(signing_key(), signing_key(owner="x", kid="2"))},
        ),
        "unknown_key",
        (
            "2 keys of logto fit ES384, and the token does not say by a kid of its own which of"
            " them it is"
        ),
    ),
    (
        Check(signed_with=lambda: signing_key(owner="thief")),
        "bad_signature",
        f"the key {KID} of logto did not make this signature: the token is forged or damaged",
    ),
    (
        Check(header={"kid": MISSING}, signed_with=lambda: signing_key(owner="thief")),
        "bad_signature",
        "the key of logto did not make this signature: the token is forged or damaged",
    ),
    (
        Check(token=lambda: mint()[:-8]),
        "bad_signature",
        "the signature has 90 bytes, and one of this key with ES384 has 96",
    ),
    (
        Check(keys=dict),
        "keys_unavailable",
        "there are no keys of logto to verify the token with",
    ),
    (
        Check(claims={"aud": MISSING, "jti": MISSING}),
        "missing_claim",
        (
            "the token lacks aud and jti; tokens of logto must have iss, aud, exp, sub, client_id,"
            " iat"
            " and jti"
        ),
    ),
    (
        Check(claims={"iss": MISSING}),
        "missing_claim",
        "the token has no iss, which says whose token it is",
    ),
    *(
        (
            Check(claims={name: value}),
            "malformed_claim",
            f"the claim {name} is {shown}, and must be {must_be}",
        )
        for name, value, shown, must_be in WRONG_TYPES
    ),
    (
        Check(claims={"sub": "a\nb"}),
        "malformed_claim",
        "a claim that is forwarded holds a control character: sub (as x-auth-subject)",
    ),
    (
        Check(claims={"exp": NOW - 240}),
        "expired",
        "the token expired 4 minutes ago, at 2025-06-15T15:02:40Z, and the leeway is 10 seconds",
    ),
    (
        Check(claims={"exp": NOW - 1}, policy=shop_policy(issuer=replace(LOGTO, leeway=0))),
        "expired",
        "the token expired 1 second ago, at 2025-06-15T15:06:39Z",
    ),
    (
        Check(claims={"nbf": NOW + 300}),
        "not_yet_valid",
        "the token's nbf, 2025-06-15T15:11:40Z, is 5 minutes ahead, and the leeway is 10 seconds",
    ),
    (
        Check(claims={"iat": NOW + 90}),
        "not_yet_valid",
        "the token's iat, 2025-06-15T15:08:10Z, is 90 seconds ahead, and the leeway is 10 seconds",
    ),
    (
        Check(claims={"exp": NOW + 60 * 3600}),
        "lifetime_too_long",
        (
            "the token expires in 2 days, at 2025-06-18T03:06:40Z, and the max_token_lifetime of"
            " logto is 24 hours"
        ),
    ),
    (
        Check(claims={"exp": 1e30}),
        "lifetime_too_long",
        (
            "the token expires in over 10000 years, at 1e+30, and the"
            " max_token_lifetime of logto is 24 hours"
        ),
    ),
    (
        Check(claims={"aud": ["https://other.api", "b"]}),
        "wrong_audience",
        (
            "the route /products needs the audience https://shopping.api; the token has"
            " https://other.api and b"
        ),
    ),
    (
        Check(claims={"aud": []}),
        "wrong_audience",
        "the route /products needs the audience https://shopping.api; the token has no audience",
    ),
    (
        Check(target="/organizations/7/members", claims={"aud": "urn:logto:organization:8"}),
        "wrong_audience",
        (
            "the route /organizations/{org_id}/members needs the audience urn:logto:organization:7;"
            " the token has urn:logto:organization:8"
        ),
    ),
    (
        Check(method="POST"),
        "insufficient_scope",
        "the route /products needs the scope write:products for POST; the token has read:products",
    ),
    (
        Check(target="/products/archive", claims={"scope": ""}),
        "insufficient_scope",
        (
            "the route /products/archive needs the scopes read:products and read:archive for GET;"
            " the"
            " token has no scope"
        ),
    ),
    (
        Check(target="/products/archive"),
        "insufficient_scope",
        (
            "the route /products/archive needs the scope read:archive for GET; the token has"
            " read:products"
        ),
    ),
    (
        Check(method="DELETE", target="/products/7"),
        "insufficient_scope",
        (
            "the route /products/{product_id} needs one of the scopes delete:products or admin for"
            " DELETE; the token has read:products"
        ),
    ),
    (
        Check(
            target="/organizations/7/orders", claims={"scope": "read:orders", "organization_id": 7}
        ),
        "claim_mismatch",
        (
            "the route /organizations/{org_id}/orders needs the claim organization_id to be or to"
            ' contain "7"; the token has 7'
        ),
    ),
    (
        Check(target="/organizations/7/orders", claims={"scope": "read:orders"}),
        "claim_mismatch",
        (
            "the route /organizations/{org_id}/orders needs the claim organization_id to be or to"
            ' contain "7"; the token does not have it'
        ),
    ),
    (
        Check(
            policy=policy_of(
                route(
                    "/products",
                    {"GET": needs(conditions=(claim_is("sub", "user-1"), PRESENT))},
                )
            ),
            claims={"a": None},
        ),
        "claim_mismatch",
        "the route /products needs the claim a to be there, and not null; the token has null",
    ),
    (
        Check(target="/vip"),
        "condition_failed",
        "the condition of GET on the route /vip is not true",
    ),
    (
        Check(policy=policy_of(route("/products", {"GET": needs(conditions=(IS_VIP,))}))),
        "condition_failed",
        (
            "the condition of GET on the route /products is not true: claims.vip;"
            " it cannot be evaluated: no such key: vip"
        ),
    ),
    (
        Check(policy=MARKED, claims={"use": "id", "jti": MISSING}),
        "token_type_not_allowed",
        'the token\'s claim use is "id", and that of access tokens of logto is "access"',
    ),
    (
        Check(policy=MARKED, claims={"use": "access", "azp": "a", "nonce": "n"}),
        "token_type_not_allowed",
        "the token has nonce, which access tokens of logto have not (an ID token?)",
    ),
    (
        Check(policy=MARKED, claims={"use": "access"}),
        "missing_claim",
        (
            "the token lacks azp or cid; tokens of logto must have iss, aud or client_id, exp, sub,"
            " client_id, iat, jti, use and azp or cid"
        ),
    ),
    (
        Check(claims={"sub": "x" * 5000}),
        "claims_too_large",
        "more than 4096 bytes would be forwarded as x-auth-subject",
    ),
    (
        Check(claims={"more": "x" * 5000}, policy=ALL_CLAIMS),
        "claims_too_large",
        "more than 4096 bytes would be forwarded as x-claims",
    ),
    (
        Check(
            claims={"big": "x" * 4000}, policy=shop_policy(forward=ForwardRules(headers=HEADERS))
        ),
        "claims_too_large",
        "more than 16384 bytes would be forwarded in all",
    ),
    (
        Check(),
        None,
        (
            "the token of logto has what the route /products needs for GET: the audience"
            " https://shopping.api and read:products"
        ),
    ),
    (
        Check(target="/me/a", claims={"scope": ""}),
        None,
        (
            "the token of logto has what the route /me/** needs for GET: the audience"
            " https://shopping.api and no scope"
        ),
    ),
    (
        Check(target="/healthz"),
        None,
        "the route /healthz is public for GET: no token is looked at",
    ),
]


def said_of(check: Check) -> str:
    """Explain the real decision on *check*."""
    return why(
        check.decide(),
        request=check.request(),
        policy=check.policy,
        keys=check.keys(),
        now=check.now,
    )


@pytest.mark.parametrize(("check", "reason", "sentence"), ROWS)
def test_the_sentence_says_what_was_found_and_what_is_needed(
    check: Check, reason: str | None, sentence: str
) -> None:
    assert summarize(check.decide()).get("reason") == reason
    assert said_of(check) == sentence


def test_every_reason_that_a_request_brings_about_has_a_row() -> None:
    assert {row[1] for row in ROWS} == {None, *DenyReason} - NOT_OF_THE_REQUEST


@pytest.mark.parametrize("reason", DenyReason)
def test_a_refusal_of_which_nothing_is_known_is_explained_all_the_same(reason: DenyReason) -> None:
    check = Check(authorization=None)
    sentence = why(Deny(reason), request=check.request(), policy=check.policy, keys={}, now=NOW)
    assert sentence.isprintable()
    assert sentence


def test_a_fault_of_ours_is_called_one() -> None:
    check = Check()
    sentence = why(Deny(), request=check.request(), policy=check.policy, keys={}, now=NOW)
    assert sentence == (
        "the service itself failed to decide: a fault of ours, and refused all the same"
    )


def test_an_overload_is_called_one() -> None:
    check = Check()
    deny = Deny(DenyReason.OVERLOADED)
    sentence = why(deny, request=check.request(), policy=check.policy, keys={}, now=NOW)
    assert sentence == (
        "the service had more Checks than it takes at a time, and refused this one unread"
    )


HOSTILE: Final = "\x1b[31m\r\n" + "x" * 1000


@pytest.mark.parametrize(
    "check",
    [
        Check(target=f"/{HOSTILE}"),
        Check(authority=HOSTILE),
        Check(method=HOSTILE),
        Check(header={"alg": HOSTILE}),
        Check(header={"typ": HOSTILE}),
        Check(header={"kid": HOSTILE}),
        Check(header={"kid": [HOSTILE]}),
        Check(claims={"iss": HOSTILE}),
        Check(claims={"aud": HOSTILE}),
        Check(claims={"aud": [HOSTILE] * 9}),
        Check(claims={"scope": HOSTILE}),
        Check(claims={"exp": HOSTILE}),
        Check(
            target="/organizations/7/orders",
            claims={"scope": "read:orders", "organization_id": HOSTILE},
        ),
        Check(authorization=f"Basic {HOSTILE}"),
        Check(authorization=HOSTILE),
    ],
)
def test_what_a_client_chose_is_one_printable_line_and_cut(check: Check) -> None:
    sentence = said_of(check)
    assert sentence.isprintable()
    assert len(sentence) < 600


@pytest.mark.parametrize(
    "authorization", ["{}", "Bearer {} {}", "Bearer {},Bearer {}", "Bearer {}!", "Token {}"]
)
def test_no_part_of_a_token_is_ever_said(authorization: str) -> None:
    secret = mint()
    check = Check(token=lambda: secret, authorization=authorization)
    for part in secret.split("."):
        assert part not in said_of(check)


def test_a_requirement_is_described_by_all_that_it_asks() -> None:
    conditions = (claim_is("org", "a"), WhenExpression.parse("claims.vip"))
    described = route(
        "/a",
        {
            "GET": Public(),
            "POST": needs("x", "y", any_scope=("p", "q"), conditions=conditions),
            "PUT": needs(),
        },
    )
    assert describe_requirement(described, "GET") == "GET /a of shopping: public"
    assert describe_requirement(described, "PUT") == (
        "PUT /a of shopping: audience https://shopping.api"
    )
    assert describe_requirement(described, "POST") == (
        "POST /a of shopping: audience https://shopping.api, scope x and y, one of the scopes p or"
        " q, the right org, when claims.vip"
    )
    assert describe_requirement(described, "DELETE") == (
        "DELETE /a of shopping: not a method of this route"
    )


def test_a_token_is_described_by_what_it_says() -> None:
    assert describe_token(Check().request(), LOGTO) == (
        f"iss {ISSUER}, aud https://shopping.api, scope read:products"
    )
    odd = Check(claims={"aud": MISSING, "scope": "a b", "scp": ["c\x1b"]}).request()
    assert describe_token(odd, PARTNER) == f'iss {ISSUER}, no aud, scp ["c\\u001b"]'
    assert describe_token(Check(authorization=None).request(), None) == (
        "none that can be read (missing_token)"
    )
