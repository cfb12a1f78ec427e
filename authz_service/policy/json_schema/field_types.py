"""What an editor may take for a value of each type of `policy.schema`, as JSON Schema.

An editor sees `${NAME}` before it is replaced, so any string that has one is taken. Patterns are in
the part of ECMA-262 that Python has too, and never refuse what the loader accepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from authz_service.core.algorithms import ALGORITHMS
from authz_service.policy import schema
from authz_service.policy.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterable

JsonSchema = dict[str, Any]

_REFERENCE: Final = r"\$\{"


@dataclass(frozen=True, slots=True)
class Text:
    """Strings that match *pattern* from end to end; *advice* says what to write instead."""

    pattern: str
    advice: str

    def value(self) -> JsonSchema:
        """A string, or one with `${NAME}` in it."""
        return self._schema(rf"^(?:{self.pattern})$|{_REFERENCE}")

    def key(self) -> JsonSchema:
        """A key, in which nothing is replaced."""
        return self._schema(rf"^(?:{self.pattern})$")

    def _schema(self, pattern: str) -> JsonSchema:
        # The last is a keyword of editors' own, shown in the place of "does not match the pattern".
        return {"type": "string", "pattern": pattern, "patternErrorMessage": self.advice}


def one_of(values: Iterable[str]) -> JsonSchema:
    """One of *values*, or a string with `${NAME}` in it."""
    return {
        "anyOf": [
            {"type": "string", "enum": list(values)},
            {"type": "string", "pattern": _REFERENCE},
        ]
    }


_ANYTHING: Final = r"[\s\S]"
_VARIABLE: Final = r"\{[A-Za-z_][A-Za-z0-9_]*\}"
_REST: Final = r"\{[A-Za-z_][A-Za-z0-9_]*=\*\*\}|\*\*"
_NOT_LITERAL: Final = r"(?!(?:\.\.?|[:$][A-Za-z_][A-Za-z0-9_]*)(?:/|$))"
_LITERAL: Final = _NOT_LITERAL + r'(?:[^/{}*?#;\\<>\[\]|^"`%]|%[0-9A-Fa-f]{2})+'
_HEADER: Final = r"[a-z0-9!#$%&'+.^_`|~-]+"
_RESERVED: Final = "(?!(?:{})$|{})".format(
    "|".join(sorted(schema.RESERVED_HEADERS)), "|".join(schema.RESERVED_BEGINNINGS)
)
_DURATION: Final = r"[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d)"
_DURATION_ADVICE: Final = "write a number and a unit: 500ms, 10s, 5m, 24h, 1d"

_HEADER_NAME: Final = Text(
    _RESERVED + _HEADER, "write a header's name in lower case that has no meaning of its own"
)
_TEMPLATE: Final = rf"(?:[^{{}}]|{_VARIABLE})"
_TEMPLATE_ADVICE: Final = "write a string; a brace must be part of a variable such as {id}"
_EXPECTED_TEXT: Final = Text(rf"{_TEMPLATE}*", _TEMPLATE_ADVICE)
_CLAIM: Final = Text(
    rf"[^/]{_ANYTHING}*|/(?:[^~]|~[01])*", "write a claim's name, or a JSON Pointer to it"
)

TEXTS: Final[tuple[tuple[object, Text], ...]] = (
    (schema.Identifier, Text("[ -~]{1,200}", "write up to 200 characters of printable ASCII")),
    (schema.Name, Text("[ -~]{1,200}", "write up to 200 characters of printable ASCII")),
    (schema.Scope, Text(
        r"[!#-\[\]-~]+", 'write one scope: printable ASCII without a space, " or \\'
    )),
    (schema.Method, Text(r"\*|[A-Z][A-Z0-9_-]*", "write an HTTP method in upper case, or *")),
    (schema.HeaderName, _HEADER_NAME),
    (schema.StripPattern, Text(
        rf"{_RESERVED}{_HEADER}\*?", "write a header's name in lower case; it may end in *"
    )),
    (schema.NonEmpty, Text(rf"{_ANYTHING}+", "write a string that is not empty")),
    (schema.Duration, Text(_DURATION, _DURATION_ADVICE)),
    (schema.PositiveDuration, Text(
        rf"(?=[0.]*[1-9]){_DURATION}", f"{_DURATION_ADVICE}, above zero"
    )),
    (schema.TextTemplate, Text(rf"{_TEMPLATE}+", _TEMPLATE_ADVICE)),
    (schema.Path, Text(
        rf"/|(?=/)(?:/(?:\*|{_VARIABLE}|{_LITERAL}))*(?:/(?:{_REST}))?",
        "write a path such as /products, /products/{id} or /files/**",
    )),
    (schema.Host, Text(
        r"\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]",
        "write a host in lower case without a port: shop.example.com, *.example.com, or *",
    )),
    (schema.Claim, _CLAIM),
    (schema.When, Text(rf"{_ANYTHING}+", "write a CEL expression")),
)  # fmt: skip
"""The types of strings that have a form."""

VALUES: Final[tuple[tuple[object, JsonSchema], ...]] = (
    (schema.Version, {"const": 1}),
    (schema.Algorithm, one_of(ALGORITHMS)),
    (schema.PresetName, one_of(PRESETS)),
    (schema.ExpectedClaim, {"anyOf": [_EXPECTED_TEXT.value(), {"type": ["number", "boolean"]}]}),
    (str, {"type": "string"}),
    (bool, {"type": "boolean"}),
)
"""The other types that are no mappings and no lists."""

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "*")
"""The methods that an editor offers (RFC 9110, section 9; RFC 5789)."""
