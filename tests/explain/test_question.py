"""The request that is asked about, and a token with what was pasted around it."""

from __future__ import annotations

import pytest

from authz_service.explain.question import Url, parse_header, pasted_token, request_for


@pytest.mark.parametrize(
    ("text", "authority", "target"),
    [
        ("https://shop.example.com/products?x=1", "shop.example.com", "/products?x=1"),
        ("HTTP://shop.example.com:8080/a#b?c", "shop.example.com:8080", "/a"),
        ("https://shop.example.com", "shop.example.com", "/"),
        ("https://shop.example.com?x=1", "shop.example.com", "/?x=1"),
        ("https:///products", "", "/products"),
        ("https://[::1]:80//a/../b", "[::1]:80", "//a/../b"),
        ("/products?x=1#y", None, "/products?x=1#y"),
        ("//a", None, "//a"),
        ("//", None, "//"),
        ("https://h/a\nb", "h", "/a\nb"),
    ],
)
def test_a_url_is_taken_apart_and_never_repaired(
    text: str, authority: str | None, target: str
) -> None:
    assert Url.parse(text) == Url(authority, target)


@pytest.mark.parametrize(
    "text", ["", "products", "ftp://h/", "https:/h/", " https://h/", "https://u@h/"]
)
def test_what_is_no_url_is_said_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^write ") as refused:
        Url.parse(text)
    assert not text or text not in str(refused.value)


def test_headers_have_names_in_lower_case_and_values_without_space_around() -> None:
    assert parse_header("X-A:  b: c \t") == ("x-a", "b: c")
    assert parse_header("x-a:") == ("x-a", "")
    assert parse_header("x-a: é") == ("x-a", "é".encode().decode("latin-1"))


@pytest.mark.parametrize(
    "text", ["", ":", "a", ": b", "a b: c", "é: c", "a: b\nc", "a: \0", "HOST: h"]
)
def test_what_no_client_can_send_is_no_header(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|one line|--host"):
        parse_header(text)


def test_a_request_is_described_as_envoy_does_with_raw_octets() -> None:
    request = request_for("GET", "h", "/é\udcff", [("x-a", "b")], "t")
    assert request.target == "/Ã©\xff"
    assert request.headers == (
        (":method", "GET"), (":authority", "h"), (":path", "/Ã©\xff"), ("x-a", "b"),
        ("authorization", "Bearer t"),
    )  # fmt: skip


def test_a_request_without_a_token_has_no_authorization() -> None:
    assert request_for("GET", "h", "/", []).header_values("authorization") == []


@pytest.mark.parametrize(
    ("pasted", "token"),
    [
        (b"a.b.c", "a.b.c"),
        (b"\xef\xbb\xbf a.b.c\r\n\r\n", "a.b.c"),
        (b"Bearer a.b.c", "a.b.c"),
        (b"authorization:\tBEARER  a.b.c\n", "a.b.c"),
        (b"Bearer", "Bearer"),
        (b"Bearer Bearer a", "Bearer a"),
        (b"a b\nc", "a b\nc"),
        (b"\xff\x00", "ÿ\x00"),
        (b" \r\n\t", ""),
        (b"", ""),
        (b'{"access_token": "a.b.c", "token_type": "Bearer"}\n', "a.b.c"),
        (b'{"access_token": 7}', '{"access_token": 7}'),
        (b'{"id_token": "a.b.c"}', '{"id_token": "a.b.c"}'),
        (b'{"access_token": "a.b.c"', '{"access_token": "a.b.c"'),
    ],
)
def test_only_what_surrounds_a_token_is_taken_away(pasted: bytes, token: str) -> None:
    assert pasted_token(pasted) == token
