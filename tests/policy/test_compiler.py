from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.claims import ClaimReference
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.forward import ForwardRules
from authz_service.core.jwks import KeySet
from authz_service.core.policy import (
    AccessTokenMarks,
    Issuer,
    Policy,
    Public,
    RemoteKeys,
    TokenTypes,
)
from authz_service.core.refresh import RefreshSettings
from tests.policy.folder import (
    KEY_SET,
    Folder,
    match,
    policy_text,
    requirement,
    token_requirement,
)
from tests.support.policies import attributes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from authz_service.core.policy import Requirement, TokenRequirement

EXAMPLE = """\
version: 1

issuers:
  - name: logto
    issuer: https://auth.example.com/oidc
    preset: logto
    jwks_uri: https://auth.example.com/oidc/jwks
    algorithms: [ES384, RS256]
    token_types: [at+jwt]
    required_claims: [sub, client_id, iat, jti]
    scope_claim: scope
    client_id_claim: client_id
    leeway: 10s
    max_token_lifetime: 24h
    refresh: {interval: 5m, cooldown: 10s, timeout: 5s, max_stale: 24h}
    allow_http: false

resources:
  - name: shopping
    audience: https://shopping.api
    issuers: [logto]
    hosts: [shop.example.com, "*.shop.example.com"]
    routes:
      - path: /healthz
        methods: {GET: public}
      - path: /products
        methods:
          GET: [read:products]
          POST: [write:products]
      - path: /products/{product_id}
        methods:
          GET: [read:products]
          DELETE: {any_scope: [delete:products, admin]}
      - path: /me/**
        methods: {"*": []}
      - path: /organizations/{org_id}/members
        audience: "urn:logto:organization:{org_id}"
        methods: {GET: [read:members]}
      - path: /organizations/{org_id}/orders
        methods:
          GET: {scopes: [read:orders], claims: {organization_id: "{org_id}"}}

forward:
  headers: {x-auth-subject: sub, x-auth-client-id: client_id, x-auth-scope: scope, x-auth-issuer: iss}
  authorization: keep
  strip: ["x-auth-*"]
  claims_header: null
"""  # noqa: E501 - as the documentation has it


def refusal(policy: Policy, method: str, target: str, host: str = "any.example") -> DenyReason:
    """Why a request is denied before any token is looked at."""
    with pytest.raises(AccessDenied) as denied:
        requirement(policy, method, target, host)
    return denied.value.reason


def audiences(found: TokenRequirement, variables: Mapping[str, str]) -> list[str]:
    return [audience.expand(variables) for audience in found.audiences]


# The example of the documentation


def test_the_example_has_the_issuer_it_says(folder: Folder) -> None:
    assert folder.load(EXAMPLE).issuers == (
        Issuer(
            name="logto",
            identifiers=("https://auth.example.com/oidc",),
            algorithms=frozenset({"ES384", "RS256"}),
            token_types=TokenTypes(frozenset({"at+jwt"})),
            required_claims=("sub", "client_id", "iat", "jti"),
            scope_claims=(ClaimReference.parse("scope"),),
            client_id_claims=(ClaimReference.parse("client_id"),),
            leeway=10.0,
            max_token_lifetime=86400.0,
            keys=RemoteKeys(
                "https://auth.example.com/oidc/jwks",
                refresh=RefreshSettings(300.0, 10.0, 5.0, 86400.0),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("method", "target", "pattern"),
    [
        ("GET", "/healthz", "/healthz"),
        ("GET", "/healthz/", "/healthz"),
        ("GET", "/healthz?deep=1", "/healthz"),
        ("GET", "/products", "/products"),
        ("POST", "/products", "/products"),
        ("GET", "/products/7", "/products/{product_id}"),
        ("PATCH", "/me", "/me/**"),
        ("PUT", "/me/avatar/large", "/me/**"),
        ("GET", "/organizations/acme/members", "/organizations/{org_id}/members"),
    ],
)
def test_the_example_finds_the_route_of_a_request(
    folder: Folder, method: str, target: str, pattern: str
) -> None:
    policy = folder.load(EXAMPLE)
    for host in ("shop.example.com", "eu.shop.example.com", "a.b.shop.example.com"):
        found = match(policy, target, host).route
        assert (found.resource, found.pattern.text) == ("shopping", pattern)
        found.requirement_for(method)


@pytest.mark.parametrize(
    ("method", "target", "reason"),
    [
        ("GET", "/", DenyReason.NO_ROUTE),
        ("GET", "/product", DenyReason.NO_ROUTE),
        ("GET", "/products/7/reviews", DenyReason.NO_ROUTE),
        ("GET", "/organizations/acme", DenyReason.NO_ROUTE),
        ("POST", "/healthz", DenyReason.METHOD_NOT_ALLOWED),
        ("DELETE", "/products", DenyReason.METHOD_NOT_ALLOWED),
        ("OPTIONS", "/products", DenyReason.METHOD_NOT_ALLOWED),
        ("get", "/products", DenyReason.METHOD_NOT_ALLOWED),
        ("GET", "/products/a%2Fb", DenyReason.AMBIGUOUS_PATH),
        ("GET", "/products;x=1", DenyReason.AMBIGUOUS_PATH),
    ],
)
def test_the_example_denies_what_it_does_not_name(
    folder: Folder, method: str, target: str, reason: DenyReason
) -> None:
    assert refusal(folder.load(EXAMPLE), method, target, "shop.example.com") == reason


@pytest.mark.parametrize("host", ["example.com", "shop.example.com.evil.example", "10.0.0.1"])
def test_the_example_denies_other_hosts(folder: Folder, host: str) -> None:
    assert refusal(folder.load(EXAMPLE), "GET", "/healthz", host) == DenyReason.NO_ROUTE


def test_the_example_asks_for_the_scopes_and_audiences_it_says(folder: Folder) -> None:
    policy = folder.load(EXAMPLE)
    host = "shop.example.com"
    assert requirement(policy, "GET", "/healthz", host) == Public()
    assert token_requirement(policy, "GET", "/products", host).scopes == ("read:products",)
    assert token_requirement(policy, "POST", "/products", host).scopes == ("write:products",)
    delete = token_requirement(policy, "DELETE", "/products/7", host)
    assert (delete.scopes, delete.any_scope) == ((), ("delete:products", "admin"))
    anything = token_requirement(policy, "PATCH", "/me/x", host)
    assert (anything.named_scopes, anything.conditions) == ((), ())
    assert audiences(anything, {}) == ["https://shopping.api"]
    members = token_requirement(policy, "GET", "/organizations/acme/members", host)
    variables = match(policy, "/organizations/acme/members", host).variables
    assert audiences(members, variables) == ["urn:logto:organization:acme"]
    orders = token_requirement(policy, "GET", "/organizations/acme/orders", host)
    [condition] = orders.conditions
    assert condition.holds({"organization_id": "acme"}, attributes(org_id="acme"))
    assert not condition.holds({"organization_id": "other"}, attributes(org_id="acme"))
    assert not condition.holds({}, attributes(org_id="acme"))


def test_what_the_example_says_of_forward_is_the_default(folder: Folder) -> None:
    assert folder.load(EXAMPLE).forward == ForwardRules()


# Defaults


def test_a_policy_of_a_version_alone_has_no_routes(folder: Folder) -> None:
    policy = folder.load("version: 1\n")
    assert policy == Policy()
    assert refusal(policy, "GET", "/") == DenyReason.NO_ROUTE


def test_an_issuer_that_says_nothing_more_has_the_defaults(folder: Folder) -> None:
    [issuer] = folder.load("version: 1\nissuers: [{issuer: 'https://Auth.example:8443/t'}]").issuers
    assert issuer == Issuer(
        name="auth.example",
        identifiers=("https://Auth.example:8443/t",),
        algorithms=frozenset(
            {
                "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
            }
        ),
        token_types=TokenTypes(frozenset({"at+jwt"})),
        required_claims=("sub", "client_id", "iat", "jti"),
        scope_claims=(ClaimReference.parse("scope"),),
        client_id_claims=(ClaimReference.parse("client_id"),),
        leeway=10.0,
        max_token_lifetime=None,
        keys=RemoteKeys(None, allow_http=False, refresh=RefreshSettings(300.0, 10.0, 5.0, 86400.0)),
    )  # fmt: skip


def test_a_resource_that_says_nothing_more_has_the_defaults(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "issuers: [{issuer: 'https://a.example'}, {issuer: 'https://b.example'}]\n"
        "resources: [{audience: urn:x, routes: [{path: /x, methods: {GET: []}}]}]\n"
    )
    for host in ("a.example", "localhost", "10.0.0.1", "[::1]"):
        found = match(policy, "/x", host).route
        assert found.resource == "urn:x"
        assert (found.keep_encoded_slash, found.keep_path_parameters) == (False, False)
    accepted = token_requirement(policy, "GET", "/x").issuers
    assert {iss: issuer.name for iss, issuer in accepted.items()} == {
        "https://a.example": "a.example",
        "https://b.example": "b.example",
    }


def test_a_resource_may_have_no_routes_and_a_route_no_methods(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\nresources: [{audience: a}, {audience: b, routes: [{path: /x, methods: {}}]}]\n"
    )
    assert refusal(policy, "GET", "/") == DenyReason.NO_ROUTE
    assert refusal(policy, "GET", "/x") == DenyReason.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("forward", ["", "forward: {}\n"])
def test_forward_has_its_defaults(folder: Folder, forward: str) -> None:
    rules = folder.load(f"version: 1\n{forward}").forward
    assert {name: claim.text for name, claim in rules.headers} == {
        "x-auth-subject": "sub",
        "x-auth-client-id": "client_id",
        "x-auth-scope": "scope",
        "x-auth-issuer": "iss",
    }
    assert rules.keep_authorization
    assert rules.strip == ("x-auth-*",)
    assert rules.claims_header is None


# Issuers


def names(claims: tuple[ClaimReference, ...]) -> list[str]:
    return [claim.text for claim in claims]


def issuer_with(folder: Folder, line: str) -> Issuer:
    [issuer] = folder.load(policy_text(issuer=line)).issuers
    return issuer


def test_the_preset_rfc9068_is_the_default(folder: Folder) -> None:
    assert issuer_with(folder, "preset: rfc9068") == issuer_with(folder, "")


def test_the_preset_logto_has_the_algorithms_of_logto(folder: Folder) -> None:
    issuer = issuer_with(folder, "preset: logto")
    assert issuer.algorithms == {"ES384", "RS256"}
    assert issuer.token_types.accept("at+jwt")
    assert issuer.required_claims == ("sub", "client_id", "iat", "jti")
    assert names(issuer.scope_claims) == ["scope"]
    assert names(issuer.client_id_claims) == ["client_id"]


def test_a_value_wins_over_the_preset(folder: Folder) -> None:
    issuer = issuer_with(
        folder,
        "preset: logto\nalgorithms: [PS256]\ntoken_types: [JWT]\nrequired_claims: []\n"
        "scope_claim: scp\nclient_id_claim: azp",
    )
    assert issuer.algorithms == {"PS256"}
    assert issuer.token_types == TokenTypes.of("JWT")
    assert issuer.required_claims == ()
    assert names(issuer.scope_claims) == ["scp"]
    assert names(issuer.client_id_claims) == ["azp"]


def test_several_claims_may_hold_the_scopes_and_the_client(folder: Folder) -> None:
    issuer = issuer_with(
        folder, "scope_claim: [scope, /realm_access/roles]\nclient_id_claim: [azp, /act/sub]"
    )
    assert [claim.path for claim in issuer.scope_claims] == [("scope",), ("realm_access", "roles")]
    assert [claim.path for claim in issuer.client_id_claims] == [("azp",), ("act", "sub")]


def test_scopes_of_the_operators_choice_leave_no_fallback(folder: Folder) -> None:
    assert names(issuer_with(folder, "preset: entra").fallback_scope_claims) == ["roles"]
    assert issuer_with(folder, "preset: entra\nscope_claim: scp").fallback_scope_claims == ()


def test_what_tells_access_tokens_apart_stays_whatever_else_is_written(folder: Folder) -> None:
    lines = "token_types: [JWT]\nrequired_claims: []\nscope_claim: x\nclient_id_claim: y"
    for preset in ("auth0", "keycloak", "entra", "okta", "cognito", "zitadel"):
        issuer = issuer_with(folder, f"preset: {preset}\n{lines}")
        assert issuer.marks == issuer_with(folder, f"preset: {preset}").marks != AccessTokenMarks()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_may_be_named(folder: Folder, algorithm: str) -> None:
    assert issuer_with(folder, f"algorithms: [{algorithm}]").algorithms == {algorithm}


def test_the_name_of_an_issuer_is_what_it_says(folder: Folder) -> None:
    assert issuer_with(folder, "name: 'Log 2'").name == "Log 2"


def test_an_issuer_may_answer_under_several_names(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "issuers: [{issuer: ['https://a.example/t', 'https://b.example/t']}]\n"
        "resources: [{audience: x, routes: [{path: /x, methods: {GET: []}}]}]\n"
    )
    [issuer] = policy.issuers
    assert issuer.name == "a.example"
    assert token_requirement(policy, "GET", "/x").issuers == {
        "https://a.example/t": issuer,
        "https://b.example/t": issuer,
    }


@pytest.mark.parametrize(
    ("value", "accepted", "refused"),
    [
        ("[at+jwt]", ["at+jwt", "AT+JWT", "application/at+jwt"], ["jwt", "id+jwt", "", None]),
        ("[JWT, absent]", ["jwt", "application/JWT", None], ["at+jwt"]),
        ("[absent]", [None], ["at+jwt", "absent", "JWT"]),
        ("[Application/X+JWT]", ["x+jwt", "application/x+jwt"], ["application/at+jwt", None]),
    ],
)
def test_token_types_are_compared_as_media_types(
    folder: Folder, value: str, accepted: list[str | None], refused: list[str | None]
) -> None:
    types = issuer_with(folder, f"token_types: {value}").token_types
    assert all(types.accept(typ) for typ in accepted)
    assert not any(types.accept(typ) for typ in refused)


@pytest.mark.parametrize(
    ("line", "leeway", "lifetime"),
    [
        ("leeway: 0s", 0.0, None),
        ("leeway: 1.5m", 90.0, None),
        ("max_token_lifetime: 500ms", 10.0, 0.5),
        ("max_token_lifetime: 7d", 10.0, 604800.0),
    ],
)
def test_times_of_an_issuer_are_in_seconds(
    folder: Folder, line: str, leeway: float, lifetime: float | None
) -> None:
    issuer = issuer_with(folder, line)
    assert (issuer.leeway, issuer.max_token_lifetime) == (leeway, lifetime)


@pytest.mark.parametrize(
    ("refresh", "expected"),
    [
        ("{interval: 1h}", RefreshSettings(interval=3600.0)),
        ("{cooldown: 500ms}", RefreshSettings(cooldown=0.5)),
        ("{timeout: 2s}", RefreshSettings(timeout=2.0)),
        ("{max_stale: 2d}", RefreshSettings(max_stale=172800.0)),
        ("{}", RefreshSettings(300.0, 10.0, 5.0, 86400.0)),
    ],
)
def test_each_time_of_refresh_has_its_place(
    folder: Folder, refresh: str, expected: RefreshSettings
) -> None:
    keys = issuer_with(folder, f"refresh: {refresh}").keys
    assert isinstance(keys, RemoteKeys)
    assert keys.refresh == expected


@pytest.mark.parametrize(
    ("fields", "required"),
    [("leeway: 1s", True), ("required: true", True), ("required: false", False)],
)
def test_an_issuer_is_required_unless_it_is_said_not_to_be(
    folder: Folder, fields: str, *, required: bool
) -> None:
    assert issuer_with(folder, fields).required is required


def test_allow_http_reaches_who_fetches_the_keys(folder: Folder) -> None:
    keys = issuer_with(folder, "jwks_uri: http://idp.internal/jwks\nallow_http: true").keys
    assert keys == RemoteKeys("http://idp.internal/jwks", allow_http=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:3001/oidc",
        "http://127.9.9.9/oidc",
        "http://localhost/oidc",
        "http://[::1]:3001/oidc",
        "https://idp.internal:8443/oidc",
        "https://10.0.0.1/oidc",
    ],
)
def test_tls_and_loopback_need_no_permission(folder: Folder, url: str) -> None:
    [by_uri] = folder.load(policy_text(issuer=f"jwks_uri: '{url}'")).issuers
    assert by_uri.keys == RemoteKeys(url)
    [by_metadata] = folder.load(f"version: 1\nissuers: [{{issuer: '{url}'}}]\n").issuers
    assert by_metadata.keys == RemoteKeys()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://idp.internal/oidc", "http:// is for loopback: write https://, or allow_http"),
        ("HTTP://idp.internal/oidc", "http:// is for loopback"),
        ("http://127.0.0.1.example/oidc", "http:// is for loopback"),
        ("http://localhost.example/oidc", "http:// is for loopback"),
        ("http://0.0.0.0/oidc", "http:// is for loopback"),
        ("http://127.1/oidc", "http:// is for loopback"),
        ("http://2130706433/oidc", "http:// is for loopback"),
        ("http://127.0.0.1@idp.internal/oidc", "write a URL without user and fragment"),
        ("https://user:secret@idp.internal/oidc", "write a URL without user and fragment"),
        ("https://idp.internal/oidc#x", "write a URL without user and fragment"),
        ("ftp://idp.internal/oidc", "not an https:// URL"),
        ("file:///etc/keys.json", "not an https:// URL"),
        ("idp.internal", "not an https:// URL"),
        ("https://", "not an https:// URL"),
        ("https:///oidc", "not an https:// URL"),
        ("https://idp.internal:port/oidc", "not an https:// URL"),
        ("https://idp.internal:99999/oidc", "not an https:// URL"),
        ("https://[::1/oidc", "not an https:// URL"),
        ("https://idp internal/oidc", "not an https:// URL"),
    ],
)
def test_keys_are_not_fetched_from_anywhere(folder: Folder, url: str, message: str) -> None:
    folder.refuses(policy_text(issuer=f"jwks_uri: »'{url}'"), f"jwks_uri: {message}")
    folder.refuses(f"version: 1\nissuers: [{{issuer: »'{url}'}}]\n", f"issuer: {message}")


def test_a_url_is_ascii(folder: Folder) -> None:
    url = "https://ídp.internal/oidc"
    folder.refuses(policy_text(issuer=f"jwks_uri: »'{url}'"), "jwks_uri: not an https:// URL")
    folder.refuses(
        f"version: 1\nissuers: [{{issuer: »'{url}'}}]\n",
        "an issuer is up to 200 characters of printable ASCII",
    )


def test_the_address_of_the_metadata_is_no_issuer(folder: Folder) -> None:
    address = "https://a.example/oidc/.well-known/openid-configuration"
    folder.refuses(
        f"version: 1\nissuers: [{{issuer: »'{address}'}}]\n",
        "an issuer is what stands before /.well-known/",
    )


def test_metadata_is_not_looked_for_at_an_issuer_with_a_query(folder: Folder) -> None:
    folder.refuses(
        "version: 1\nissuers: [{issuer: »'https://a.example/?tenant=1'}]\n",
        "an issuer has no query (RFC 8414, section 2)",
    )


def test_only_where_the_keys_come_from_must_be_a_url(folder: Folder) -> None:
    folder.write(KEY_SET, "keys.txt")
    policy = folder.load(
        "version: 1\n"
        "issuers:\n"
        "  - {name: a, issuer: any string, jwks_file: keys.txt}\n"
        "  - {name: b, issuer: 'http://b.example', jwks_uri: 'https://b.example/jwks'}\n"
        "  - {issuer: accounts.example, jwks_uri: 'https://c.example/jwks'}\n"
    )
    assert [issuer.name for issuer in policy.issuers] == ["a", "b", "accounts.example"]


# Key sets in files


@pytest.mark.parametrize(
    ("policy", "keys", "written"),
    [
        ("policy.yaml", "jwks.json", "./jwks.json"),
        ("policy.yaml", "jwks.json", "jwks.json"),
        ("policy.yaml", "sub/jwks.json", "sub/jwks.json"),
        ("sub/policy.yaml", "jwks.json", "../jwks.json"),
        ("sub/policy.yaml", "sub/keys", "keys"),
    ],
)
def test_a_key_file_is_found_from_the_policy_file(
    folder: Folder, policy: str, keys: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write(KEY_SET, keys)
    monkeypatch.chdir("/")
    [issuer] = folder.load(policy_text(issuer=f"jwks_file: {written}"), policy).issuers
    assert isinstance(issuer.keys, KeySet)
    assert [key.kid for key in issuer.keys.keys] == ["a3"]


def test_a_key_file_may_have_an_absolute_path(folder: Folder) -> None:
    file = folder.write(KEY_SET, "keys.json")
    [issuer] = folder.load(policy_text(issuer=f"jwks_file: '{file}'"), "sub/policy.yaml").issuers
    assert isinstance(issuer.keys, KeySet)


def test_the_path_of_a_key_file_may_come_from_the_environment(folder: Folder) -> None:
    folder.write(KEY_SET, "keys.json")
    with_name = Folder(folder.path, {"NAME": "keys"})
    [issuer] = with_name.load(policy_text(issuer="jwks_file: ${NAME}.json")).issuers
    assert isinstance(issuer.keys, KeySet)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "keys.json: the key set is not a JSON object"),
        ("junk", "keys.json: the key set is not a JSON object"),
        ("[]", "keys.json: the key set is not a JSON object"),
        ("keys: []", "keys.json: the key set is not a JSON object"),
        ("{}", "keys.json: the key set has no array of keys"),
        ('{"keys": {}}', "keys.json: the key set has no array of keys"),
        ('{"keys": []}', "keys.json: the key set has no usable key"),
        ('{"keys": [{"kty": "oct", "k": "AAAA"}]}', "keys.json: the key set has no usable key"),
        ('{"keys": [' + "{}," * 100 + "{}]}", "keys.json: the key set has too many keys"),
        ("[" * 100_000, "keys.json: the key set is not a JSON object"),
        (b"\xff\xfe", "keys.json: the key set is not a JSON object"),
    ],
)
def test_a_key_file_that_holds_no_keys_is_refused(
    folder: Folder, content: str | bytes, message: str
) -> None:
    folder.write(content, "keys.json")
    folder.refuses(policy_text(issuer="jwks_file: »keys.json"), message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keys.json", "the file keys.json cannot be read: No such file or directory"),
        (".", "the file . cannot be read: Is a directory"),
        ("n" * 300, "cannot be read: File name too long"),
        ("policy.yaml/keys.json", "cannot be read: Not a directory"),
    ],
)
def test_a_key_file_that_cannot_be_read_is_refused(folder: Folder, name: str, message: str) -> None:
    folder.refuses(policy_text(issuer=f"jwks_file: »{name}"), message)


def test_the_name_of_a_key_file_with_a_nul_byte_is_refused(folder: Folder) -> None:
    folder.refuses(policy_text(issuer='jwks_file: »"keys\\0.json"'), "cannot be read")


def test_a_key_file_that_is_a_link_to_itself_is_refused(folder: Folder) -> None:
    (folder.path / "keys.json").symlink_to("keys.json")
    folder.refuses(policy_text(issuer="jwks_file: »keys.json"), "cannot be read")


def test_keys_come_from_one_place(folder: Folder) -> None:
    folder.write(KEY_SET, "keys.json")
    folder.refuses(
        policy_text(issuer="jwks_uri: https://a.example/jwks\njwks_file: »keys.json"),
        "write jwks_uri or jwks_file, not both",
    )


# Names that must be unique, or must exist


def test_two_issuers_of_one_name_are_refused(folder: Folder) -> None:
    assert folder.problems(
        "version: 1\n"
        "issuers:\n"
        "  - {name: a, issuer: https://a.example}\n"
        "  - {name: a, issuer: https://b.example}\n"
    ) == ['policy.yaml:4:5: an issuer is named "a" already, at policy.yaml:3:5: give it a name']


def test_two_issuers_of_one_host_are_refused_until_one_has_a_name(folder: Folder) -> None:
    folder.refuses(
        "version: 1\n"
        "issuers:\n"
        "  - issuer: https://a.example/one\n"
        "  - »issuer: https://a.example/two\n",
        'an issuer is named "a.example" already, at',
    )
    named = folder.load(
        "version: 1\n"
        "issuers:\n"
        "  - issuer: https://a.example/one\n"
        "  - {name: two, issuer: https://a.example/two}\n"
    )
    assert [issuer.name for issuer in named.issuers] == ["a.example", "two"]


@pytest.mark.parametrize(
    "second", ["»https://a.example", "»[https://b.example, https://a.example]"]
)
def test_one_iss_belongs_to_one_issuer(folder: Folder, second: str) -> None:
    folder.refuses(
        "version: 1\n"
        "issuers:\n"
        "  - {name: a, issuer: https://a.example}\n"
        f"  - {{name: b, issuer: {second}}}\n",
        '"https://a.example" is an issuer already, at',
    )


def test_one_iss_is_not_written_twice_in_a_list(folder: Folder) -> None:
    folder.refuses(
        "version: 1\nissuers: [{issuer: »[https://a.example, https://a.example]}]\n",
        '"https://a.example" is an issuer already',
    )


def test_an_iss_is_compared_exactly(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "issuers:\n"
        "  - {name: a, issuer: https://a.example}\n"
        "  - {name: b, issuer: https://a.example/}\n"
        "  - {name: c, issuer: https://A.example}\n"
    )
    assert len(policy.issuers) == 3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{name: a, audience: x}", "»{name: a, audience: y}"),
        ("{audience: x}", "»{audience: x}"),
        ("{audience: [x, y]}", "»{audience: [x, z]}"),
        ("{name: x, audience: y}", "»{audience: x}"),
    ],
)
def test_two_resources_of_one_name_are_refused(folder: Folder, first: str, second: str) -> None:
    folder.refuses(f"version: 1\nresources:\n  - {first}\n  - {second}\n", "a resource is named")


def test_problems_name_the_other_place_too(folder: Folder) -> None:
    folder.write(
        "version: 1\n"
        "issuers: [{name: a, issuer: https://a.example}]\n"
        "resources: [{audience: x, routes: [{path: /x, methods: {GET: public}}]}]\n"
        "forward: {}\n",
        "one.yaml",
    )
    folder.write(
        "version: 1\n"
        "forward: {}\n"
        "resources: [{audience: x, routes: [{path: /x, methods: {GET: public}}]}]\n"
        "issuers: [{issuer: https://a.example, name: a}]\n",
        "two.yaml",
    )
    assert folder.problems_at() == [
        "two.yaml:2:10: forward is written already, at one.yaml:4:10",
        'two.yaml:3:13: a resource is named "x" already, at one.yaml:3:13: give it a name',
        (
            "two.yaml:3:43: /x is the same path as /x at one.yaml:3:43, for the host *:"
            " put the methods into one route"
        ),
        'two.yaml:4:11: an issuer is named "a" already, at one.yaml:2:11: give it a name',
        'two.yaml:4:20: "https://a.example" is an issuer already, at one.yaml:2:29',
    ]


def test_an_unknown_issuer_is_refused_with_those_there_are(folder: Folder) -> None:
    folder.refuses(
        policy_text(resource="issuers: [auth.example.com, »logto]"),
        'no issuer is named "logto": there is auth.example.com',
    )


def test_an_unknown_issuer_alone_is_one_problem(folder: Folder) -> None:
    folder.refuses(
        policy_text(resource="issuers: [»logto]", methods="{GET: [], POST: []}"),
        'no issuer is named "logto"',
    )


def test_an_issuer_is_named_by_its_name_and_not_by_its_iss(folder: Folder) -> None:
    lines = folder.problems(policy_text(resource="issuers: [https://auth.example.com/oidc]"))
    assert lines[0].startswith('policy.yaml:6:15: no issuer is named "https://auth')


def test_an_issuer_left_out_for_its_own_mistake_is_not_said_to_be_unknown(folder: Folder) -> None:
    folder.refuses(
        "version: 1\n"
        "issuers:\n"
        "  - {name: a, issuer: https://a.example}\n"
        "  - {name: b, issuer: »[]}\n"
        "resources:\n"
        "  - {audience: x, issuers: [b], routes: [{path: /x, methods: {GET: []}}]}\n",
        "write at least one",
    )


def test_a_resource_trusts_only_the_issuers_it_names(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "issuers:\n"
        "  - {name: a, issuer: https://a.example}\n"
        "  - {name: b, issuer: [https://b.example, https://bb.example]}\n"
        "resources:\n"
        "  - {audience: x, issuers: [b], routes: [{path: /x, methods: {GET: []}}]}\n"
        "  - {audience: y, issuers: [b, a], routes: [{path: /y, methods: {GET: []}}]}\n"
    )
    assert set(token_requirement(policy, "GET", "/x").issuers) == {
        "https://b.example",
        "https://bb.example",
    }
    assert len(token_requirement(policy, "GET", "/y").issuers) == 3


def test_a_token_cannot_be_asked_for_where_nobody_issues_one(folder: Folder) -> None:
    folder.refuses(
        "version: 1\n"
        "resources: [»{audience: x, routes: [{path: /x, methods: {GET: [], HEAD: public}}]}]\n",
        "tokens are needed here, and there are no issuers: add one",
    )


def test_a_policy_that_is_all_public_needs_no_issuer(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\nresources: [{audience: x, routes: [{path: /x, methods: {GET: public}}]}]\n"
    )
    assert requirement(policy, "GET", "/x") == Public()


# Resources


def test_the_name_of_a_resource_is_what_it_says(folder: Folder) -> None:
    assert match(folder.load(policy_text(resource="name: shop")), "/orders/1").route.resource == (
        "shop"
    )


@pytest.mark.parametrize(
    ("resource", "route", "method", "expected"),
    [
        ("", "", "{scopes: []}", ["https://shop.example"]),
        ("", "audience: urn:route", "{scopes: []}", ["urn:route"]),
        ("", "audience: [urn:a, urn:b]", "[]", ["urn:a", "urn:b"]),
        ("", "audience: urn:route", "{audience: urn:method}", ["urn:method"]),
        ("", "", "{audience: [urn:a, 'urn:{id}']}", ["urn:a", "urn:7"]),
        ("", "audience: '{id}-{id}'", "[]", ["7-7"]),
    ],
)
def test_the_nearest_audience_counts(
    folder: Folder, resource: str, route: str, method: str, expected: list[str]
) -> None:
    policy = folder.load(policy_text(resource=resource, route=route, methods=f"{{GET: {method}}}"))
    variables = match(policy, "/orders/7").variables
    assert audiences(token_requirement(policy), variables) == expected


def test_an_audience_of_one_method_is_not_that_of_another(folder: Folder) -> None:
    policy = folder.load(policy_text(methods="{GET: {audience: urn:get}, PUT: []}"))
    assert audiences(token_requirement(policy, "GET"), {}) == ["urn:get"]
    assert audiences(token_requirement(policy, "PUT"), {}) == ["https://shop.example"]


def test_one_of_several_audiences_of_a_resource_is_enough(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\nissuers: [{issuer: https://a.example}]\n"
        "resources: [{audience: [urn:a, urn:b], routes: [{path: /x, methods: {GET: []}}]}]\n"
    )
    assert audiences(token_requirement(policy, "GET", "/x"), {}) == ["urn:a", "urn:b"]
    assert match(policy, "/x").route.resource == "urn:a"


@pytest.mark.parametrize(
    ("hosts", "host", "found"),
    [
        ("[a.example]", "a.example", "found"),
        ("[a.example]", "A.EXAMPLE:8443", "found"),
        ("[a.example]", "a.example.", "found"),
        ("[a.example]", "b.a.example", None),
        ("['*.a.example']", "b.a.example", "found"),
        ("['*.a.example']", "c.b.a.example", "found"),
        ("['*.a.example']", "a.example", None),
        ("['*.a.example']", "xa.example", None),
        ("['*']", "whatever", "found"),
        ("[10.0.0.1]", "10.0.0.1:80", "found"),
        ("['[::1]']", "[0:0::1]:80", "found"),
        ("[b.example, a.example, a.example]", "a.example", "found"),
    ],
)
def test_hosts_are_exact_or_below_a_name_or_any(
    folder: Folder, hosts: str, host: str, found: str | None
) -> None:
    policy = folder.load(policy_text(resource=f"name: found\nhosts: {hosts}"))
    if found is None:
        assert refusal(policy, "GET", "/orders/1", host) == DenyReason.NO_ROUTE
    else:
        assert match(policy, "/orders/1", host).route.resource == found


def test_a_host_is_chosen_before_a_path_and_for_good(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "resources:\n"
        "  - {audience: any, routes: [{path: /**, methods: {'*': public}}]}\n"
        "  - {audience: wild, hosts: ['*.example'], routes: [{path: /w, methods: {GET: public}}]}\n"
        "  - {audience: one, hosts: [a.example], routes: [{path: /a, methods: {GET: public}}]}\n"
    )
    assert match(policy, "/anything", "elsewhere").route.resource == "any"
    assert match(policy, "/w", "b.example").route.resource == "wild"
    assert match(policy, "/a", "a.example").route.resource == "one"
    assert refusal(policy, "GET", "/anything", "b.example") == DenyReason.NO_ROUTE
    assert refusal(policy, "GET", "/w", "a.example") == DenyReason.NO_ROUTE


@pytest.mark.parametrize(
    ("line", "target", "allowed"),
    [
        ("encoded_slash: keep", "/orders/a%2Fb", True),
        ("encoded_slash: refuse", "/orders/a%2Fb", False),
        ("path_parameters: keep", "/orders/a%2Fb", False),
        ("path_parameters: keep", "/orders/a;v=1", True),
        ("path_parameters: refuse", "/orders/a;v=1", False),
        ("encoded_slash: keep", "/orders/a;v=1", False),
        ("encoded_slash: keep\npath_parameters: keep", "/orders/a%2Fb;v=1", True),
    ],
)
def test_what_a_path_may_hold_is_for_the_resource_to_say(
    folder: Folder, line: str, target: str, *, allowed: bool
) -> None:
    policy = folder.load(policy_text(resource=line))
    if allowed:
        assert match(policy, target).route.pattern.text == "/orders/{id}"
    else:
        assert refusal(policy, "GET", target) == DenyReason.AMBIGUOUS_PATH


def test_resources_that_share_a_host_are_merged(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "issuers: [{issuer: https://a.example}]\n"
        "resources:\n"
        "  - audience: one\n"
        "    hosts: [x.example, y.example]\n"
        "    routes: [{path: '/x/{id}', methods: {GET: []}}]\n"
        "  - audience: two\n"
        "    hosts: [y.example, z.example]\n"
        "    path_parameters: keep\n"
        "    routes: [{path: '/x/me', methods: {GET: public}}]\n"
    )
    assert match(policy, "/x/1", "y.example").route.resource == "one"
    assert match(policy, "/x/me", "y.example").route.resource == "two"
    assert match(policy, "/x/me", "x.example").route.resource == "one"
    assert refusal(policy, "GET", "/x/1", "z.example") == DenyReason.NO_ROUTE
    assert refusal(policy, "GET", "/x/1;a=b", "y.example") == DenyReason.AMBIGUOUS_PATH
    assert match(policy, "/x/me;a=b", "y.example").route.resource == "two"


# Routes


EQUAL_PATTERNS = [
    ("/a", "/a"),
    ("/", "/"),
    ("/a b", "/a%20b"),
    ("/é", "/%C3%A9"),
    ("/%41", "/A"),
    ("/{id}", "/{other}"),
    ("/{id}", "/*"),
    ("/a/{x}/b/{y}", "/a/{y}/b/{x}"),
    ("/**", "/{rest=**}"),
    ("/a/{b}/**", "/a/*/{c=**}"),
]


@pytest.mark.parametrize(("one", "two"), EQUAL_PATTERNS)
def test_equal_patterns_in_one_resource_are_refused(folder: Folder, one: str, two: str) -> None:
    file = folder.path / "policy.yaml"
    folder.refuses(
        "version: 1\n"
        "resources:\n"
        "  - audience: x\n"
        "    routes:\n"
        f"      - {{path: '{one}', methods: {{GET: public}}}}\n"
        f"      - {{path: »'{two}', methods: {{PUT: public}}}}\n",
        f"{two} is the same path as {one} at {file}:5:16, for the host *:"
        " put the methods into one route",
    )


@pytest.mark.parametrize(("one", "two"), EQUAL_PATTERNS)
def test_equal_patterns_of_resources_that_share_a_host_are_refused(
    folder: Folder, one: str, two: str
) -> None:
    folder.write(
        "version: 1\n"
        "resources:\n"
        "  - audience: x\n"
        "    hosts: [a.example, '*.b.example']\n"
        f"    routes: [{{path: '{one}', methods: {{GET: public}}}}]\n",
        "one.yaml",
    )
    folder.write(
        "version: 1\n"
        "resources:\n"
        "  - audience: y\n"
        "    hosts: ['*.b.example', c.example]\n"
        f"    routes: [{{path: '{two}', methods: {{GET: public}}}}]\n",
        "two.yaml",
    )
    assert folder.problems_at() == [
        (
            f"two.yaml:5:21: {two} is the same path as {one} at one.yaml:5:21,"
            " for the host *.b.example: put the methods into one route"
        )
    ]


def test_every_pattern_that_equals_another_is_told_with_the_first(folder: Folder) -> None:
    routes = "".join(f"      - {{path: '/{{v{n}}}', methods: {{}}}}\n" for n in range(4))
    same = "is the same path as /{v0} at"
    assert folder.problems(f"version: 1\nresources:\n  - audience: x\n    routes:\n{routes}") == [
        f"policy.yaml:{6 + n}:16: /{{v{n + 1}}} {same} policy.yaml:5:16, for the host *:"
        " put the methods into one route"
        for n in range(3)
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("/a", "/A"),
        ("/a", "/a/{b}"),
        ("/a", "/{a}"),
        ("/a/**", "/a"),
        ("/a/**", "/a/{b}"),
        ("/*/b", "/a/*"),
        ("/a b", "/a+b"),
    ],
)
def test_patterns_that_only_overlap_are_fine(folder: Folder, one: str, two: str) -> None:
    folder.load(
        "version: 1\nresources: [{audience: x, routes: ["
        f"{{path: '{one}', methods: {{}}}}, {{path: '{two}', methods: {{}}}}]}}]\n"
    )


def test_equal_patterns_on_different_hosts_are_fine(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "resources:\n"
        "  - {audience: a, hosts: [a.example], routes: [{path: /x, methods: {GET: public}}]}\n"
        "  - {audience: b, hosts: ['*.example'], routes: [{path: /x, methods: {GET: public}}]}\n"
        "  - {audience: c, routes: [{path: /x, methods: {GET: public}}]}\n"
    )
    assert match(policy, "/x", "a.example").route.resource == "a"
    assert match(policy, "/x", "b.example").route.resource == "b"
    assert match(policy, "/x", "c.test").route.resource == "c"


def test_the_most_specific_pattern_decides_and_hands_nothing_on(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "resources:\n"
        "  - audience: x\n"
        "    routes:\n"
        "      - {path: '/**', methods: {'*': public}}\n"
        "      - {path: '/a/{x}', methods: {GET: public}}\n"
        "      - {path: '/a/b', methods: {POST: public}}\n"
        "      - {path: '/{y}/c/d', methods: {PUT: public}}\n"
    )
    assert refusal(policy, "GET", "/a/b") == DenyReason.METHOD_NOT_ALLOWED
    assert match(policy, "/a/c").route.pattern.text == "/a/{x}"
    assert match(policy, "/a/c/d").variables == {"y": "a"}
    assert match(policy, "/a/c/e").route.pattern.text == "/**"
    assert match(policy, "/").route.pattern.text == "/**"


ORDERLESS = {
    "version": 1,
    "issuers": [
        {"name": "a", "issuer": "https://a.example"},
        {"name": "b", "issuer": "https://b.example"},
    ],
    "resources": [
        {
            "audience": "one",
            "hosts": ["one.example", "*.example"],
            "issuers": ["a"],
            "routes": [
                {"path": "/**", "methods": {"*": "public"}},
                {"path": "/x", "methods": {"GET": ["read"], "*": []}},
                {"path": "/x/{id}", "methods": {"GET": ["read"], "PUT": ["write"]}},
                {"path": "/x/new", "methods": {"GET": "public"}},
                {"path": "/x/{id}/**", "methods": {"GET": {"any_scope": ["a", "b"]}}},
                {"path": "/*/y/z", "methods": {"GET": {"claims": {"c": 1}}}},
            ],
        },
        {
            "audience": "two",
            "hosts": ["*"],
            "routes": [
                {"path": "/", "methods": {"GET": "public"}},
                {"path": "/{a}/{b}", "audience": "{a}", "methods": {"*": ["s"]}},
            ],
        },
    ],
}
REQUESTS = list(
    itertools.product(
        ("GET", "HEAD", "PUT"),
        ("/", "/x", "/x/1", "/x/new", "/x/new/y", "/q/y/z", "/x/y/z", "/a/b"),
        ("one.example", "other.example", "elsewhere"),
    )
)


def decided(policy: Policy) -> list[Requirement | DenyReason]:
    """What each of the requests must meet."""
    found: list[Requirement | DenyReason] = []
    for method, target, host in REQUESTS:
        try:
            found.append(requirement(policy, method, target, host))
        except AccessDenied as denied:
            found.append(denied.reason)
    return found


def shuffled(value: object, random: Random) -> object:
    """The same value with each of its lists and mappings in any order."""
    if isinstance(value, list):
        items = [shuffled(item, random) for item in value]
        random.shuffle(items)
        return items
    if isinstance(value, dict):
        members = [(key, shuffled(item, random)) for key, item in value.items()]
        random.shuffle(members)
        return dict(members)
    return value


@given(random=st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_order_means_nothing(random: Random, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = Folder(tmp_path_factory.getbasetemp())
    ordered = folder.load(json.dumps(ORDERLESS), "ordered.json")
    compiled = folder.load(json.dumps(shuffled(ORDERLESS, random)), "shuffled.json")
    assert _scopes_sorted(decided(compiled)) == _scopes_sorted(decided(ordered))


def _scopes_sorted(found: list[Requirement | DenyReason]) -> list[object]:
    return [
        (dict(item.issuers), item.audiences, sorted(item.named_scopes), item.conditions)
        if not isinstance(item, Public | DenyReason)
        else item
        for item in found
    ]


# Requirements


@pytest.mark.parametrize(
    ("value", "scopes", "any_scope"),
    [
        ("[]", (), ()),
        ("{}", (), ()),
        ("[a]", ("a",), ()),
        ("[a, b]", ("a", "b"), ()),
        ("{scopes: []}", (), ()),
        ("{scopes: [a, b]}", ("a", "b"), ()),
        ("{any_scope: [a, b]}", (), ("a", "b")),
        ("{scopes: [a], any_scope: [b, c]}", ("a",), ("b", "c")),
        ("[on, yes, no, off, 012, y, 1.2.3]", ("on", "yes", "no", "off", "012", "y", "1.2.3"), ()),
        ("['true', '12', public]", ("true", "12", "public"), ()),
        ("['!#[]{}~', https://x.example/read]", ("!#[]{}~", "https://x.example/read"), ()),
    ],
)
def test_each_form_of_a_requirement_asks_for_its_scopes(
    folder: Folder, value: str, scopes: tuple[str, ...], any_scope: tuple[str, ...]
) -> None:
    found = token_requirement(folder.load(policy_text(methods=f"{{GET: {value}}}")))
    assert (found.scopes, found.any_scope, found.conditions) == (scopes, any_scope, ())
    assert set(found.issuers) == {"https://auth.example.com/oidc"}


@pytest.mark.parametrize("value", ["public", "'public'", "'${OPEN}'"])
def test_public_is_a_word(folder: Folder, value: str) -> None:
    policy = Folder(folder.path, {"OPEN": "public"}).load(policy_text(methods=f"{{GET: {value}}}"))
    assert requirement(policy, "GET") == Public()


@pytest.mark.parametrize(
    ("methods", "method", "scopes"),
    [
        ("{GET: [get]}", "HEAD", ("get",)),
        ("{GET: [get], HEAD: [head]}", "HEAD", ("head",)),
        ("{GET: [get], '*': [other]}", "HEAD", ("get",)),
        ("{'*': [other]}", "HEAD", ("other",)),
        ("{GET: [get], '*': [other]}", "DELETE", ("other",)),
        ("{GET: [get], '*': [other]}", "GET", ("get",)),
        ("{'*': [other]}", "PROPFIND", ("other",)),
        ("{M-SEARCH: [search]}", "M-SEARCH", ("search",)),
    ],
)
def test_a_method_is_judged_by_its_own_requirement(
    folder: Folder, methods: str, method: str, scopes: tuple[str, ...]
) -> None:
    assert token_requirement(folder.load(policy_text(methods=methods)), method).scopes == scopes


@pytest.mark.parametrize(
    ("methods", "method"),
    [
        ("{GET: public}", "POST"),
        ("{HEAD: public}", "GET"),
        ("{GET: public}", "OPTIONS"),
        ("{GET: public}", "get"),
        ("{GET: public}", "*"),
        ("{}", "GET"),
    ],
)
def test_a_method_that_is_not_named_is_denied(folder: Folder, methods: str, method: str) -> None:
    policy = folder.load(policy_text(methods=methods))
    assert refusal(policy, method, "/orders/7") == DenyReason.METHOD_NOT_ALLOWED


@pytest.mark.parametrize(
    ("claims", "holds", "fails"),
    [
        ("{c: acme}", [{"c": "acme"}, {"c": ["x", "acme"]}], [{"c": "Acme"}, {"c": None}, {}]),
        ("{c: '{id}'}", [{"c": "7"}, {"c": ["7"]}], [{"c": 7}, {"c": "{id}"}, {"c": "8"}]),
        ("{c: 'org:{id}'}", [{"c": "org:7"}], [{"c": "7"}]),
        ("{c: 1}", [{"c": 1}, {"c": 1.0}, {"c": [2, 1]}], [{"c": "1"}, {"c": True}, {"c": 2}]),
        ("{c: 1.5}", [{"c": 1.5}], [{"c": 1}, {"c": "1.5"}]),
        ("{c: '1'}", [{"c": "1"}], [{"c": 1}]),
        ("{c: true}", [{"c": True}, {"c": [True]}], [{"c": 1}, {"c": "true"}, {"c": False}]),
        ("{c: false}", [{"c": False}], [{"c": 0}, {"c": ""}, {"c": None}, {}]),
        ("{c: yes}", [{"c": "yes"}], [{"c": True}]),
        ("{c: ''}", [{"c": ""}], [{"c": None}, {}]),
        ("{c: {any_of: [a, 1, '{id}']}}", [{"c": "a"}, {"c": 1}, {"c": "7"}], [{"c": "1"}]),
        ("{c: {any_of: [a]}}", [{"c": ["b", "a"]}], [{"c": "b"}, {"c": []}]),
        ("{c: {present: true}}", [{"c": 0}, {"c": ""}, {"c": False}, {"c": {}}], [{"c": None}, {}]),
        ("{/a/b: x}", [{"a": {"b": "x"}}], [{"/a/b": "x"}, {"a": "x"}, {"a": {}}]),
        ("{/a~1b/0: x}", [{"a/b": ["x", "y"]}], [{"a/b": ["y", "x"]}]),
        ("{a/b: x}", [{"a/b": "x"}], [{"a": {"b": "x"}}]),
        ("{c: x, d: y}", [{"c": "x", "d": "y"}], [{"c": "x"}, {"d": "y"}]),
        ("{1: x}", [{"1": "x"}], [{}]),
        ("{c: 1234567890123456789}", [{"c": 1234567890123456789}], [{"c": 1234567890123456768}]),
    ],
)
def test_claims_are_held_against_what_is_written(
    folder: Folder,
    claims: str,
    holds: list[Mapping[str, object]],
    fails: list[Mapping[str, object]],
) -> None:
    policy = folder.load(policy_text(methods=f"{{GET: {{claims: {claims}}}}}"))
    conditions = token_requirement(policy).conditions

    def all_hold(members: Mapping[str, object]) -> bool:
        return all(condition.holds(dict(members), attributes(id="7")) for condition in conditions)  # type: ignore[arg-type]

    assert [members for members in holds if not all_hold(members)] == []
    assert [members for members in fails if all_hold(members)] == []
    assert {condition.reason for condition in conditions} == {DenyReason.CLAIM_MISMATCH}


def test_no_claims_are_no_conditions(folder: Folder) -> None:
    policy = folder.load(policy_text(methods="{GET: {claims: {}}}"))
    assert token_requirement(policy).conditions == ()


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        (
            policy_text(methods="{GET: {audience: »'urn:{org}'}}"),
            'the path /orders/{id} has no {org}: "urn:{org}"',
        ),
        (
            policy_text(methods="{GET: {claims: {c: »'{org}'}}}"),
            'the path /orders/{id} has no {org}: "{org}"',
        ),
        (
            policy_text(methods="{GET: {claims: {/a/b: »{any_of: ['{id}', '{ID}']}}}}"),
            'the path /orders/{id} has no {ID}: "{ID}"',
        ),
        (
            policy_text(path="/orders/*", methods="{GET: {claims: {c: »'{id}'}}}"),
            'the path /orders/* has no {id}: "{id}"',
        ),
    ],
)
def test_a_variable_that_the_path_does_not_have_is_refused(
    folder: Folder, marked: str, message: str
) -> None:
    folder.refuses(marked, message)


def test_a_wrong_variable_in_the_audience_of_a_route_is_one_problem_there(folder: Folder) -> None:
    folder.refuses(
        policy_text(route="audience: »'urn:{org}'", methods="{GET: [], PUT: []}"),
        'the path /orders/{id} has no {org}: "urn:{org}"',
    )


def test_an_audience_of_a_resource_must_fit_every_path_that_uses_it(folder: Folder) -> None:
    lines = folder.problems(
        "version: 1\n"
        "issuers: [{issuer: https://a.example}]\n"
        "resources:\n"
        "  - audience: 'urn:{org}'\n"
        "    routes:\n"
        "      - {path: '/{org}', methods: {GET: []}}\n"
        "      - {path: /x, methods: {GET: []}}\n"
        "      - {path: /y, audience: urn:y, methods: {GET: []}}\n"
        "      - {path: /z, methods: {GET: public}}\n"
    )
    assert len(lines) == 1
    assert 'the path /x has no {org}: "urn:{org}"' in lines[0]


def test_a_variable_of_the_rest_may_be_used(folder: Folder) -> None:
    policy = folder.load(policy_text(path="/f/{rest=**}", methods="{GET: {claims: {c: '{rest}'}}}"))
    found = match(policy, "/f/a/b")
    [condition] = token_requirement(policy, "GET", "/f/a/b").conditions
    assert condition.holds({"c": "a/b"}, attributes(**found.variables))


# Forward


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{authorization: remove}", ForwardRules(keep_authorization=False)),
        ("{authorization: keep}", ForwardRules()),
        ("{strip: []}", ForwardRules(strip=())),
        ("{strip: [x-user, 'x-a-*']}", ForwardRules(strip=("x-user", "x-a-*"))),
        ("{headers: {}}", ForwardRules(headers=())),
        ("{claims_header: x-claims}", ForwardRules(claims_header="x-claims")),
        ("{claims_header: null}", ForwardRules()),
    ],
)
def test_each_field_of_forward_changes_its_own(
    folder: Folder, value: str, expected: ForwardRules
) -> None:
    assert folder.load(f"version: 1\nforward: {value}\n").forward == expected


def test_headers_are_named_after_claims(folder: Folder) -> None:
    rules = folder.load(
        "version: 1\nforward: {headers: {x-user: sub, x-org: /org/0/id, x_team: team}}\n"
    ).forward
    assert [(name, claim.path) for name, claim in rules.headers] == [
        ("x-user", ("sub",)),
        ("x-org", ("org", "0", "id")),
        ("x_team", ("team",)),
    ]
    assert rules.strips("X-User")
    assert rules.strips("x-auth-anything")


def test_forward_may_stand_in_any_one_of_the_files(folder: Folder) -> None:
    folder.write("version: 1\n", "a.yaml")
    folder.write("version: 1\nforward: {authorization: remove}\n", "b.yaml")
    assert not folder.load_all().forward.keep_authorization


def test_issuers_whose_tokens_no_route_takes_are_not_used(folder: Folder) -> None:
    policy = folder.load(
        "version: 1\n"
        "issuers: [{name: used, issuer: https://a.example}, {name: idle, issuer: https://b.example},"
        " {name: public, issuer: https://c.example}]\n"
        "resources:\n"
        "  - {audience: x, issuers: [used], routes: [{path: /x, methods: {GET: []}}]}\n"
        "  - {audience: y, issuers: [public], routes: [{path: /y, methods: {GET: public}}]}\n"
    )
    assert [issuer.name for issuer in policy.issuers] == ["used", "idle", "public"]
    assert [issuer.name for issuer in policy.used_issuers] == ["used"]


def test_keys_must_outlast_the_interval_between_two_fetches(folder: Folder) -> None:
    folder.refuses(
        policy_text(issuer="refresh: »{interval: 5m, max_stale: 4m}"),
        "max_stale must be at least the interval",
    )
    folder.load(policy_text(issuer="refresh: {interval: 5m, max_stale: 5m}"))
