"""Hosts and paths that can be read in one way are taken, all others are refused."""

from __future__ import annotations

import pytest

from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.request import Host, HttpRequest, RequestPath, has_control_character
from tests.support.checks import Check, allowed, denied
from tests.support.policies import needs, policy_of, route

AMBIGUOUS_PATHS = {
    "nothing": "",
    "only a query": "?a=b",
    "no slash at the start": "products",
    "the asterisk of OPTIONS": "*",
    "an absolute URL": "http://shop.example.com/products",
    "two slashes": "//",
    "two slashes at the start": "//products",
    "an empty segment inside": "/products//1",
    "an empty segment at the end": "/products//",
    "an empty segment before parameters": "/products/;v=1",
    "a dot": "/.",
    "a dot inside": "/products/./1",
    "two dots": "/products/..",
    "two dots inside": "/me/../products",
    "two dots at the start": "/../products",
    "an encoded dot": "/products/%2e",
    "two encoded dots": "/products/%2e%2E/me",
    "a dot and an encoded one": "/products/.%2e/me",
    "two dots before parameters": "/products/..;v=1/me",
    "a dot before parameters": "/products/.;/me",
    "encoded dots before parameters": "/products/%2e%2e;/me",
    "dots before an encoded semicolon": "/products/..%3b/me",
    "more than eight kibibytes": "/" + "a" * 8192,
    "nothing before an encoded semicolon": "/products/%3Bx/me",
    "all of it encoded": "/products/%2e%2e%3Bx",
    "an encoded backslash": "/products/..%5c..",
    "an encoded backslash alone": "/products/a%5Cb",
    "an encoded percent sign": "/products/%252e%252e",
    "an encoded NUL": "/products/1%00.png",
    "an encoded line feed": "/products/1%0a",
    "an encoded carriage return": "/products/%0D1",
    "an encoded tab": "/products/%09",
    "an encoded DEL": "/products/%7f",
    "an encoded C1 control": "/products/%c2%85",
    "a raw backslash": "/products\\1",
    "a raw fragment": "/products#1",
    "a raw fragment before the query": "/products#?a",
    "a raw space": "/products/a b",
    "a raw tab": "/products/a\tb",
    "a raw line feed": "/products\n",
    "a raw NUL": "/products\x00",
    "a raw DEL": "/products\x7f",
    "a raw letter beyond ASCII": "/products/é",
    "a raw digit beyond ASCII": "/products/\u0661",
    "a lone surrogate": "/products/\ud800",
    "an escape of no digits": "/products/%",
    "an escape of one digit": "/products/%2",
    "an escape of other letters": "/products/%2g",
    "an escape with a sign": "/products/%+2",
    "an escape of full-width digits": "/products/%\uff12\uff10",
    "a Unicode escape": "/products/%u002e",
    "an octet that UTF-8 does not have": "/products/%ff",
    "half a character": "/products/%c3",
    "an overlong dot": "/products/%c0%ae",
    "an encoded surrogate": "/products/%ed%a0%80",
}
AMBIGUOUS_UNLESS_KEPT = {
    "an encoded slash": "/products/a%2Fb",
    "an encoded slash in lower case": "/products/a%2fb",
    "parameters": "/products;v=1",
    "parameters inside": "/products;v=1/2",
    "parameters without a name": "/products;",
}
PARAMETERS = {
    "an encoded slash": "/keep/a;x=%2Fb",
    "a hidden climb": "/keep/a;%2f..%2fadmin",
    "an encoded backslash": "/keep/a;x=%5C..%5Cadmin",
    "an encoded percent sign": "/keep/a;x=%252e",
    "an encoded NUL": "/keep/a;x=%00",
    "an encoded line feed": "/keep/a;x=%0a",
    "an octet that UTF-8 does not have": "/keep/a;x=%ff",
}
HIDDEN_CLIMBS = {
    "two dots before": "/keep/..%2Fadmin",
    "two dots between": "/keep/a%2F..%2Fadmin",
    "two dots after": "/keep/a%2F..",
    "encoded dots": "/keep/a%2f%2e%2e%2fadmin",
    "a dot": "/keep/.%2Fadmin",
    "dots and an encoded semicolon": "/keep/a%2F..%3B%2Fadmin",
    "nothing before": "/keep/%2Fadmin",
    "nothing between": "/keep/a%2F%2Fadmin",
    "nothing after": "/keep/a%2F",
}


@pytest.mark.parametrize("target", AMBIGUOUS_PATHS.values(), ids=AMBIGUOUS_PATHS)
def test_a_path_that_an_upstream_could_read_differently_is_refused(target: str) -> None:
    with pytest.raises(AccessDenied) as refused:
        RequestPath.parse(target)
    assert refused.value.reason is DenyReason.AMBIGUOUS_PATH


@pytest.mark.parametrize("target", AMBIGUOUS_PATHS.values(), ids=AMBIGUOUS_PATHS)
def test_no_resource_can_keep_what_is_ambiguous(target: str) -> None:
    assert denied_where_all_is_kept(target) is DenyReason.AMBIGUOUS_PATH


@pytest.mark.parametrize("target", PARAMETERS.values(), ids=PARAMETERS)
def test_kept_parameters_hide_nothing_that_a_segment_may_not_hold(target: str) -> None:
    policy = policy_of(route("/keep/{name}", {"GET": needs()}, keep_path_parameters=True))
    assert denied(Check(target=target, policy=policy)).reason is DenyReason.AMBIGUOUS_PATH


@pytest.mark.parametrize("target", HIDDEN_CLIMBS.values(), ids=HIDDEN_CLIMBS)
def test_a_kept_slash_hides_no_dot_segment(target: str) -> None:
    assert denied_where_all_is_kept(target) is DenyReason.AMBIGUOUS_PATH


def denied_where_all_is_kept(target: str) -> DenyReason:
    keeping = route("/**", {"GET": needs()}, keep_encoded_slash=True, keep_path_parameters=True)
    return denied(Check(target=target, policy=policy_of(keeping))).reason


@pytest.mark.parametrize("target", AMBIGUOUS_UNLESS_KEPT.values(), ids=AMBIGUOUS_UNLESS_KEPT)
def test_what_a_resource_may_keep_is_refused_unless_it_does(target: str) -> None:
    refusing = policy_of(route("/**", {"GET": needs()}))
    assert denied(Check(target=target, policy=refusing)).reason is DenyReason.AMBIGUOUS_PATH
    keeping = route("/**", {"GET": needs()}, keep_encoded_slash=True, keep_path_parameters=True)
    allowed(Check(target=target, policy=policy_of(keeping)))
    path = RequestPath.parse(target)
    assert path.has_encoded_slash or path.has_parameters


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        ("/", ()),
        ("/?a=b", ()),
        ("/products", ("products",)),
        ("/products/", ("products",)),
        ("/products?a/../b;%2F#c\\", ("products",)),
        ("/products?é", ("products",)),
        ("/products/?", ("products",)),
        ("/products/1/reviews", ("products", "1", "reviews")),
        ("/%70roducts", ("products",)),
        ("/caf%C3%A9", ("café",)),
        ("/a%20b", ("a b",)),
        ("/a%3Bb", ("a;b",)),
        ("/a%3Fb%23c", ("a?b#c",)),
        ("/...", ("...",)),
        ("/.well-known/x", (".well-known", "x")),
        ("/..a", ("..a",)),
        ("/a..", ("a..",)),
        ("/%e2%80%8b", ("\u200b",)),
        ("/a:b@c!$&'()*+,=~-_", ("a:b@c!$&'()*+,=~-_",)),
        ("/a+b", ("a+b",)),
        ("/{id}", ("{id}",)),
    ],
)
def test_a_path_is_split_and_then_decoded_once(target: str, segments: tuple[str, ...]) -> None:
    assert RequestPath.parse(target) == RequestPath(segments)


def test_an_encoded_slash_and_parameters_are_noted_for_the_resource_to_judge() -> None:
    assert RequestPath.parse("/a%2Fb/c") == RequestPath(("a/b", "c"), has_encoded_slash=True)
    assert RequestPath.parse("/a;v=1/b;") == RequestPath(("a", "b"), has_parameters=True)


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("shop.example.com", "shop.example.com"),
        ("SHOP.Example.COM", "shop.example.com"),
        ("shop.example.com.", "shop.example.com"),
        ("shop.example.com:8080", "shop.example.com"),
        ("shop.example.com.:65535", "shop.example.com"),
        ("localhost", "localhost"),
        ("my_service", "my_service"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:443", "[::1]"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[2001:DB8::A]", "[2001:db8::a]"),
        ("[::192.0.2.1]", "[::c000:201]"),
        ("a" * 255, "a" * 255),
    ],
)
def test_a_host_is_brought_into_its_normal_form(authority: str, name: str) -> None:
    assert Host.parse(authority) == Host(name)


@pytest.mark.parametrize(
    "authority",
    [
        "",
        ".",
        " ",
        ":80",
        "shop.example.com ",
        " shop.example.com",
        "shop.example.com\n",
        "shop example.com",
        "shop.example.com,other.example",
        "user@shop.example.com",
        "user:password@shop.example.com:80",
        "shop..example.com",
        ".shop.example.com",
        "shop.example.com..",
        "shop.example.com:",
        "shop.example.com:http",
        "shop.example.com:-1",
        "shop.example.com:123456",
        "shop.example.com:80:80",
        "shop.example.com:٨٠",
        "http://shop.example.com",
        "shop.example.com/",
        "shop.example.com?",
        "shop.example.com#",
        "shop.example.com\\",
        "shop%2eexample.com",
        "*.example.com",
        "*",
        "büro.example",
        "\u212aiosk.example",
        "shop.example.com\x00",
        "\ud800",
        "::1",
        "[]",
        "[::1",
        "::1]",
        "[:::1]",
        "[1::2::3]",
        "[::1%eth0]",
        "[fe80::1%25eth0]",
        "[12345::]",
        "[1.2.3.4]",
        "[::1].",
        "[::1]x",
        "[[::1]]",
        "a" * 262,
    ],
)
def test_what_is_not_one_host_is_refused(authority: str) -> None:
    with pytest.raises(AccessDenied) as refused:
        Host.parse(authority)
    assert refused.value.reason is DenyReason.BAD_HOST


def test_a_header_may_have_several_values() -> None:
    request = HttpRequest("GET", "h", "/", (("a", "1"), ("b", "2"), ("a", "3")))
    assert request.header_values("a") == ["1", "3"]
    assert request.header_values("c") == []


@pytest.mark.parametrize("character", ["\x00", "\t", "\n", "\r", "\x1f", "\x7f", "\x80", "\x9f"])
def test_control_characters_are_found_anywhere(character: str) -> None:
    assert has_control_character(f"a{character}b")


def test_no_other_character_is_a_control_character() -> None:
    assert not has_control_character(" ~é\u200b\u2028\ufeff\ud800😀")


def test_a_request_does_not_show_its_headers_or_its_query() -> None:
    request = HttpRequest("GET", "a.example", "/?secret-1", (("authorization", "Bearer secret-2"),))
    assert "secret" not in repr(request)


@pytest.mark.parametrize("length", [8191, 8192, 8193, 8194, 70_000])
@pytest.mark.parametrize("end", ["", "/", "/..", "/.", "?", "?/..", "%41", "\n", "/a"])
def test_a_long_path_is_read_as_any_other_up_to_the_longest(length: int, end: str) -> None:
    target = "/a" * 2048 + "/" + "b" * (length - 4097 - len(end)) + end
    assert len(target) == length
    raw_path = target.partition("?")[0]
    if len(raw_path) > 8192 or end in {"/..", "/.", "\n"}:
        with pytest.raises(AccessDenied) as refused:
            RequestPath.parse(target)
        assert refused.value.reason is DenyReason.AMBIGUOUS_PATH
    else:
        assert RequestPath.parse(target) == RequestPath._parse_unusual(raw_path)
