"""The development issuer over real sockets, checked with jwcrypto's own verification."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec
from urllib.parse import quote_plus, urlencode

import aiohttp
import pytest
from click.testing import CliRunner
from jwcrypto import jwk, jws, jwt
from jwcrypto.common import JWException
from multidict import CIMultiDict

from authz_service.demo.issuer import Client, DevelopmentIssuer, main

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

P = ParamSpec("P")

NOW: Final = 1_900_000_000
LIFETIME: Final = 600
KEPT_KEYS: Final = 2
BAD_USAGE: Final = 2
HANGS_AFTER_SECONDS: Final = 30
API: Final = "https://shopping.api"
OTHER_API: Final = "https://billing.api"
FORM: Final = "application/x-www-form-urlencoded"
REPOSITORY: Final = Path(__file__).parents[2]

# Both need the form-urlencoding that RFC 6749, 2.3.1, asks for inside HTTP Basic.
CLIENT_ID, CLIENT_WORD = "ware:house 1", "50 % + é:&="
WAREHOUSE: Final = Client(
    client_id=CLIENT_ID,
    client_secret=CLIENT_WORD,
    grants={API: ("read:products", "write:products")},
    organizations={"org-1": ("read:members", "invite:members")},
)
ACCOUNTANT: Final = Client("accountant", "between us", grants={OTHER_API: ("read:invoices",)})

GRANT: Final = {"grant_type": "client_credentials"}
IN_BODY: Final = {**GRANT, "client_id": CLIENT_ID, "client_secret": CLIENT_WORD}


def in_event_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test in an event loop of its own."""

    @functools.wraps(test)
    def synchronous(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), HANGS_AFTER_SECONDS))

    return synchronous


@dataclass(frozen=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document


@dataclass(frozen=True)
class Caller:
    """Speaks HTTP to one running issuer."""

    issuer: DevelopmentIssuer
    session: aiohttp.ClientSession

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return self.issuer.issuer.removesuffix("/oidc")

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send one request to *path* below the issuer's origin."""
        async with self.session.request(
            method, self.origin + path, headers=headers, data=body
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def token(
        self, form: Mapping[str, str] | bytes, *, authorization: str | None = None
    ) -> Answer:
        """Send one token request."""
        headers = {"Content-Type": FORM}
        if authorization is not None:
            headers["Authorization"] = authorization
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return await self.send("POST", "/oidc/token", headers=headers, body=body)

    async def jwk_set(self) -> jwk.JWKSet:
        """Fetch the JWK Set the way a protected resource does."""
        return jwk.JWKSet.from_json((await self.send("GET", "/oidc/jwks")).body.decode())

    async def raw(self, request: bytes) -> int:
        """Send bytes that no HTTP library would, and read the answer's status."""
        host, _, port = self.origin.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            await writer.drain()
            return int((await reader.readline()).split()[1])
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def running(
    *,
    algorithm: str = "ES384",
    opaque_tokens: bool = True,
    clock: Callable[[], float] = lambda: NOW,
) -> AsyncIterator[Caller]:
    """Run an issuer on a free port."""
    issuer = DevelopmentIssuer(
        [WAREHOUSE, ACCOUNTANT],
        algorithm=algorithm,
        token_lifetime=LIFETIME,
        opaque_tokens=opaque_tokens,
        clock=clock,
    )
    await issuer.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Caller(issuer, session)
    finally:
        await issuer.stop()


def basic(client_id: str, word: str) -> str:
    """Return an Authorization header as RFC 6749, section 2.3.1, spells it."""
    credentials = f"{quote_plus(client_id)}:{quote_plus(word)}"
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def verified(token: str, keys: jwk.JWKSet | jwk.JWK) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token whose signature jwcrypto has verified."""
    signature = jws.JWS()
    signature.deserialize(token, keys)
    return dict(signature.jose_header), dict(json.loads(signature.payload))


# --- metadata and keys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/oidc/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/oidc"],
)
@in_event_loop
async def test_metadata_names_the_endpoints_and_says_that_it_is_for_development(path: str) -> None:
    async with running() as caller:
        answer = await caller.send("GET", path)
        issuer = caller.issuer.issuer
    assert answer.status == HTTPStatus.OK
    assert answer.json == {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "id_token_signing_alg_values_supported": ["ES384"],
        "development_only": True,
    }
    assert "development" in answer.headers["Server"]


@pytest.mark.parametrize(
    ("algorithm", "members"),
    [
        ("ES384", {"kty", "use", "alg", "kid", "crv", "x", "y"}),
        ("ES256", {"kty", "use", "alg", "kid", "crv", "x", "y"}),
        ("RS256", {"kty", "use", "alg", "kid", "n", "e"}),
        ("PS256", {"kty", "use", "alg", "kid", "n", "e"}),
        ("EdDSA", {"kty", "use", "alg", "kid", "crv", "x"}),
    ],
)
@in_event_loop
async def test_each_algorithm_signs_tokens_that_its_public_keys_verify(
    algorithm: str, members: set[str]
) -> None:
    async with running(algorithm=algorithm) as caller:
        keys = (await caller.send("GET", "/oidc/jwks")).json["keys"]
        token = (await caller.token({**IN_BODY, "resource": API})).json["access_token"]
        header, _ = verified(token, await caller.jwk_set())
    assert [set(key) for key in keys] == [members]
    assert keys[0]["kid"] == jwk.JWK(**keys[0]).thumbprint()
    assert header == {"alg": algorithm, "typ": "at+jwt", "kid": keys[0]["kid"]}


@in_event_loop
async def test_jwk_set_is_answered_with_304_until_the_keys_rotate() -> None:
    async with running() as caller:
        first = await caller.send("GET", "/oidc/jwks")
        seen = {"If-None-Match": first.headers["ETag"]}
        unchanged = await caller.send("GET", "/oidc/jwks", headers=seen)
        caller.issuer.rotate()
        changed = await caller.send("GET", "/oidc/jwks", headers=seen)
    assert first.headers["Cache-Control"] == "max-age=0"
    assert first.headers["Content-Type"] == "application/jwk-set+json"
    assert (unchanged.status, unchanged.body) == (HTTPStatus.NOT_MODIFIED, b"")
    assert unchanged.headers["ETag"] == first.headers["ETag"]
    assert changed.status == HTTPStatus.OK


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("*", HTTPStatus.NOT_MODIFIED),
        ('W/"{etag}"', HTTPStatus.NOT_MODIFIED),
        ('"other", "{etag}"', HTTPStatus.NOT_MODIFIED),
        ('"other"', HTTPStatus.OK),
        ("{etag}", HTTPStatus.OK),
        ('"', HTTPStatus.OK),
    ],
)
@in_event_loop
async def test_if_none_match_is_compared_weakly_and_junk_in_it_is_ignored(
    condition: str, status: HTTPStatus
) -> None:
    async with running() as caller:
        etag = (await caller.send("GET", "/oidc/jwks")).headers["ETag"].strip('"')
        headers = {"If-None-Match": condition.replace("{etag}", etag)}
        assert (await caller.send("GET", "/oidc/jwks", headers=headers)).status == status


# --- the token models ----------------------------------------------------------------------------


@in_event_loop
async def test_resource_alone_gives_a_token_for_that_api_with_the_claims_of_logto() -> None:
    async with running() as caller:
        answer = await caller.token({**IN_BODY, "resource": API, "scope": "read:products"})
        _, claims = verified(answer.json["access_token"], await caller.jwk_set())
        issuer = caller.issuer.issuer
    assert answer.status == HTTPStatus.OK
    assert {name: answer.json[name] for name in answer.json if name != "access_token"} == {
        "expires_in": LIFETIME,
        "token_type": "Bearer",
        "scope": "read:products",
    }
    assert claims.pop("jti")
    assert claims == {
        "sub": CLIENT_ID,
        "iat": NOW,
        "exp": NOW + LIFETIME,
        "scope": "read:products",
        "client_id": CLIENT_ID,
        "iss": issuer,
        "aud": API,
    }


@in_event_loop
async def test_token_of_the_moment_passes_the_whole_validation_of_jwcrypto() -> None:
    async with running(clock=time.time) as caller:
        answer = await caller.token({**IN_BODY, "resource": API})
        expected = {"iss": caller.issuer.issuer, "aud": API, "exp": None, "iat": None, "jti": None}
        jwt.JWT(
            jwt=answer.json["access_token"],
            key=await caller.jwk_set(),
            algs=["ES384"],
            check_claims=expected,
        )


@in_event_loop
async def test_every_token_has_an_id_of_its_own() -> None:
    async with running() as caller:
        keys = await caller.jwk_set()
        form = {**IN_BODY, "resource": API}
        tokens = [(await caller.token(form)).json["access_token"] for _ in range(3)]
    ids = {verified(token, keys)[1]["jti"] for token in tokens}
    assert len(ids) == len(tokens)


@in_event_loop
async def test_organization_alone_gives_an_organization_token() -> None:
    async with running() as caller:
        form = {**IN_BODY, "organization_id": "org-1", "scope": "read:members read:products"}
        answer = await caller.token(form)
        _, claims = verified(answer.json["access_token"], await caller.jwk_set())
    assert answer.json["scope"] == claims["scope"] == "read:members"
    assert claims["aud"] == "urn:logto:organization:org-1"
    assert "organization_id" not in claims


@in_event_loop
async def test_resource_and_organization_give_a_token_for_the_api_that_names_the_organization() -> (
    None
):
    async with running() as caller:
        form = {**IN_BODY, "resource": API, "organization_id": "org-1", "scope": "write:products"}
        answer = await caller.token(form)
        _, claims = verified(answer.json["access_token"], await caller.jwk_set())
    assert claims["aud"] == API
    assert claims["organization_id"] == "org-1"
    assert claims["scope"] == "write:products"


@in_event_loop
async def test_neither_resource_nor_organization_gives_an_opaque_token() -> None:
    async with running() as caller:
        answer = await caller.token({**IN_BODY, "scope": "read:products"})
    assert answer.status == HTTPStatus.OK
    assert "." not in answer.json["access_token"]
    assert "scope" not in answer.json


@in_event_loop
async def test_neither_is_an_invalid_target_where_opaque_tokens_are_off() -> None:
    async with running(opaque_tokens=False) as caller:
        answer = await caller.token(IN_BODY)
    assert (answer.status, answer.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_target")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, None),
        ("", None),
        ("delete:products", None),
        ("read:members", None),
        ("read:products delete:products", "read:products"),
        ("write:products read:products", "write:products read:products"),
        (" read:products  read:products ", "read:products"),
        ("read:products\twrite:products", None),
    ],
)
@in_event_loop
async def test_scopes_that_are_not_granted_or_not_asked_for_are_left_out_in_silence(
    asked: str | None, given: str | None
) -> None:
    async with running() as caller:
        form = {**IN_BODY, "resource": API} | ({} if asked is None else {"scope": asked})
        answer = await caller.token(form)
        _, claims = verified(answer.json["access_token"], await caller.jwk_set())
    assert answer.status == HTTPStatus.OK
    assert answer.json.get("scope") == claims.get("scope") == given


@in_event_loop
async def test_organization_token_without_a_granted_scope_spells_out_the_empty_scope() -> None:
    async with running() as caller:
        answer = await caller.token({**IN_BODY, "organization_id": "org-1"})
        _, claims = verified(answer.json["access_token"], await caller.jwk_set())
    assert answer.json["scope"] == claims["scope"] == ""


@in_event_loop
async def test_resource_of_another_client_gives_a_token_without_any_scope() -> None:
    async with running() as caller:
        answer = await caller.token({**IN_BODY, "resource": OTHER_API, "scope": "read:invoices"})
        _, claims = verified(answer.json["access_token"], await caller.jwk_set())
    assert claims["aud"] == OTHER_API
    assert "scope" not in claims


# --- client authentication -----------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
@in_event_loop
async def test_client_authenticates_by_basic_with_form_urlencoded_credentials(scheme: str) -> None:
    async with running() as caller:
        authorization = scheme + basic(CLIENT_ID, CLIENT_WORD).removeprefix("Basic")
        answer = await caller.token({**GRANT, "resource": API}, authorization=authorization)
    assert answer.status == HTTPStatus.OK


@in_event_loop
async def test_client_id_in_the_body_may_repeat_the_one_in_basic() -> None:
    async with running() as caller:
        form = {**GRANT, "client_id": CLIENT_ID, "resource": API}
        answer = await caller.token(form, authorization=basic(CLIENT_ID, CLIENT_WORD))
    assert answer.status == HTTPStatus.OK


@pytest.mark.parametrize(
    ("client_id", "word"),
    [
        (CLIENT_ID, "wrong"),
        (CLIENT_ID, CLIENT_WORD + "x"),
        (CLIENT_ID, CLIENT_WORD.upper()),
        (CLIENT_ID, ""),
        (CLIENT_ID, ACCOUNTANT.client_secret),
        ("nobody", CLIENT_WORD),
        ("nobody", ""),
        ("", ""),
        ("", CLIENT_WORD),
    ],
)
@in_event_loop
async def test_wrong_secret_and_unknown_client_get_the_same_refusal_either_way(
    client_id: str, word: str
) -> None:
    async with running() as caller:
        by_header = await caller.token(GRANT, authorization=basic(client_id, word))
        by_body = await caller.token({**GRANT, "client_id": client_id, "client_secret": word})
    for answer in (by_header, by_body):
        assert answer.status == HTTPStatus.UNAUTHORIZED
        assert answer.json["error"] == "invalid_client"
        assert answer.headers["WWW-Authenticate"].startswith('Basic realm="http://127.0.0.1:')
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YTpi YTpi",
        "Basic YTp",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"%ff:secret").decode(),
        "Bearer abc",
        "Basic\tYTpi",
        ":",
    ],
)
@in_event_loop
async def test_malformed_basic_is_an_invalid_request(authorization: str) -> None:
    async with running() as caller:
        answer = await caller.token(GRANT, authorization=authorization)
    assert (answer.status, answer.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_request")


@pytest.mark.parametrize(
    "also", [{"client_secret": CLIENT_WORD}, {"client_id": "accountant"}, {"client_secret": "x"}]
)
@in_event_loop
async def test_two_ways_of_authentication_are_an_invalid_request(also: dict[str, str]) -> None:
    async with running() as caller:
        answer = await caller.token(GRANT | also, authorization=basic(CLIENT_ID, CLIENT_WORD))
    assert (answer.status, answer.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_request")


@in_event_loop
async def test_two_authorization_headers_are_an_invalid_request_even_when_they_agree() -> None:
    one = ("Authorization", basic(CLIENT_ID, CLIENT_WORD))
    async with running() as caller:
        headers = CIMultiDict([("Content-Type", FORM), one, one])
        body = urlencode({**GRANT, "resource": API}).encode()
        answer = await caller.send("POST", "/oidc/token", headers=headers, body=body)
    assert (answer.status, answer.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_request")


@in_event_loop
async def test_credentials_in_the_url_are_not_looked_at() -> None:
    async with running() as caller:
        answer = await caller.send(
            "POST",
            f"/oidc/token?{urlencode(IN_BODY)}",
            headers={"Content-Type": FORM},
            body=urlencode(GRANT).encode(),
        )
    assert (answer.status, answer.json["error"]) == (HTTPStatus.UNAUTHORIZED, "invalid_client")


def test_secret_is_not_in_the_repr_of_a_client() -> None:
    assert CLIENT_WORD not in repr(WAREHOUSE)


# --- refused token requests ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"grant_type": ""}, HTTPStatus.BAD_REQUEST, "invalid_request"),
        ({"grant_type": "password"}, HTTPStatus.BAD_REQUEST, "unsupported_grant_type"),
        ({"grant_type": "Client_Credentials"}, HTTPStatus.BAD_REQUEST, "unsupported_grant_type"),
        ({"resource": "https://unknown.api"}, HTTPStatus.BAD_REQUEST, "invalid_target"),
        ({"resource": API + "/"}, HTTPStatus.BAD_REQUEST, "invalid_target"),
        ({"resource": f"{API} {OTHER_API}"}, HTTPStatus.BAD_REQUEST, "invalid_target"),
        ({"organization_id": "org-2"}, HTTPStatus.FORBIDDEN, "access_denied"),
        ({"organization_id": "org-2", "resource": API}, HTTPStatus.FORBIDDEN, "access_denied"),
    ],
)
@in_event_loop
async def test_headers_and_bodythat_earns_nothing_names_its_error(
    change: dict[str, str], status: HTTPStatus, error: str
) -> None:
    async with running() as caller:
        answer = await caller.token(IN_BODY | change)
    assert answer.status == status
    assert set(answer.json) == {"error", "error_description"}
    assert answer.json["error"] == error
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["grant_type", "client_id", "client_secret", "scope", "x"])
@in_event_loop
async def test_repeated_parameter_is_an_invalid_request(name: str) -> None:
    async with running() as caller:
        form = {"scope": "read:products", "resource": API, "x": "y"} | IN_BODY
        repeated = urlencode([*form.items(), (name, form[name])]).encode()
        answer = await caller.token(repeated)
        empty = await caller.token(urlencode([*form.items(), (name, "")]).encode())
    assert (answer.status, answer.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_request")
    assert (empty.status, empty.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_request")


@in_event_loop
async def test_two_resources_are_an_invalid_target() -> None:
    async with running() as caller:
        form = urlencode([*IN_BODY.items(), ("resource", API), ("resource", OTHER_API)])
        answer = await caller.token(form.encode())
    assert (answer.status, answer.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_target")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&&&===",
        b"\xff\xfe=\x00",
        b"grant_type=%ff",
        b"%c3=%28",
        b"&".join(b"a%d=1" % number for number in range(101)),
        b'{"grant_type": "client_credentials"}',
    ],
)
@in_event_loop
async def test_body_that_is_no_form_in_utf_8_is_refused_as_the_fault_of_the_client(
    body: bytes,
) -> None:
    async with running() as caller:
        answer = await caller.token(body)
    assert answer.json["error"] in {"invalid_request", "invalid_client"}
    assert answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}


@pytest.mark.parametrize("scope", [b"%ff", b"\xff", b"%ed%a0%80"])
@in_event_loop
async def test_parameter_that_is_not_utf_8_is_an_invalid_request(scope: bytes) -> None:
    async with running() as caller:
        answer = await caller.token(urlencode(IN_BODY).encode() + b"&scope=" + scope)
    assert (answer.status, answer.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_request")


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "junk", "a/b/c; ;"])
@in_event_loop
async def test_any_other_media_type_is_an_invalid_request(media_type: str) -> None:
    async with running() as caller:
        headers = {"Content-Type": media_type}
        body = urlencode(IN_BODY).encode()
        answer = await caller.send("POST", "/oidc/token", headers=headers, body=body)
    assert (answer.status, answer.json["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_request")


@in_event_loop
async def test_charset_beside_the_media_type_is_fine() -> None:
    async with running() as caller:
        headers = {"Content-Type": f"{FORM}; charset=UTF-8"}
        body = urlencode({**IN_BODY, "resource": API}).encode()
        answer = await caller.send("POST", "/oidc/token", headers=headers, body=body)
    assert answer.status == HTTPStatus.OK


@in_event_loop
async def test_huge_body_is_refused_before_its_end() -> None:
    announced = b"POST /oidc/token HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\n"
    async with running() as caller:
        status = await caller.raw(announced + b"a" * 100_000)
    assert status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize(
    "headers_and_body",
    [
        b"Content-Encoding: deflate\r\nContent-Length: 4\r\n\r\njunk",
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
        b"Authorization: Basic \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"Authorization: Basic YTpi\r\nAuthorization: Basic YTpi\r\nContent-Length: 0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Content-Length: -1\r\n\r\n",
    ],
)
@in_event_loop
async def test_broken_http_never_becomes_a_fault_of_the_issuer(headers_and_body: bytes) -> None:
    start = b"POST /oidc/token HTTP/1.1\r\nHost: x\r\nContent-Type: " + FORM.encode() + b"\r\n"
    async with running() as caller:
        status = await caller.raw(start + headers_and_body)
    assert status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@in_event_loop
async def test_token_endpoint_takes_post_only(method: str) -> None:
    async with running() as caller:
        answer = await caller.send(method, f"/oidc/token?{urlencode(IN_BODY)}")
    assert answer.status == HTTPStatus.METHOD_NOT_ALLOWED
    assert answer.headers["Allow"] == "POST"


# --- rotation ------------------------------------------------------------------------------------


@in_event_loop
async def test_rotated_key_signs_at_once_and_the_previous_one_still_verifies() -> None:
    async with running() as caller:
        form = {**IN_BODY, "resource": API}
        before = (await caller.token(form)).json["access_token"]
        old = caller.issuer.kid
        new = caller.issuer.rotate()
        after = (await caller.token(form)).json["access_token"]
        keys = await caller.jwk_set()
    assert new != old
    assert verified(before, keys)[0]["kid"] == old
    assert verified(after, keys)[0]["kid"] == new


@in_event_loop
async def test_two_recent_keys_are_kept_as_at_logto() -> None:
    async with running() as caller:
        kids = [caller.issuer.rotate() for _ in range(4)]
        keys = (await caller.send("GET", "/oidc/jwks")).json["keys"]
    assert [key["kid"] for key in keys] == kids[: -KEPT_KEYS - 1 : -1]


@in_event_loop
async def test_previous_keys_can_be_dropped_with_the_rotation() -> None:
    async with running() as caller:
        caller.issuer.rotate()
        kid = caller.issuer.rotate(drop_previous=True)
        keys = (await caller.send("GET", "/oidc/jwks")).json["keys"]
    assert [key["kid"] for key in keys] == [kid]


@pytest.mark.parametrize(("query", "keys_left"), [("", 2), ("?drop_previous=true", 1)])
@in_event_loop
async def test_human_rotates_by_post(query: str, keys_left: int) -> None:
    async with running() as caller:
        answer = await caller.send("POST", f"/development/rotate{query}")
        keys = (await caller.send("GET", "/oidc/jwks")).json["keys"]
        assert answer.json == {"kid": caller.issuer.kid}
    assert answer.status == HTTPStatus.OK
    assert len(keys) == keys_left


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
@in_event_loop
async def test_page_in_a_browser_cannot_rotate(origin: str) -> None:
    async with running() as caller:
        kid = caller.issuer.kid
        answer = await caller.send("POST", "/development/rotate", headers={"Origin": origin})
        assert caller.issuer.kid == kid
    assert answer.status == HTTPStatus.FORBIDDEN


# --- minting -------------------------------------------------------------------------------------


def test_minted_token_holds_the_given_claims_and_no_more() -> None:
    issuer = DevelopmentIssuer([])
    key = jwk.JWK.generate(kty="EC", crv="P-384")
    claims = {"exp": -1, "aud": [], "sub": None}
    header, payload = verified(issuer.mint(claims, key=key), key)
    assert payload == claims
    assert header == {"alg": "ES384", "typ": "at+jwt", "kid": key.thumbprint()}


@in_event_loop
async def test_minted_token_is_signed_by_the_issuer_unless_a_foreign_key_is_given() -> None:
    foreign = jwk.JWK.generate(kty="EC", crv="P-384")
    async with running() as caller:
        keys = await caller.jwk_set()
        own = caller.issuer.mint({"sub": "a"})
        forged = caller.issuer.mint({"sub": "a"}, header={"kid": caller.issuer.kid}, key=foreign)
    assert verified(own, keys)[1] == {"sub": "a"}
    with pytest.raises(JWException):
        verified(forged, keys)
    assert verified(forged, foreign)[0]["kid"] == verified(own, keys)[0]["kid"]


def test_header_members_are_replaced_added_and_taken_out() -> None:
    issuer = DevelopmentIssuer([])
    key = jwk.JWK.generate(kty="RSA", size=2048)
    minted = issuer.mint({}, header={"alg": "PS256", "typ": None, "jku": "x"}, key=key)
    assert verified(minted, key)[0] == {"alg": "PS256", "kid": key.thumbprint(), "jku": "x"}


# --- lifecycle -----------------------------------------------------------------------------------


@in_event_loop
async def test_issuer_restarts_on_its_port_with_its_keys() -> None:
    async with running() as caller:
        issuer, token = caller.issuer.issuer, caller.issuer.mint({"sub": "a"})
        await caller.issuer.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await caller.send("GET", "/oidc/jwks")
        assert caller.issuer.issuer == issuer
        await caller.issuer.start()
        assert caller.issuer.issuer == issuer
        assert verified(token, await caller.jwk_set())[1] == {"sub": "a"}


@in_event_loop
async def test_taken_port_is_an_os_error_and_leaves_the_issuer_startable() -> None:
    async with running() as caller:
        port = int(caller.origin.rpartition(":")[2])
        late = DevelopmentIssuer([])
        with pytest.raises(OSError, match=str(port)):
            await late.start(port=port)
        await late.stop()
        await late.start()
        await late.stop()


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "localhost", "", "*"],  # noqa: S104 - refused
)
@in_event_loop
async def test_no_address_but_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        await DevelopmentIssuer([]).start(host=host)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@in_event_loop
async def test_ipv6_loopback_is_put_in_brackets() -> None:
    issuer = DevelopmentIssuer([])
    await issuer.start(host="::1")
    try:
        assert issuer.issuer.startswith("http://[::1]:")
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{issuer.issuer}/.well-known/openid-configuration") as response,
        ):
            assert (await response.json())["issuer"] == issuer.issuer
    finally:
        await issuer.stop()


@in_event_loop
async def test_issuer_that_runs_is_not_started_again() -> None:
    async with running() as caller:
        with pytest.raises(RuntimeError, match="runs already"):
            await caller.issuer.start()


@in_event_loop
async def test_stopping_twice_is_fine() -> None:
    async with running() as caller:
        await caller.issuer.stop()
        await caller.issuer.stop()


def test_issuer_has_no_identifier_before_its_first_start() -> None:
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = DevelopmentIssuer([]).issuer


def test_unknown_algorithm_is_refused_by_name_of_the_known_ones() -> None:
    with pytest.raises(ValueError, match="ES384"):
        DevelopmentIssuer([], algorithm="HS256")


def test_two_clients_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="share a client id"):
        DevelopmentIssuer([WAREHOUSE, WAREHOUSE])


# --- alone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@in_event_loop
async def test_alone_it_prints_a_curl_command_that_works_and_stops_cleanly(
    stop: signal.Signals,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz_service.demo.issuer", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        assert process.stdout is not None
        printed = (await process.stdout.readuntil(b"Ctrl-C")).decode()
        command = next(line for line in printed.splitlines() if "resource=" in line)
        credentials, url = command.split()[3:5]
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                url,
                headers={"Authorization": basic(*credentials.split(":"))},
                data={**GRANT, "resource": API, "scope": "read:products"},
            ) as response,
        ):
            assert (await response.json())["scope"] == "read:products"
    finally:
        process.send_signal(stop)
        _, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")


def test_alone_on_a_taken_port_it_says_so_in_one_line_and_exits_with_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["--port", port])
    assert result.exit_code == BAD_USAGE
    assert result.stderr.splitlines() == [
        f"Error: cannot listen on 127.0.0.1:{port}: Address already in use"
    ]
