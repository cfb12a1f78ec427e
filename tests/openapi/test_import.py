"""What a document says, and what the policy made of it asks for."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from authz_service.openapi import draft, overlaps
from authz_service.openapi.operations import MAX_ALTERNATIVES, operations
from authz_service.openapi.paths import MAX_TEMPLATE
from authz_service.openapi.references import MAX_CHAIN
from authz_service.openapi.servers import MAX_ADDRESSES
from authz_service.openapi.values import OpenApiError
from tests.openapi.imported import (
    DOCUMENTS,
    EXAMPLE,
    ISSUER,
    PARTNER,
    Loaded,
    api,
    imported,
    load,
    one,
    operation,
    schemes,
)
from tests.support.policies import attributes

if TYPE_CHECKING:
    from authz_service.openapi.document import ApiDocument

READ: dict[str, list[str]] = {"login": ["read"]}


def noted(policy: Loaded, *parts: str) -> bool:
    """Whether one note holds all *parts*, and each of them stands in a comment, too."""
    return any(all(part in note for part in parts) for note in policy.notes)


# Documents as they are found


def test_the_example_becomes_the_policy_that_a_person_would_write() -> None:
    policy = load(EXAMPLE, preset="logto", audience="https://shopping.api")
    assert policy.text == dedent(
        """\
        # Shop 1.2.0, from shop-openapi.yaml
        version: 1

        issuers:
          - issuer: https://auth.example.com/oidc
            preset: logto

        resources:
          - name: shop
            audience: https://shopping.api
            hosts: [shop.example.com]
            routes:
              - path: /healthz
                methods: {GET: public}
              - path: /products
                methods:
                  GET: [read:products]
                  POST: [write:products]
              # {product-id} is {product_id} here
              - path: /products/{product_id}
                methods:
                  GET: [read:products]
                  DELETE: [write:products]
              - path: /orders
                methods:
                  GET: [read:orders]
                  POST: [read:products, write:orders]
              - path: /orders/{order_id}
                methods: {GET: {any_scope: [read:orders, write:orders]}}
        """
    )
    assert policy.notes == ()


def test_the_example_is_judged_as_it_says() -> None:
    policy = load(EXAMPLE)
    host = "shop.example.com"
    assert policy.is_public("GET", "/healthz", host)
    assert policy.is_public("HEAD", "/healthz", host)
    assert policy.scopes("GET", "/products", host) == {"read:products"}
    assert policy.scopes("DELETE", "/products/7", host) == {"write:products"}
    assert policy.scopes("POST", "/orders", host) == {"read:products", "write:orders"}
    assert set(policy.token("GET", "/orders/7", host).any_scope) == {"read:orders", "write:orders"}
    assert set(policy.token("GET", "/orders", host).issuers) == {ISSUER}
    assert policy.requirement("GET", "/products", "other.example.com") is None
    assert policy.requirement("PUT", "/products", host) is None


def test_a_pet_store_gives_nobody_with_a_key_alone_anything() -> None:
    policy = load(DOCUMENTS / "petstore.yaml")
    assert policy.scopes("POST", "/api/v3/pet") == {"write:pets", "read:pets"}
    assert policy.scopes("GET", "/api/v3/pet/1") == {"write:pets", "read:pets"}
    assert policy.requirement("GET", "/api/v3/store/inventory") is None
    assert policy.is_public("GET", "/api/v3/user/login")
    assert set(policy.token("POST", "/api/v3/pet").issuers) == {"https://petstore.example.com"}
    assert noted(policy, "GET /store/inventory", "nobody is let in", "apiKey (api_key)")
    assert noted(policy, "GET /pet/{petId}", "left out", "apiKey (api_key)")
    assert noted(policy, "GET /user/login", "public: the document asks for nothing here")
    assert noted(policy, "issuer https://petstore.example.com", "--issuer")


def test_what_fastapi_writes_is_understood() -> None:
    policy = load(DOCUMENTS / "fastapi.json", issuer=ISSUER, audience="https://shopping.api")
    assert policy.is_public("GET", "/healthz")
    assert policy.scopes("GET", "/items/") == {"items:read"}
    assert policy.scopes("GET", "/items") == {"items:read"}
    assert policy.scopes("GET", "/items/7") == set()
    assert policy.notes == (
        f"{DOCUMENTS / 'fastapi.json'}: GET /healthz: public: the document asks for nothing here",
    )


# Security


@pytest.mark.parametrize(
    ("security", "scopes"),
    [
        ([{"login": ["a"]}], {"a"}),
        ([{"login": ["a", "b"]}], {"a", "b"}),
        ([{"login": []}], set()),
        ([{"bearer": []}], set()),
        ([{"bearer": ["role"]}], {"role"}),
        ([{"login": ["a"], "oauth": ["b"]}], {"a", "b"}),
        ([{"login": ["a"], "bearer": []}], {"a"}),
        ([{"login": ["a"], "key": []}], {"a"}),
        ([{"login": ["a"], "mtls": []}], {"a"}),
        ([{"login": ["a"]}, {"key": []}], {"a"}),
        ([{"login": ["a"]}, {"login": ["a"]}], {"a"}),
        ([{"login": ["a", "b"]}, {"login": ["a"]}], {"a"}),
        ([{"login": ["a"]}, {"login": []}], set()),
        ([{"login": ["a", "b"]}, {"login": ["c"]}], {"a", "b", "c"}),
        ([{"login": ["a", "b"]}, {"login": ["b", "c"]}], {"a", "b", "c"}),
        ([{"login": ["no scope"]}, {"login": ["a"]}], {"a"}),
        (
            [{"login": ["${HOME}", "$${HOME}", "a:b", "null", "*"]}],
            {"${HOME}", "$${HOME}", "a:b", "null", "*"},
        ),
    ],
)
def test_every_scope_that_is_needed_is_asked_for(
    security: list[dict[str, list[str]]], scopes: set[str]
) -> None:
    assert load(one(*security)).scopes("GET", "/a") == scopes


@pytest.mark.parametrize(
    ("security", "scopes"),
    [
        ([{"login": ["a"]}, {"login": ["b"]}], {"a", "b"}),
        ([{"login": ["a"]}, {"oauth": ["b"]}, {"key": []}], {"a", "b"}),
        ([{"login": ["a"]}, {"login": ["b"]}, {"login": ["a", "c"]}], {"a", "b"}),
    ],
)
def test_one_of_several_scopes_is_enough_where_each_is_alone(
    security: list[dict[str, list[str]]], scopes: set[str]
) -> None:
    token = load(one(*security)).token("GET", "/a")
    assert set(token.any_scope) == scopes
    assert token.scopes == ()


@pytest.mark.parametrize("security", [[], [{}], [{}, {"key": []}], [{}, {"login": ["no scope"]}]])
def test_what_asks_for_nothing_is_public(security: list[dict[str, list[str]]]) -> None:
    assert load(one(*security)).is_public("GET", "/a")


@pytest.mark.parametrize(
    "security",
    [
        [{"key": []}],
        [{"basic": []}],
        [{"mtls": []}],
        [{"key": []}, {"basic": []}],
        [{"login": ["no scope"]}],
        [{"login": ['"']}],
        [{"login": ["a"], "partner": ["a"]}],
    ],
)
def test_what_cannot_be_checked_here_is_denied_with_a_note(
    security: list[dict[str, list[str]]],
) -> None:
    policy = load(one(*security))
    assert policy.requirement("GET", "/a") is None
    assert noted(policy, "GET /a: ")
    assert "# GET: " in policy.text


@pytest.mark.parametrize(
    ("security", "fields"),
    [
        ([{}, {"login": ["a"]}], {"optional": True, "scopes": ["a"]}),
        ([{"login": ["a", "b"]}, {}], {"optional": True, "scopes": ["a", "b"]}),
        ([{}, {"login": ["a"]}, {"login": ["b"]}], {"optional": True, "any_scope": ["a", "b"]}),
    ],
)
def test_an_empty_alternative_makes_the_token_optional(
    security: list[dict[str, list[str]]], fields: dict[str, Any]
) -> None:
    """The form alone: what it means is the policy's to say."""
    policy = yaml.safe_load(imported(one(*security)).text)
    assert policy["resources"][0]["routes"][0]["methods"] == {"GET": fields}


def test_an_optional_token_without_scopes_has_no_field_but_that() -> None:
    policy = yaml.safe_load(imported(one({}, {"login": []})).text)
    assert policy["resources"][0]["routes"][0]["methods"] == {"GET": {"optional": True}}


def test_an_operation_overrides_the_document() -> None:
    paths = {"/a": {"get": {"responses": {}}, "put": operation(READ), "post": operation()}}
    policy = load(api(paths, security=[{"login": ["all"]}]))
    assert policy.scopes("GET", "/a") == {"all"}
    assert policy.scopes("PUT", "/a") == {"read"}
    assert policy.is_public("POST", "/a")
    assert not noted(policy, "asks for nothing")


def test_a_document_that_asks_for_nothing_anywhere_is_not_public() -> None:
    policy = load(api({"/a": {"get": {"responses": {}}}}))
    assert policy.scopes("GET", "/a") == set()
    assert noted(policy, "asks for nothing anywhere", "valid token")
    assert "# The document asks for nothing anywhere" in policy.text


def test_a_document_that_says_so_once_is_public() -> None:
    policy = load(api({"/a": {"get": {"responses": {}}}}, security=[]))
    assert policy.is_public("GET", "/a")
    assert not noted(policy, "asks for nothing")


def test_what_is_said_of_others_is_public_with_a_note() -> None:
    policy = load(api({"/a": {"get": {"responses": {}}, "put": operation(READ)}}))
    assert policy.is_public("GET", "/a")
    assert noted(policy, "GET /a: public: the document asks for nothing here")


def test_each_issuer_is_asked_for_its_own_scopes() -> None:
    paths = {"/a": {"get": operation({"login": ["a"]}), "put": operation({"partner": ["b"]})}}
    policy = load(api(paths, components=schemes("login", "partner")))
    for method, issuer, scope in (("GET", ISSUER, "a"), ("PUT", PARTNER, "b")):
        token = policy.token(method, "/a")
        assert token.scopes == (scope,)
        (condition,) = token.conditions
        assert condition.holds({"iss": issuer}, attributes())
        assert not condition.holds({"iss": "https://third.example"}, attributes())
        assert not condition.holds({"iss": PARTNER if issuer == ISSUER else ISSUER}, attributes())


def test_a_choice_between_issuers_is_not_mixed() -> None:
    document = one({"login": ["a"]}, {"partner": ["b"]})
    assert load(document).scopes("GET", "/a") == {"a", "b"}
    assert set(load(document, issuer=ISSUER).token("GET", "/a").any_scope) == {"a", "b"}


# Issuer, audience, preset, name


def test_a_token_url_below_a_named_issuer_belongs_to_it() -> None:
    policy = load(api({"/a": {"get": operation(READ)}}, components=schemes("login", "oauth")))
    assert set(policy.token("GET", "/a").issuers) == {ISSUER}
    assert not noted(policy, "the issuer")


@pytest.mark.parametrize(
    ("flow", "issuer"),
    [
        ({"tokenUrl": "https://id.example.com/oauth/token"}, "https://id.example.com"),
        ({"tokenUrl": "http://id.example.com/token"}, "https://id.example.com"),
        ({"tokenUrl": "http://127.0.0.1:3001/oidc/token"}, "http://127.0.0.1:3001"),
        ({"tokenUrl": "/token"}, "https://shop.example.com"),
        ({"tokenUrl": "https://user:secret@id.example.com/token"}, "https://issuer.invalid"),
        ({"tokenUrl": "https://{tenant}.example.com/token"}, "https://issuer.invalid"),
        ({"tokenUrl": "ftp://id.example.com/token"}, "https://issuer.invalid"),
    ],
)
def test_an_issuer_is_guessed_from_where_tokens_are_got(flow: dict[str, str], issuer: str) -> None:
    scheme = {"type": "oauth2", "flows": {"clientCredentials": {**flow, "scopes": {}}}}
    document = api(
        {"/a": {"get": operation({"x": ["a"]})}},
        components={"securitySchemes": {"x": scheme}},
        servers=[{"url": "https://shop.example.com/v1"}],
    )
    policy = load(document)
    assert set(policy.token("GET", "/v1/a", "shop.example.com").issuers) == {issuer}
    assert noted(policy, f"the issuer {issuer} is not in the document")


def test_an_issuer_with_a_part_to_fill_in_is_none() -> None:
    template = "https://id.example.com/{tenant}/.well-known/openid-configuration"
    components: dict[str, Any] = schemes("login")
    components["securitySchemes"]["x"] = {"type": "openIdConnect", "openIdConnectUrl": template}
    paths = {"/a": {"get": operation({"x": ["a"]}), "put": operation(READ)}}
    policy = load(api(paths, components=components))
    (condition,) = policy.token("GET", "/a").conditions
    assert condition.holds({"iss": "https://id.example.com"}, attributes())
    assert noted(policy, "the issuer https://id.example.com is not in the document")


def test_without_issuer_and_server_nothing_is_accepted_before_they_are_written() -> None:
    policy = load(one({"bearer": []}))
    assert set(policy.token("GET", "/a").issuers) == {"https://issuer.invalid"}
    assert policy.token("GET", "/a").audiences[0].text == "https://audience.invalid"
    assert "issuer: https://issuer.invalid # replace this" in policy.text
    assert "audience: https://audience.invalid # replace this" in policy.text


def test_the_operator_knows_better_than_the_document() -> None:
    policy = load(
        one({"login": ["a"]}, servers=[{"url": "https://a.example/v1"}]),
        issuer="https://id.example",
        audience="urn:shop",
        preset="logto",
        name="till",
    )
    token = policy.token("GET", "/v1/a", "a.example")
    assert set(token.issuers) == {"https://id.example"}
    assert [audience.text for audience in token.audiences] == ["urn:shop"]
    assert policy.notes == ()
    assert "preset: logto" in policy.text
    assert "name: till" in policy.text


def test_a_public_api_needs_no_issuer() -> None:
    policy = load(one({}))
    assert policy.policy.issuers == ()
    assert policy.notes == ()


# Servers


@pytest.mark.parametrize(
    ("servers", "host", "base"),
    [
        (["https://a.example/v1"], "a.example", "/v1"),
        (["https://a.example/v1/"], "a.example", "/v1"),
        (["https://A.Example:8443"], "a.example", ""),
        (["http://[::1]:8080/x"], "[::1]", "/x"),
        (["//a.example/v1"], "a.example", "/v1"),
        (["wss://a.example"], "a.example", ""),
        (["/v1"], "any.example", "/v1"),
        (["v1"], "any.example", "/v1"),
        (["/"], "any.example", ""),
        ([], "any.example", ""),
    ],
)
def test_a_server_is_a_host_and_the_beginning_of_each_path(
    servers: list[str], host: str, base: str
) -> None:
    policy = load(one(READ, servers=[{"url": url} for url in servers]))
    assert policy.scopes("GET", f"{base}/a", host) == {"read"}
    assert policy.requirement("GET", "/elsewhere/a", host) is None
    if host != "any.example":
        assert policy.requirement("GET", f"{base}/a", "any.example") is None


def test_server_variables_have_the_values_that_are_listed_or_their_default() -> None:
    variables = {
        "stage": {"default": "prod", "enum": ["prod", "test"]},
        "base": {"default": "v1"},
    }
    url = "https://{stage}.example.com/{base}"
    policy = load(one(READ, servers=[{"url": url, "variables": variables}]))
    for stage in ("prod", "test"):
        assert policy.scopes("GET", "/v1/a", f"{stage}.example.com") == {"read"}
    assert policy.requirement("GET", "/v1/a", "dev.example.com") is None
    assert policy.requirement("GET", "/v2/a", "prod.example.com") is None
    assert "hosts: [prod.example.com, test.example.com]" in policy.text
    assert noted(policy, "server variable {base}", "default")


def test_the_nearest_servers_count() -> None:
    def at(name: str) -> list[dict[str, str]]:
        return [{"url": f"https://{name}.example"}]

    document = api(
        {
            "/a": {"get": operation(READ)},
            "/b": {"get": operation(READ), "servers": at("path")},
            "/c": {"get": operation(READ, servers=at("operation")), "servers": at("path")},
        },
        servers=at("document"),
    )
    policy = load(document)
    for path, host in (("/a", "document"), ("/b", "path"), ("/c", "operation")):
        for name in ("document", "path", "operation"):
            requirement = policy.requirement("GET", path, f"{name}.example")
            assert (requirement is not None) == (name == host)


def test_what_may_be_at_any_host_is_at_each_one_that_is_named() -> None:
    paths = {
        "/users/me": {"get": operation({"login": ["admin"]}, servers=[{"url": "/"}])},
        "/users/{id}": {"get": operation({"login": []}, servers=[{"url": "https://a.example"}])},
    }
    policy = load(api(paths))
    assert policy.scopes("GET", "/users/me", "a.example") == {"admin"}
    assert policy.scopes("GET", "/users/me", "b.example") == {"admin"}
    assert policy.scopes("GET", "/users/7", "a.example") == set()
    assert policy.requirement("GET", "/users/7", "b.example") is None


@pytest.mark.parametrize(
    "url",
    ["https://", "https://a b", "ftp://a.example", "https://u@a.example", "https://a.example?x",
     "https://a.example#x", "https://{x}.example", "https://a,b", "https://a.example:x", "a:b"],
)  # fmt: skip
def test_an_operation_without_a_server_that_can_be_asked_is_left_out_with_a_note(url: str) -> None:
    policy = load(one(READ, servers=[{"url": url}]))
    assert noted(policy, "the server", "left out")
    assert noted(policy, "GET /a: left out, it has no server")
    assert policy.text.endswith("resources: []\n")


ME_AND_ID: dict[str, Any] = {
    "/x/{id}": {"get": operation({"login": ["admin"]})},
    "/x/me": {"get": operation()},
}


def at_ports(one: str, other: str) -> ApiDocument:
    """Give a document where */x/{id}* is at the server *one*, */x/me* at *other*."""
    urls = dict(zip(ME_AND_ID, (one, other), strict=True))
    return api({path: {**ME_AND_ID[path], "servers": [{"url": urls[path]}]} for path in urls})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://h.example:8443", "https://h.example"),
        ("https://h.example", "https://h.example:8443"),
        ("http://h.example", "https://h.example"),
        ("/", "https://h.example:8443"),
    ],
)
def test_what_is_at_one_port_asks_for_what_is_asked_for_at_another(one: str, other: str) -> None:
    policy = load(at_ports(one, other))
    assert policy.scopes("GET", "/x/me", "h.example:8443") == {"admin"}
    assert noted(policy, "GET /x/me: stricter, for what else the pattern covers")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://h.example:8443", "https://h.example:8443"),
        ("https://h.example", "https://h.example:443"),
        ("https://h.example:8443", "/"),
    ],
)
def test_what_is_at_every_port_of_the_others_asks_for_no_more(one: str, other: str) -> None:
    assert load(at_ports(one, other)).is_public("GET", "/x/me", "h.example:8443")


def test_a_port_that_a_policy_cannot_say_has_a_note() -> None:
    policy = load(api(ME_AND_ID, servers=[{"url": "https://h.example:8443"}]))
    assert noted(policy, "the server https://h.example:8443 stands for every port")
    assert not noted(load(api(ME_AND_ID, servers=[{"url": "http://h.example:80"}])), "every port")


# Paths and methods


@pytest.mark.parametrize(
    ("template", "target"),
    [
        ("/", "/"),
        ("/a/", "/a"),
        ("/{id}", "/x"),
        ("/{product-id}/{1}/{}", "/x/y/z"),
        ("/{a}/{a}", "/x/y"),
        ("/{a-b}/{a.b}", "/x/y"),
        ("/café", "/caf%C3%A9"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/$metadata", "/$metadata"),
        ("/:id", "/:id"),
        ("/*", "/*"),
        ("/a b", "/a%20b"),
        ("/items:batch", "/items:batch"),
        ("/[x]|^", "/%5Bx%5D%7C%5E"),
    ],
)
def test_each_path_is_found_and_no_other(template: str, target: str) -> None:
    policy = load(one(READ, path=template))
    assert policy.scopes("GET", target) == {"read"}
    assert policy.requirement("GET", "/one/more/than/that") is None
    assert not noted(policy, "wider")


@pytest.mark.parametrize(
    ("template", "target"),
    [
        ("/{b}.json", "/x.json"),
        ("/report.{format}", "/report.pdf"),
        ("/{a}-{b}", "/x-y"),
        ("/{id}:cancel", "/7:cancel"),
        ("/v{version}", "/v1"),
        ("/list?page={page}", "/list"),
        ("/rpc#call", "/rpc"),
        ("/open{", "/open%7B"),
    ],
)
def test_what_a_pattern_cannot_say_is_wider_with_a_comment_and_a_note(
    template: str, target: str
) -> None:
    policy = load(one(READ, path=template))
    assert policy.scopes("GET", target) == {"read"}
    assert f"# wider than {template}, " in policy.text
    assert noted(policy, f"GET {template}: ", "wider")


def test_what_is_wider_is_never_public() -> None:
    policy = load(one({}, path="/{name}.css"))
    assert policy.scopes("GET", "/secret") == set()
    assert noted(policy, "not public")


def test_what_is_wider_asks_for_what_it_hides() -> None:
    paths = {
        "/a.{x}/c": {"get": operation({"login": ["weak"]})},
        "/{y}/{z}": {"get": operation({"login": ["strong"]})},
        "/{y}/d": {"get": operation({"login": ["other"]})},
    }
    policy = load(api(paths))
    assert policy.scopes("GET", "/b/c") == {"weak", "strong"}
    assert policy.scopes("GET", "/b/d") == {"other"}
    assert policy.scopes("GET", "/b/e") == {"strong"}


def test_what_is_wider_does_not_lend_its_get_to_a_head_that_it_hides() -> None:
    paths = {
        "/a.{x}/c": {"get": operation({"login": ["weak"]})},
        "/b.{x}/d": {"head": operation({"login": ["weak"]})},
        "/{y}/{z}": {"head": operation({"login": ["strong"]})},
        "/{y}.e/d": {"get": operation({"login": ["other"]})},
    }
    policy = load(api(paths))
    assert policy.scopes("HEAD", "/b/c") == {"weak", "strong"}
    assert policy.scopes("GET", "/b/c") == {"weak"}
    assert policy.scopes("HEAD", "/b/d") == {"weak", "other", "strong"}


def test_what_is_wider_asks_for_the_head_of_what_is_wider_below_it() -> None:
    paths = {
        "/a.{x}/a": {"head": operation({"login": []})},
        "/a.{x}/{y}": {"head": operation({"login": []})},
        "/{x}/{y}": {"get": operation({"login": ["strong"]})},
    }
    policy = load(api(paths))
    assert policy.scopes("HEAD", "/b/a") == policy.scopes("HEAD", "/b/c") == {"strong"}


def test_what_has_no_final_slash_asks_for_what_is_asked_for_with_one() -> None:
    admin = {"get": operation({"login": ["admin"]})}
    policy = load(api({"/{x}": admin, "/a/": {"get": operation()}}))
    assert policy.scopes("GET", "/a") == policy.scopes("GET", "/a/") == {"admin"}
    assert noted(policy, "GET /a/: stricter, for what else the pattern covers")
    policy = load(api({"/x/{id}/": admin, "/x/a": {"get": operation()}}))
    assert policy.scopes("GET", "/x/a") == policy.scopes("GET", "/x/a/") == {"admin"}
    assert noted(policy, "GET /x/a: stricter, for what else the pattern covers")


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_path_that_has_its_final_slash_as_the_others_do_asks_for_no_more(slash: str) -> None:
    paths = {
        f"/x/{{id}}{slash}": {"get": operation({"login": ["admin"]})},
        f"/x/a{slash}": {"get": operation()},
    }
    policy = load(api(paths))
    assert policy.is_public("GET", "/x/a")
    assert not noted(policy, "stricter")


def test_a_head_without_a_final_slash_is_no_way_round_a_get_with_one() -> None:
    paths = {
        "/a": {"head": operation()},
        "/a/": {"get": operation({"login": ["admin"]})},
    }
    assert load(api(paths)).scopes("HEAD", "/a/") == {"admin"}


def test_what_may_be_either_of_two_paths_asks_for_both() -> None:
    paths = {
        "/a{x0}/{y1}": {"head": operation({"login": ["u"]})},
        "/{y0}/b": {"head": operation()},
    }
    policy = load(api(paths))
    assert policy.scopes("HEAD", "/a.json/b") == {"u"}
    assert noted(policy, "HEAD /{y0}/b: stricter, for what else the pattern covers")


@pytest.mark.parametrize("path", ["/t/{id}.json", "/{t}/{id}.json"])
def test_what_cannot_be_the_path_that_a_pattern_is_wider_than_asks_for_no_more(path: str) -> None:
    me = path.replace("{id}.json", "me")
    paths = {path: {"get": operation({"login": ["admin"]})}, me: {"get": operation(READ)}}
    assert load(api(paths)).scopes("GET", "/t/me") == {"read"}


def test_a_path_without_variables_comes_first() -> None:
    paths = {
        "/{id}.json": {"get": operation({"login": ["admin"]})},
        "/me.json": {"get": operation(READ)},
    }
    assert load(api(paths)).scopes("GET", "/me.json") == {"read"}


@pytest.mark.parametrize(
    "template", ["/a//b", "//", "/a//", "/a/../b", "/a;b/;c", "/a%2Fb", "/%", "/a%00"]
)
def test_a_path_that_is_refused_as_ambiguous_is_left_out_with_a_note(template: str) -> None:
    policy = load(one(READ, path=template))
    assert noted(policy, f"GET {template}: left out")
    assert "resources: []" in policy.text


def test_paths_of_one_shape_are_one_route_that_asks_for_both() -> None:
    paths = {
        "/a/{x}": {"get": operation({"login": ["x"]}), "put": operation(READ)},
        "/a/{y}": {"get": operation({"login": ["y"]}), "delete": operation(READ)},
        "/a/{z}.json": {"get": operation({"login": ["z"]})},
    }
    policy = load(api(paths))
    assert policy.scopes("GET", "/a/7") == {"x", "y", "z"}
    assert policy.scopes("PUT", "/a/7") == policy.scopes("DELETE", "/a/7") == {"read"}
    assert policy.text.count("path:") == 1
    assert "# also /a/{y}" in policy.text


def test_two_choices_at_one_place_become_all_of_their_scopes() -> None:
    either = [{"login": ["a"]}, {"login": ["b"]}]
    paths = {
        "/{x}": {"get": operation(*either), "put": operation(*either)},
        "/{y}": {"get": operation({"login": ["c"]}, {"login": ["d"]}), "put": operation(*either)},
    }
    policy = load(api(paths))
    assert policy.scopes("GET", "/7") == {"a", "b", "c", "d"}
    assert set(policy.token("PUT", "/7").any_scope) == {"a", "b"}


def test_an_operation_that_is_left_out_is_not_found_at_a_more_generous_path() -> None:
    paths = {
        "/users/me": {"get": operation({"key": []})},
        "/users/{id}": {"get": operation({"login": []})},
    }
    policy = load(api(paths, components=schemes("login", "key")))
    assert policy.requirement("GET", "/users/me") is None
    assert policy.scopes("GET", "/users/7") == set()


def test_every_method_is_read_and_head_is_get_unless_it_is_named() -> None:
    methods = ("get", "put", "post", "delete", "options", "patch", "trace")
    item = {method: operation({"login": [method]}) for method in methods}
    policy = load(api({"/a": item, "/b": {**item, "head": operation({"login": ["head"]})}}))
    for method in methods:
        assert policy.scopes(method.upper(), "/a") == {method}
    assert policy.scopes("HEAD", "/a") == {"get"}
    assert policy.scopes("HEAD", "/b") == {"head"}


def test_a_head_that_nobody_may_use_does_not_become_a_get() -> None:
    item = {"get": operation({}), "head": operation({"key": []}), "put": operation(READ)}
    policy = load(api({"/a": item}, components=schemes("login", "key")))
    assert policy.requirement("HEAD", "/a") is None
    assert policy.requirement("GET", "/a") is None
    assert policy.scopes("PUT", "/a") == {"read"}
    assert noted(policy, "GET /a", "HEAD would be judged as GET")


# What is written


@pytest.mark.parametrize(
    "hostile",
    ["a\nversion: 2", "a\r\n- x", "a\u2028b", "a\x85b", "\x1b[31m", "# x", "${HOME}", "$${HOME}",
     "'\"\\", "{x}: [", "\u202e", "\ufeff", "\x00", "😀", "*", "&a", "!t", "null", "yes", "1"],
)  # fmt: skip
def test_no_text_of_the_document_gets_out_of_its_place(hostile: str) -> None:
    document = api(
        {
            f"/{{{hostile}}}/{hostile}.{{x}}": {
                "get": operation({"login": [hostile]}, summary=hostile, operationId=hostile),
                "put": operation({hostile: []}),
            },
            "/one/two/safe": {"get": operation(READ)},
        },
        info={"title": hostile, "version": hostile, "description": hostile},
        components={
            "securitySchemes": {
                **schemes("login")["securitySchemes"],
                hostile: {"type": hostile, "description": hostile},
            }
        },
        servers=[{"url": "https://a.example", "description": hostile}, {"url": f"/{hostile}"}],
    )
    policy = load(document)
    assert policy.scopes("GET", "/one/two/safe", "a.example") == {"read"}
    assert all(line.isprintable() for line in policy.text.split("\n"))
    assert all(note.isprintable() for note in policy.notes)
    assert len(policy.policy.hosts.values) >= 1
    assert yaml.safe_load(policy.text)["version"] == 1


@pytest.mark.parametrize("audience", ["$HOME", "null", "1", "a: b # c", "*", "'"])
def test_an_audience_is_written_as_it_is(audience: str) -> None:
    policy = load(one(READ), audience=audience)
    assert policy.token("GET", "/a").audiences[0].text == audience


def test_the_same_document_gives_the_same_text() -> None:
    assert load(EXAMPLE).text == load(EXAMPLE).text


def test_very_many_hosts_are_listed_one_by_line() -> None:
    servers = [{"url": f"https://number-{number}.example.com"} for number in range(20)]
    policy = load(one(READ, servers=servers))
    assert policy.scopes("GET", "/a", "number-19.example.com") == {"read"}
    assert max(len(line) for line in policy.text.splitlines()) <= 100


def test_an_operation_knows_where_it_stands() -> None:
    (operation_of_a,) = operations(api({"/a": {"get": operation(READ)}}))
    assert str(operation_of_a) == "GET /a"
    assert operation_of_a.position.file == "shop.yaml"


# Bounds


def test_two_issuers_at_one_host_have_names_of_their_own() -> None:
    components: dict[str, Any] = schemes("login")
    url = "https://auth.example.com/other/.well-known/openid-configuration"
    components["securitySchemes"]["other"] = {"type": "openIdConnect", "openIdConnectUrl": url}
    paths = {"/a": {"get": operation(READ), "put": operation({"other": ["a"]})}}
    policy = load(api(paths, components=components))
    assert [issuer.name for issuer in policy.policy.issuers] == [
        "auth.example.com",
        "auth.example.com-2",
    ]


MANY_SERVERS: Final = [{"url": f"https://n{number}.example"} for number in range(MAX_ADDRESSES + 1)]
ONE_OF_MANY_VALUES: Final = [
    {
        "url": "https://{a}.example",
        "variables": {"a": {"default": "0", "enum": [f"{n}" for n in range(MAX_ADDRESSES + 1)]}},
    }
]


@pytest.mark.parametrize("fields", [MANY_SERVERS, ONE_OF_MANY_VALUES], ids=["many", "one"])
def test_very_many_servers_are_refused(fields: object) -> None:
    with pytest.raises(OpenApiError) as refused:
        load(one(READ, servers=fields))
    [problem] = refused.value.problems
    assert f"more than {MAX_ADDRESSES} servers" in problem.message


def test_servers_are_read_once_for_all_the_operations_that_have_them() -> None:
    item = {"get": operation(READ), "put": operation(READ)}
    own = {**item, "servers": [{"url": "/own"}]}
    inherited, also, mine, mine_too = operations(api({"/a": item, "/b": own}))
    assert inherited.addresses is also.addresses
    assert mine.addresses is mine_too.addresses


def test_very_many_operations_and_hosts_together_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(draft, "MAX_ROUTES", 1_000)
    servers = [{"url": f"https://n{number}.example"} for number in range(MAX_ADDRESSES)]
    paths = {f"/{number}": {"get": operation(READ)} for number in range(1_000 // MAX_ADDRESSES)}
    assert imported(api(paths, servers=servers)).text
    with pytest.raises(OpenApiError, match="more than 1000 operations"):
        imported(api({**paths, "/one-more": {"get": operation(READ)}}, servers=servers))


def overlapping(number: int) -> dict[str, Any]:
    """Give paths that cover each other: *number* times as many pairs at each host."""
    named = {f"/{each}.{{x}}/{{y}}/{each}": {"get": operation(READ)} for each in range(number)}
    return {**named, **{f"/{{x}}/{each}/{{y}}": {"get": operation(READ)} for each in range(number)}}


def test_very_many_paths_that_cover_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overlaps, "MAX_STEPS", 10_000)
    assert imported(api(overlapping(10))).text
    with pytest.raises(OpenApiError, match="too many paths that cover each other"):
        imported(api(overlapping(100)))


def test_paths_that_cover_each_other_are_counted_over_all_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overlaps, "MAX_STEPS", 10_000)
    servers = [{"url": f"https://n{number}.example"} for number in range(MAX_ADDRESSES)]
    with pytest.raises(OpenApiError, match="too many paths that cover each other"):
        imported(api(overlapping(10), servers=servers))


def test_paths_that_cannot_be_said_and_cover_nothing_else_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overlaps, "MAX_STEPS", 10_000)
    paths = {f"/{number}/{{x}}.y": {"get": operation(READ)} for number in range(2_000)}
    assert imported(api(paths)).text


def test_very_many_paths_of_one_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "MAX_STEPS", 1_000)
    paths = {f"/{{x{each}}}": {"get": operation({"login": [f"s{each}"]})} for each in range(100)}
    with pytest.raises(OpenApiError, match="too many paths that cover each other"):
        imported(api(paths))


def test_very_many_alternatives_are_refused() -> None:
    alternatives: list[dict[str, list[str]]]
    alternatives = [{"login": [f"s{each}"]} for each in range(MAX_ALTERNATIVES + 1)]
    assert imported(one(*alternatives[1:])).text
    with pytest.raises(OpenApiError, match=f"more than {MAX_ALTERNATIVES} alternatives"):
        imported(one(*alternatives))


def test_a_long_chain_of_references_is_refused() -> None:
    def chain(length: int) -> dict[str, Any]:
        links: dict[str, Any] = {
            f"/{each}": {"$ref": f"#/paths/~1{each + 1}"} for each in range(length)
        }
        return {**links, f"/{length}": {"get": operation(READ)}}

    assert imported(api(chain(MAX_CHAIN))).text
    with pytest.raises(OpenApiError, match=f"a chain of more than {MAX_CHAIN} refer") as caught:
        api(chain(2 * MAX_CHAIN))
    assert len(caught.value.problems) == 1


def test_what_references_repeat_is_counted_as_often() -> None:
    summaries = {"x-many": list(range(2_000))}
    paths: dict[str, Any] = {f"/{each}": {"$ref": "#/paths/~1a"} for each in range(1_000)}
    with pytest.raises(OpenApiError, match="more than 2000000 values"):
        api({"/a": {"get": operation(READ), **summaries}, **paths})


def test_a_path_that_is_longer_than_any_request_is_left_out_with_a_note() -> None:
    policy = load(one(READ, path="/" + "a" * MAX_TEMPLATE))
    assert noted(policy, f"left out, it is longer than {MAX_TEMPLATE} characters")
