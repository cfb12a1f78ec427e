"""Keys are fetched from where nobody else can answer."""

from __future__ import annotations

import pytest

from authz_service.core.urls import split_url, url_fault


@pytest.mark.parametrize(
    "url",
    [
        "https://auth.example.com",
        "https://auth.example.com/oidc/jwks",
        "https://auth.example.com:8443/a?b=c",
        "HTTPS://Auth.Example.com/",
        "https://[2001:db8::1]/jwks",
        "http://localhost/jwks",
        "http://LOCALHOST:3000/jwks",
        "http://127.0.0.1:3000/jwks",
        "http://127.8.9.10/jwks",
        "http://[::1]:3000/jwks",
    ],
)
def test_tls_and_loopback_are_fine(url: str) -> None:
    assert url_fault(url, allow_http=False) is None
    assert url_fault(url, allow_http=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.example.com/jwks",
        "http://10.0.0.1/jwks",
        "http://127.0.0.1.example.com/jwks",
        "http://localhost.example.com/jwks",
        "http://[::]/jwks",
        "http://0.0.0.0/jwks",
        "http://[::2]/jwks",
    ],
)
def test_plain_http_to_elsewhere_is_the_operators_choice(url: str) -> None:
    assert url_fault(url, allow_http=False) is not None
    assert url_fault(url, allow_http=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "auth.example.com",
        "//auth.example.com/jwks",
        "/jwks",
        "https:",
        "https://",
        "https:///jwks",
        "https:auth.example.com",
        "file:///etc/passwd",
        "ftp://auth.example.com/jwks",
        "unix:/run/x",
        "https://user@auth.example.com/",
        "https://user:password@auth.example.com/",
        "https://:password@auth.example.com/",
        "https://@auth.example.com/",
        "https://auth.example.com\\@evil.example/",
        "https://auth.example.com/#fragment",
        "https://auth.example.com:port/",
        "https://auth.example.com:99999/",
        "https://[::1/",
        "https://[::1]auth.example.com/",
        "https://auth.example.com\\jwks",
        "https://auth.example.com/a b",
        " https://auth.example.com/",
        "https://auth.example.com/\n",
        "https://auth.example.com/\tx",
        "https://auth.example.com/\x7f",
        "https://büro.example/",
        "https://auth.example.com/é",
    ],
)
def test_what_is_no_url_of_a_server_is_refused_whatever_is_allowed(url: str) -> None:
    assert url_fault(url, allow_http=False) is not None
    assert url_fault(url, allow_http=True) is not None


def test_a_url_is_split_for_whoever_needs_its_host() -> None:
    parts = split_url("https://Auth.Example.com:8443/oidc")
    assert parts is not None
    assert (parts.hostname, parts.port, parts.path) == ("auth.example.com", 8443, "/oidc")
    assert split_url("not a url") is None
    assert split_url("nothing") is None
