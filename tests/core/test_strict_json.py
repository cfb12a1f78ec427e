"""Only what every parser reads the same way is read at all."""

from __future__ import annotations

import pytest

from authz_service.core.strict_json import MAX_DEPTH, NotStrictJson, parse_object


@pytest.mark.parametrize(
    ("document", "members"),
    [
        (b"{}", {}),
        (b' \t\r\n{ "a" : 1 } \n', {"a": 1}),
        (b'{"a":null,"b":true,"c":false}', {"a": None, "b": True, "c": False}),
        (b'{"a":-0,"b":1.5e3,"c":1E2,"d":-1}', {"a": 0, "b": 1500.0, "c": 100.0, "d": -1}),
        (b'{"a":{"a":{"a":[]}}}', {"a": {"a": {"a": []}}}),
        (b'{"a":{"x":1},"b":{"x":1}}', {"a": {"x": 1}, "b": {"x": 1}}),
        (b'{"a":"","A":""}', {"a": "", "A": ""}),
        (b'{"":1}', {"": 1}),
        (rb'{"\u0061":"\ud83d\ude00\n\/\\"}', {"a": "😀\n/\\"}),
        (rb'{"a":"\\ud800"}', {"a": r"\ud800"}),
        ('{"é":"😀\u2028"}'.encode(), {"é": "😀\u2028"}),
        (b'{"a":1e308}', {"a": 1e308}),
        (b'{"a":1e-400}', {"a": 0.0}),
        (b'{"a":"\\u0000"}', {"a": "\x00"}),
    ],
)
def test_json_is_read(document: bytes, members: dict[str, object]) -> None:
    assert parse_object(document) == members


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b" ",
        b"null",
        b"1",
        b'"{}"',
        b"[]",
        b"[{}]",
        b"{",
        b"}",
        b"{}}",
        b"{} {}",
        b"{}x",
        b"\xef\xbb\xbf{}",
        b"{}\x00",
        b"\x0c{}",
        b"{}\x0c",
        b"{}\x0b",
        b"{}\x1f",
        b"\xc2\x85{}",
        b"{}\xc2\xa0",
        b"{}\xe2\x80\xa8",
        b"{a:1}",
        b"{'a':1}",
        b'{"a"}',
        b'{"a":}',
        b'{"a":1,}',
        b'{,"a":1}',
        b'{"a":[1,]}',
        b'{"a":1 "b":2}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":1.}',
        b'{"a":0x1}',
        b'{"a":1_000}',
        b'{"a":True}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e309}',
        b'{"a":-1e309}',
        b'{"a":' + b"1" * 5000 + b"}",
        b'{"a":"\n"}',
        b'{"a":"\x00"}',
        b'{"a":"\\x"}',
        b'{"a":"\\u12"}',
        b'{"a":"\\u 123"}',
        b'{"a":"',
        b'{"a":"\\',
        b'{"a":"\\"}',
        b'{"a":"\xff"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{/**/"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a":1,"\\u0061":1}',
        b'{"x":{"a":1,"a":2}}',
        b'{"x":[[{"a":1,"a":2}]]}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udfff"}',
        b'{"a":"\\uDBFF"}',
        b'{"a":"\\ud800\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"a":"\\ud800x\\udc00"}',
        b'{"\\ud800":1}',
        b'{"x":[{"\\udc00":1}]}',
    ],
)
def test_what_parsers_read_differently_is_refused(document: bytes) -> None:
    with pytest.raises(NotStrictJson):
        parse_object(document)


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """Write an object *depth* deep, itself the first level."""
    return b'{"a":' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_read_up_to_the_limit(opening: bytes, closing: bytes) -> None:
    assert parse_object(nested(MAX_DEPTH, opening, closing)).keys() == {"a"}
    with pytest.raises(NotStrictJson):
        parse_object(nested(MAX_DEPTH + 1, opening, closing))


def test_many_arrays_beside_each_other_are_not_deep() -> None:
    document = b'{"a":[' + b",".join([b"[{}]"] * 1000) + b"]}"
    assert parse_object(document) == {"a": [[{}]] * 1000}


@pytest.mark.parametrize(
    "text", [b"[" * 100, b"{" * 100, b'\\"' + b"[" * 100, b"\\\\", b'\\\\\\"[' * 40, b"]" * 100]
)
def test_brackets_in_strings_are_not_nesting(text: bytes) -> None:
    assert parse_object(b'{"a":"' + text + b'","b":[[]]}')["b"] == [[]]
    assert parse_object(b'{"' + text + b'":' + b"[" * 15 + b"]" * 15 + b"}")
    with pytest.raises(NotStrictJson):
        parse_object(b'{"' + text + b'":' + b"[" * 16 + b"]" * 16 + b"}")


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":' + b"[" * 500_000,
        b'{"a":' * 200_000,
        b'"' * 500_001,
        b'"\\' * 300_000,
        b"\\" * 500_000 + b"[" * 20,
        b'"' + b"\\" * 500_001,
        b"[" * 17 + b'"' + b'\\"' * 300_000,
        b'{"a":"' + b'\\u005c"[' * 60_000,
        b"]" * 300_000 + b"[" * 300_000,
        b'{"a":"' + b"\\ud800" * 100_000 + b'"}',
        b'{"a":' + b"9" * 500_000 + b"}",
        b'{"a":0.' + b"9" * 500_000 + b"e-}",
        b" " * 500_000,
        b"{" + b" " * 500_000,
    ],
)
def test_hostile_input_of_half_a_megabyte_is_refused(document: bytes) -> None:
    # A search that is not linear would not end within the time limit of a test.
    with pytest.raises(NotStrictJson):
        parse_object(document)


def test_the_refusal_is_a_value_error() -> None:
    assert issubclass(NotStrictJson, ValueError)
