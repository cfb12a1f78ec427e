"""`metadata`: an issuer's metadata, and the URL of the key set that is in it."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Final

import yarl

from authz_service.core.errors import IssuerError
from authz_service.keys.discovery import jwks_uri_of
from fuzz.json_mutation import JsonMutator
from fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

_ISSUER: Final = "https://auth.example.com/oidc"
_LOCAL: Final = "http://127.0.0.1:3001/oidc"
_URLS: Final = (
    f"{_ISSUER}/jwks", "http://127.0.0.1:3001/jwks", "http://[::1]/jwks", "http://localhost/jwks",
    "http://auth.example.com/jwks", "https://user@auth.example.com/jwks", "https://a\\@b/jwks",
    "https://auth.example.com:443/jwks?x=y", "https://auth.example.com/jwks#x", "file:///etc/passwd",
    "https:///jwks", "https://[::1", "http://127.1/jwks", "http://localhost.example/jwks", "//a/b",
    "http://127.0.0.1@evil.example/", "http://127.0.0.1:80:80/", "https://a:99999/", "HTTPS://A/",
    "https://[::1]evil.example/", "https://a\\b/", "https://[v1.a]/", "https://a%2fb/",
)  # fmt: skip
_MUTATOR: Final = JsonMutator(
    ("issuer", "jwks_uri", "jwks"), (_ISSUER, _LOCAL, f"{_ISSUER}/", *_URLS)
)


def _seeds() -> Iterator[bytes]:
    for issuer in (_ISSUER, _LOCAL):
        for url in _URLS:
            yield json.dumps({"issuer": issuer, "jwks_uri": url}).encode()


def _judge(octets: bytes) -> None:
    for issuer in (_ISSUER, _LOCAL):
        for allow_http in (False, True):
            _check(octets, issuer, allow_http=allow_http)


def _check(octets: bytes, issuer: str, *, allow_http: bool) -> None:
    try:
        uri = jwks_uri_of(octets, issuer, allow_http=allow_http)
    except IssuerError as fault:
        assert fault.message.isascii()
        json.dumps(fault.fields)
        return
    assert json.loads(octets)["issuer"] == issuer
    sent = yarl.URL(uri)  # as the client reads it that sends the request
    assert sent.scheme in {"https", "http"}
    assert sent.host
    assert sent.user is None
    assert sent.password is None
    assert not sent.fragment
    if sent.scheme == "http" and not allow_http:
        assert issuer == _LOCAL
        assert sent.host == "localhost" or ipaddress.ip_address(sent.host).is_loopback


TARGET: Final = Target(_seeds, _judge, _MUTATOR.mutate, words=_URLS, max_bytes=2048)
