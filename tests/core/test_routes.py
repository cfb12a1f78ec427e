"""Path patterns are read strictly, and the most specific one is found."""

from __future__ import annotations

import pytest

from authz_service.core.request import RequestPath
from authz_service.core.routes import (
    MAX_SEGMENTS,
    Literal,
    OneSegment,
    PathPattern,
    Rest,
    RouteIndex,
)


def index_of(*patterns: str) -> RouteIndex[str]:
    index: RouteIndex[str] = RouteIndex()
    for text in patterns:
        assert index.add(PathPattern.parse(text), text) == text
    return index


def found(index: RouteIndex[str], target: str) -> str | None:
    return index.find(RequestPath.parse(target).segments)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("/", ()),
        ("/products", (Literal("products"),)),
        ("/products/{id}", (Literal("products"), OneSegment("id"))),
        ("/products/*", (Literal("products"), OneSegment(None))),
        ("/files/**", (Literal("files"), Rest(None))),
        ("/files/{rest=**}", (Literal("files"), Rest("rest"))),
        ("/**", (Rest(None),)),
        ("/caf%C3%A9", (Literal("café"),)),
        ("/café", (Literal("café"),)),
        ("/a%20b", (Literal("a b"),)),
        ("/{_a1}/{B}", (OneSegment("_a1"), OneSegment("B"))),
    ],
)
def test_a_pattern_is_read(text: str, segments: tuple[object, ...]) -> None:
    pattern = PathPattern.parse(text)
    assert pattern.segments == segments
    assert pattern.text == text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "starts with /"),
        ("products", "starts with /"),
        ("**", "starts with /"),
        ("/products/", "write /products: it matches a trailing / as well"),
        ("//", "write /: it matches a trailing / as well"),
        ("/a//b", "no empty segment"),
        ("/a" * (MAX_SEGMENTS + 1), "at most 64 segments"),
        ("/**/a", "can only be the last"),
        ("/{rest=**}/a", "can only be the last"),
        ("/{a}/{a}", "the same name"),
        ("/{a}/{a=**}", "the same name"),
        ("/{}", "and nothing beside it"),
        ("/{1a}", "and nothing beside it"),
        ("/{a-b}", "and nothing beside it"),
        ("/{ä}", "and nothing beside it"),
        ("/{a=*}", "and nothing beside it"),
        ("/{a", "and nothing beside it"),
        ("/a}", "and nothing beside it"),
        ("/x{a}", "and nothing beside it"),
        ("/{a}.json", "and nothing beside it"),
        ("/a*", "and nothing beside it"),
        ("/***", "and nothing beside it"),
        ("/a?b", "a path has no query"),
        ("/a#b", "and nothing beside it"),
        ("/a;b", "and nothing beside it"),
        ("/a\\b", "and nothing beside it"),
        ("/%", "two hexadecimal digits"),
        ("/%2g", "two hexadecimal digits"),
        ("/.", "ambiguous"),
        ("/..", "ambiguous"),
        ("/%2e%2E", "ambiguous"),
        ("/a%2Fb", "ambiguous"),
        ("/%5c", "ambiguous"),
        ("/%25", "ambiguous"),
        ("/%00", "ambiguous"),
        ("/a\nb", "ambiguous"),
        ("/..%3Bx", "ambiguous"),
        ("/%ff", "not UTF-8"),
        ("/:id", r"write \{id\}"),
        ("/<id>", "escape"),
        ("/[0-9]+", "escape"),
        ("/$id", r"write \{id\}"),
        ("/a?x=1", "a path has no query"),
    ],
)
def test_a_pattern_that_is_none_is_refused_with_what_to_write(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        PathPattern.parse(text)


def test_a_pattern_has_as_many_segments_as_the_limit_and_is_found() -> None:
    text = "/a" * MAX_SEGMENTS
    assert found(index_of(text), text) == text
    assert found(index_of(text, "/**"), text + "/a" * 2_000) == "/**"


@pytest.mark.parametrize(
    ("target", "pattern"),
    [
        ("/", None),
        ("/products", "/products"),
        ("/products/", "/products"),
        ("/products/1", "/products/{id}"),
        ("/products/new", "/products/new"),
        ("/products/1/reviews", "/products/*/reviews"),
        ("/products/new/reviews", "/products/*/reviews"),
        ("/products/new/photos", "/products/new/photos"),
        ("/products/1/photos", "/products/**"),
        ("/products/1/reviews/2", "/products/**"),
        ("/files", "/files/{rest=**}"),
        ("/files/", "/files/{rest=**}"),
        ("/files/a/b/c", "/files/{rest=**}"),
        ("/Products", None),
        ("/other", None),
    ],
)
def test_the_most_specific_pattern_is_found_with_backtracking(
    target: str, pattern: str | None
) -> None:
    index = index_of(
        "/products/**",
        "/products/*/reviews",
        "/products",
        "/files/{rest=**}",
        "/products/{id}",
        "/products/new",
        "/products/new/photos",
    )
    assert found(index, target) == pattern


def test_what_is_specific_further_left_counts_more() -> None:
    index = index_of("/*/b/c", "/a/**", "/a/*/d")
    assert found(index, "/a/b/c") == "/a/**"
    assert found(index, "/a/b/d") == "/a/*/d"
    assert found(index, "/x/b/c") == "/*/b/c"
    assert found(index, "/x/b/d") is None


def test_nothing_matches_in_an_empty_index() -> None:
    assert found(index_of(), "/") is None
    assert found(index_of(), "/a") is None


def test_the_rest_may_be_all_of_the_path() -> None:
    index = index_of("/**")
    assert found(index, "/") == "/**"
    assert found(index, "/a/b") == "/**"
    assert found(index_of("/**", "/"), "/") == "/"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a/{b}", "/a/{c}"),
        ("/a/{b}", "/a/*"),
        ("/a/**", "/a/{rest=**}"),
        ("/a", "/%61"),
        ("/", "/"),
    ],
)
def test_a_pattern_of_the_same_shape_gives_back_the_first(first: str, second: str) -> None:
    index = index_of(first)
    assert index.add(PathPattern.parse(second), "second") == first


@pytest.mark.parametrize(("first", "second"), [("/a/*", "/a/**"), ("/a", "/A"), ("/a", "/*")])
def test_patterns_of_different_shapes_both_have_their_place(first: str, second: str) -> None:
    assert index_of(first).add(PathPattern.parse(second), "second") == "second"


@pytest.mark.parametrize(
    ("pattern", "target", "values"),
    [
        ("/a", "/a", {}),
        ("/a/*", "/a/1", {}),
        ("/a/**", "/a/1", {}),
        ("/a/{b}", "/a/1", {"b": "1"}),
        ("/{a}/x/{b}", "/1/x/2", {"a": "1", "b": "2"}),
        ("/a/{b}", "/a/caf%C3%A9", {"b": "café"}),
        ("/a/{b}/{rest=**}", "/a/1/2/3", {"b": "1", "rest": "2/3"}),
        ("/a/{rest=**}", "/a", {"rest": ""}),
        ("/*/{rest=**}", "/a/b/", {"rest": "b"}),
    ],
)
def test_a_pattern_binds_its_variables(pattern: str, target: str, values: dict[str, str]) -> None:
    parsed = PathPattern.parse(pattern)
    assert parsed.bind(RequestPath.parse(target).segments) == values
    assert parsed.variables == values.keys()


def test_many_wildcards_do_not_make_a_lookup_explode() -> None:
    # Each node of the tree is visited once at most, so this ends although 2**20 ways lead nowhere.
    index = index_of(*("/a" * depth + "/*" * (20 - depth) + "/end" for depth in range(20)))
    assert found(index, "/a" * 20 + "/other") is None


def test_an_index_lists_every_route_once() -> None:
    patterns = ("/", "/a", "/a/{b}", "/a/**", "/{x}/y/*", "/**")
    listed = list(index_of(*patterns))
    assert sorted(listed) == sorted(patterns)
    assert list(index_of()) == []
