"""JSON objects for security decisions: RFC 8259, and nothing that two parsers read differently."""

from __future__ import annotations

import json
import math
import re
from typing import Final

JsonObject = dict[str, "JsonValue"]
JsonValue = None | bool | int | float | str | list["JsonValue"] | JsonObject

MAX_DEPTH: Final = 16

_WHITESPACE: Final = " \t\n\r"  # RFC 8259, section 2, where `str.strip` has more

# A string that does not end runs to the end of the text, so that the search stays linear.
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS: Final = re.compile(r"[\[\]{}]")
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class NotStrictJson(ValueError):  # noqa: N818 - it names what the bytes are
    """The bytes are not one JSON object that every parser reads the same way."""


def parse_object(document: bytes) -> JsonObject:
    """Read *document* as one JSON object.

    Refused, besides what is not JSON in UTF-8: a member name that occurs twice in one object
    (RFC 8259, section 4: receivers differ in which one they take), NaN and the infinities, `1e400`
    among them, lone surrogates, nesting deeper than `MAX_DEPTH`.

    Raises NotStrictJson.
    """
    try:
        text = document.decode("utf-8")
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _refuse_deep_nesting(text)
        text = text.strip(_WHITESPACE)
        value, end = _DECODER.raw_decode(text)
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise NotStrictJson from error
    if end != len(text) or not isinstance(value, dict):
        raise NotStrictJson
    if "\\" in text and _SURROGATE_ESCAPE.search(text):
        _refuse_lone_surrogates(value)
    return value


def _refuse_deep_nesting(text: str) -> None:
    """Refuse before parsing: the parser recurses, and an attacker chooses how deep."""
    depth = 0
    for bracket in _BRACKETS.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise NotStrictJson


def _refuse_lone_surrogates(value: JsonValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotStrictJson from error


def _object_without_duplicates(members: list[tuple[str, JsonValue]]) -> JsonObject:
    result = dict(members)
    if len(result) != len(members):
        raise NotStrictJson
    return result


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise NotStrictJson
    return value


def _refuse_constant(_literal: str) -> float:
    raise NotStrictJson


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_float=_finite,
    parse_constant=_refuse_constant,
)
