"""Where an issuer's keys are: asked of its metadata, which is not believed everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.errors import IssuerError
from authz_service.keys.discovery import (
    MAX_URI_CHARS,
    discover_jwks_uri,
    jwks_uri_of,
    metadata_urls,
)
from authz_service.keys.fetch import Fetched, HttpFetcher
from tests.support.event_loops import in_event_loop, in_virtual_time
from tests.support.hostile_issuer import (
    JWKS,
    OAUTH_METADATA,
    OPENID_METADATA,
    fake_issuer,
    has,
    response,
    says,
)
from tests.support.memory_fetcher import MemoryFetcher

if TYPE_CHECKING:
    from tests.support.hostile_issuer import FakeIssuer

IDENTIFIER: Final = "https://auth.example.com/oidc"
JWKS_URI: Final = "https://auth.example.com/oidc/jwks"
OPENID: Final = "https://auth.example.com/oidc/.well-known/openid-configuration"
OAUTH: Final = "https://auth.example.com/.well-known/oauth-authorization-server/oidc"
WITHIN: Final = 20.0
NOT_FOUND: Final = IssuerError("the answer is not 200", status=404)


def metadata(**members: object) -> bytes:
    """Write right metadata in which *members* replace some; None leaves one out."""
    right = {"issuer": IDENTIFIER, "jwks_uri": JWKS_URI, **members}
    return json.dumps({name: value for name, value in right.items() if value is not None}).encode()


async def discover(fetcher: MemoryFetcher, *, allow_http: bool = False) -> str:
    return await discover_jwks_uri(fetcher, IDENTIFIER, allow_http=allow_http, within=WITHIN)


@pytest.mark.parametrize(
    ("identifier", "openid", "oauth"),
    [
        (
            "https://a.example",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example/",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example:8443/realms/one",
            "https://a.example:8443/realms/one/.well-known/openid-configuration",
            "https://a.example:8443/.well-known/oauth-authorization-server/realms/one",
        ),
        (
            "https://a.example/oidc/",
            "https://a.example/oidc/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server/oidc",
        ),
    ],
)
def test_both_standards_say_where_metadata_is(identifier: str, openid: str, oauth: str) -> None:
    assert metadata_urls(identifier) == (openid, oauth)


@in_virtual_time
async def test_openid_metadata_is_enough() -> None:
    fetcher = MemoryFetcher({OPENID: Fetched(metadata())})
    assert await discover(fetcher) == JWKS_URI
    assert fetcher.urls == [OPENID]


@pytest.mark.parametrize(
    "useless",
    [
        pytest.param(NOT_FOUND, id="not found"),
        pytest.param(Fetched(b"<html>"), id="html"),
        pytest.param(Fetched(b""), id="empty"),
        pytest.param(Fetched(None), id="not modified"),
        pytest.param(Fetched(metadata(issuer="https://evil.example")), id="another issuer"),
        pytest.param(Fetched(metadata(jwks_uri=None)), id="no jwks_uri"),
    ],
)
@in_virtual_time
async def test_where_openid_metadata_is_useless_oauth_metadata_is_asked_for(
    useless: Fetched | IssuerError,
) -> None:
    fetcher = MemoryFetcher({OPENID: useless, OAUTH: Fetched(metadata())})
    assert await discover(fetcher) == JWKS_URI
    assert fetcher.urls == [OPENID, OAUTH]


@in_virtual_time
async def test_where_both_are_useless_the_fault_is_that_of_the_first() -> None:
    fetcher = MemoryFetcher({OPENID: Fetched(b"<html>"), OAUTH: NOT_FOUND})
    with pytest.raises(IssuerError, match="the metadata is not a JSON object"):
        await discover(fetcher)
    assert fetcher.urls == [OPENID, OAUTH]


@in_virtual_time
async def test_each_request_may_take_its_time_and_no_longer() -> None:
    fetcher = MemoryFetcher({OPENID: Fetched(metadata())})
    fetcher.takes = WITHIN + 1
    with pytest.raises(IssuerError, match="no answer in time"):
        await discover(fetcher)
    assert [(asked.at, asked.within) for asked in fetcher.asked] == [(0, WITHIN), (WITHIN, WITHIN)]
    assert fetcher.most_at_once == 1


@pytest.mark.parametrize(
    "issuer",
    [
        "https://evil.example",
        IDENTIFIER + "/",
        IDENTIFIER.upper(),
        IDENTIFIER.removesuffix("/oidc"),
        IDENTIFIER + "?",
        " " + IDENTIFIER,
        "",
        None,
        [IDENTIFIER],
        True,
    ],
)
def test_metadata_of_another_issuer_is_refused(issuer: object) -> None:
    with pytest.raises(IssuerError, match="the metadata names another issuer"):
        jwks_uri_of(metadata(issuer=issuer), IDENTIFIER, allow_http=True)


def test_metadata_that_names_two_issuers_is_refused() -> None:
    both = metadata().replace(b"{", b'{"issuer": "https://evil.example", ', 1)
    with pytest.raises(IssuerError, match="the metadata is not a JSON object"):
        jwks_uri_of(both, IDENTIFIER, allow_http=False)


@pytest.mark.parametrize("document", [b"", b"<html></html>", b"[]", b'"a"', b"null", b"\xff", b"{"])
def test_metadata_that_is_no_json_object_is_refused(document: bytes) -> None:
    with pytest.raises(IssuerError, match="the metadata is not a JSON object"):
        jwks_uri_of(document, IDENTIFIER, allow_http=False)


@pytest.mark.parametrize("jwks_uri", [None, 1, True, [JWKS_URI], {"": JWKS_URI}])
def test_metadata_without_a_jwks_uri_is_refused(jwks_uri: object) -> None:
    with pytest.raises(IssuerError, match="the metadata has no jwks_uri"):
        jwks_uri_of(metadata(jwks_uri=jwks_uri), IDENTIFIER, allow_http=False)


@pytest.mark.parametrize("allow_http", [False, True])
@pytest.mark.parametrize(
    "jwks_uri",
    [
        "",
        "jwks",
        "/oidc/jwks",
        "//auth.example.com/jwks",
        "https:",
        "https://",
        "https:///jwks",
        "https://auth.example.com:port/jwks",
        "https://auth.example.com:99999/jwks",
        "https://anna@auth.example.com/jwks",
        "https://anna:secret@auth.example.com/jwks",
        "https://:@auth.example.com/jwks",
        "https://auth.example.com\\@evil.example/jwks",
        "https://auth.example.com/jwks#fragment",
        "https://auth.example.com/jw ks",
        "https://auth.example.com/jwks\r\nHost: evil.example",
        " https://auth.example.com/jwks",
        "https://auth.exämple.com/jwks",
        "https://[::1/jwks",
        "file:///etc/passwd",
        "file://auth.example.com/jwks",
        "ftp://auth.example.com/jwks",
        "data:application/json,{}",
        "javascript:alert(1)",
        "unix:///run/jwks.sock",
    ],
)
@in_virtual_time
async def test_a_jwks_uri_that_cannot_be_used_is_not_fetched(
    jwks_uri: str, *, allow_http: bool
) -> None:
    bad = Fetched(metadata(jwks_uri=jwks_uri))
    fetcher = MemoryFetcher({OPENID: bad, OAUTH: bad})
    with pytest.raises(IssuerError, match="the metadata's jwks_uri cannot be used") as raised:
        await discover(fetcher, allow_http=allow_http)
    assert jwks_uri not in raised.value.fields.values()
    assert fetcher.urls == [OPENID, OAUTH]


@pytest.mark.parametrize(
    ("identifier", "jwks_uri", "allow_http", "usable"),
    [
        ("https://a.example", "https://a.example/jwks", False, True),
        ("https://a.example", "https://keys.example/jwks", False, True),
        ("https://a.example", "http://a.example/jwks", False, False),
        ("https://a.example", "http://a.example/jwks", True, True),
        ("https://a.example", "http://127.0.0.1/jwks", False, False),
        ("https://a.example", "http://127.0.0.1/jwks", True, True),
        ("http://127.0.0.1:1", "http://127.0.0.1:1/jwks", False, True),
        ("http://127.0.0.1:1", "http://[::1]:1/jwks", False, True),
        ("http://localhost", "http://localhost/jwks", False, True),
        ("http://127.0.0.1:1", "https://a.example/jwks", False, True),
        ("http://127.0.0.1:1", "http://a.example/jwks", False, False),
        ("http://127.0.0.1:1", "http://127.0.0.1.evil.example/jwks", False, False),
        ("http://127.0.0.1:1", "http://localhost.evil.example/jwks", False, False),
        ("http://a.example", "http://a.example/jwks", True, True),
    ],
)
def test_keys_come_over_tls_or_from_this_machine_or_as_the_operator_allows(
    identifier: str, jwks_uri: str, *, allow_http: bool, usable: bool
) -> None:
    document = metadata(issuer=identifier, jwks_uri=jwks_uri)
    if usable:
        assert jwks_uri_of(document, identifier, allow_http=allow_http) == jwks_uri
    else:
        with pytest.raises(IssuerError, match="the metadata's jwks_uri cannot be used"):
            jwks_uri_of(document, identifier, allow_http=allow_http)


def test_a_jwks_uri_that_would_fill_the_log_is_not_taken() -> None:
    uri = "https://a.example/".ljust(MAX_URI_CHARS, "x")
    assert jwks_uri_of(metadata(jwks_uri=uri), IDENTIFIER, allow_http=False) == uri
    with pytest.raises(IssuerError, match="the metadata's jwks_uri cannot be used") as raised:
        jwks_uri_of(metadata(jwks_uri=f"{uri}x"), IDENTIFIER, allow_http=False)
    assert raised.value.fields == {"fault": "more than 2048 characters"}


async def discover_over_http(issuer: FakeIssuer) -> str:
    async with HttpFetcher() as fetcher:
        return await discover_jwks_uri(fetcher, issuer.origin, allow_http=False, within=WITHIN)


@in_event_loop
async def test_metadata_is_found_over_http() -> None:
    async with fake_issuer() as issuer:
        issuer.describe_itself()
        assert await discover_over_http(issuer) == issuer.jwks_uri
        assert [request.path for request in issuer.requests] == [OPENID_METADATA]


@pytest.mark.parametrize("location", [JWKS, OPENID_METADATA, "file:///etc/passwd"])
@in_event_loop
async def test_a_redirect_of_metadata_is_not_followed(location: str) -> None:
    moved = response(b"", f"Location: {location}", status="302 Found")
    async with fake_issuer({OPENID_METADATA: says(moved), OAUTH_METADATA: says(moved)}) as issuer:
        issuer.serve(has(metadata(issuer=issuer.origin)))
        with pytest.raises(IssuerError, match="metadata: the answer is a redirect"):
            await discover_over_http(issuer)
        assert [request.path for request in issuer.requests] == [OPENID_METADATA, OAUTH_METADATA]


@in_event_loop
async def test_metadata_with_a_user_in_its_jwks_uri_leads_to_no_request_there() -> None:
    async with fake_issuer() as issuer:
        issuer.describe_itself(jwks_uri=issuer.jwks_uri.replace("//", "//anna:secret@"))
        with pytest.raises(IssuerError, match="the metadata's jwks_uri cannot be used"):
            await discover_over_http(issuer)
        assert issuer.count(JWKS) == 0
        assert issuer.count() == 2
