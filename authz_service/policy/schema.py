"""The shape of a policy file, one model for each kind of mapping in it.

Only what can be said of one value alone is checked here. What a value means beside others, such as
a name that must exist, is the compiler's.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationInfo,
    field_validator,
    model_validator,
)

from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.claims import ClaimReference
from authz_service.core.conditions import ExpectedValue
from authz_service.core.hosts import ANY_HOST, HostPattern
from authz_service.core.policy import is_method
from authz_service.core.routes import PathPattern
from authz_service.core.templates import Template
from authz_service.policy.duration import parse_duration
from authz_service.policy.presets import PRESETS
from authz_service.policy.when import WhenExpression

if TYPE_CHECKING:
    from collections.abc import Callable

_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'+.^_`|~-]+", re.ASCII)
_NAME: Final = re.compile(r"[ -~]{1,200}", re.ASCII)

# Fields that routing, framing or Envoy itself live by: a claim must not end up in one.
RESERVED_HEADERS: Final = frozenset({
    "authorization", "connection", "content-length", "content-type", "cookie", "expect", "host",
    "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade", "x-request-id",
})  # fmt: skip
RESERVED_BEGINNINGS: Final = ("x-envoy-", "x-forwarded-")


def _scope(text: str) -> str:
    if len(several := text.split()) > 1:
        message = f"these are {len(several)} scopes: write [{', '.join(several)}]"
        raise ValueError(message)
    if not _SCOPE_TOKEN.fullmatch(text):
        message = 'a scope is printable ASCII without a space, " or \\ (RFC 6749, section 3.3)'
        raise ValueError(message)
    return text


def _method(text: str) -> str:
    if text == "*" or is_method(text):
        return text
    message = f"write {text.upper()}" if is_method(text.upper()) else "not an HTTP method"
    raise ValueError(message)


def _header_name(text: str) -> str:
    if text != text.lower():
        message = f"write {text.lower()}: header names are in lower case here"
        raise ValueError(message)
    if not _HEADER_NAME.fullmatch(text):
        message = "not the name of an HTTP header (RFC 9110, section 5.1)"
        raise ValueError(message)
    if text in RESERVED_HEADERS or text.startswith(RESERVED_BEGINNINGS):
        message = "this header has a meaning of its own: choose another name"
        raise ValueError(message)
    return text


def _strip_pattern(text: str) -> str:
    name = text.removesuffix("*")
    if name == "":
        message = "write a name, or the beginning of names and a final *"
        raise ValueError(message)
    if text == "authorization":
        message = "write authorization: remove instead"
        raise ValueError(message)
    _header_name(name)
    if text != name and any(
        reserved.startswith(name) for reserved in (*RESERVED_HEADERS, *RESERVED_BEGINNINGS)
    ):
        message = "this would remove headers that have a meaning of their own"
        raise ValueError(message)
    return text


def _algorithm(text: str) -> str:
    if text in ALGORITHMS:
        return text
    if text.lower() == "none" or text.startswith("HS"):
        message = "never accepted: everybody could make such a token"
        raise ValueError(message)
    message = f"not one of {', '.join(ALGORITHMS)}"
    raise ValueError(message)


def _preset(text: str) -> str:
    if text not in PRESETS:
        near = difflib.get_close_matches(text, PRESETS, n=1)
        message = f'did you mean "{near[0]}"?' if near else f"not one of {', '.join(PRESETS)}"
        raise ValueError(message)
    return text


def is_name(text: str) -> bool:
    """Whether *text* can stand in logs, metrics and a challenge's realm."""
    return _NAME.fullmatch(text) is not None


def _name(text: str) -> str:
    if not is_name(text):
        message = "a name is up to 200 characters of printable ASCII"
        raise ValueError(message)
    return text


def _version(value: object) -> object:
    if value != 1 or isinstance(value, bool | float):
        message = "write 1"
        raise ValueError(message)
    return value


def _issuer(text: str) -> str:
    if not is_name(text):
        message = "an issuer is up to 200 characters of printable ASCII"
        raise ValueError(message)
    return text


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _parsed_duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    message = "write a number and a unit: 500ms, 10s, 5m, 24h, 1d"
    raise ValueError(message)


def _requirement(value: object) -> object:
    """Bring the forms of a requirement to one: `public` and a list of scopes are short ones."""
    if value == "public":
        return {"public": True}
    if isinstance(value, list):
        return {"scopes": value}
    if isinstance(value, dict) and "public" not in value:
        return value
    message = "write public, a list of scopes, or a mapping such as {any_scope: [a, b]}"
    raise ValueError(message)


def _claim_value(value: object) -> object:
    """Bring the forms of what a claim must be to one: a bare value is the only one of its kind."""
    if isinstance(value, str | bool | int | float):
        return {"any_of": [value]}
    if (
        isinstance(value, dict)
        and list(value.values()) == [None]
        and not {"any_of", "present"} & set(value)
    ):
        message = f'put it in quotes: "{{{next(iter(value))}}}"'
        raise ValueError(message)
    if isinstance(value, dict):
        return value
    message = "write a string, a number, a boolean, {any_of: [...]} or {present: true}"
    raise ValueError(message)


def _expected_value(value: object) -> object:
    if isinstance(value, str):
        return Template.parse(value)
    if isinstance(value, bool | int | float):
        return value
    message = "write a string, a number or a boolean"
    raise ValueError(message)


def _text(parse: Callable[[str], object]) -> BeforeValidator:
    """Make a value of its own of a string."""

    def parse_text(value: object) -> object:
        if isinstance(value, str) and value:
            return parse(value)
        message = "write a string that is not empty"
        if not isinstance(value, str):
            message = "write a string (in quotes, where it looks like a number)"
        raise ValueError(message)

    return BeforeValidator(parse_text)


Identifier = Annotated[str, AfterValidator(_issuer)]
Name = Annotated[str, AfterValidator(_name)]
Scope = Annotated[str, AfterValidator(_scope)]
Method = Annotated[str, AfterValidator(_method)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
StripPattern = Annotated[str, AfterValidator(_strip_pattern)]
Algorithm = Annotated[str, AfterValidator(_algorithm)]
PresetName = Annotated[str, AfterValidator(_preset)]
Version = Annotated[int, BeforeValidator(_version)]
NonEmpty = Annotated[str, Field(min_length=1)]
Duration = Annotated[float, BeforeValidator(_parsed_duration)]
PositiveDuration = Annotated[Duration, Field(gt=0)]
TextTemplate = Annotated[Template, _text(Template.parse)]
Audiences = Annotated[list[TextTemplate], BeforeValidator(_as_list), Field(min_length=1)]
Path = Annotated[PathPattern, _text(PathPattern.parse)]
Host = Annotated[HostPattern, _text(HostPattern.parse)]
Claim = Annotated[ClaimReference, _text(ClaimReference.parse)]
Claims = Annotated[list[Claim], BeforeValidator(_as_list), Field(min_length=1)]
ExpectedClaim = Annotated[ExpectedValue, BeforeValidator(_expected_value)]
When = Annotated[InstanceOf[WhenExpression], _text(WhenExpression.parse)]
Mode = Literal["enforce", "audit"]


class _Mapping(BaseModel):
    """A mapping of a file: no field but the named ones, each in its type, none left empty."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: object, info: ValidationInfo) -> object:
        """What was left empty may have been meant to restrict something, so it is no default."""
        field = cls.model_fields[info.field_name or ""]
        if value is None and field.default is None and info.field_name != "claims_header":
            message = "left empty: write a value, or remove it"
            raise ValueError(message)
        return value


StrictMapping = _Mapping
"""The same for other kinds of file."""


class RefreshFields(_Mapping):
    """`refresh` of an issuer."""

    interval: PositiveDuration = 300.0
    cooldown: PositiveDuration = 10.0
    timeout: PositiveDuration = 5.0
    max_stale: PositiveDuration = 86400.0

    @model_validator(mode="after")
    def _outlast_the_interval(self) -> Self:
        if self.max_stale < self.interval:
            message = (
                "max_stale must be at least the interval, or keys go stale between two fetches"
            )
            raise ValueError(message)
        return self


class IssuerFields(_Mapping):
    """An entry of `issuers`."""

    issuer: Annotated[list[Identifier], BeforeValidator(_as_list), Field(min_length=1)]
    name: Name | None = None
    preset: PresetName = "rfc9068"
    jwks_uri: str | None = None
    jwks_file: NonEmpty | None = None
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] | None = None
    token_types: Annotated[list[NonEmpty], Field(min_length=1)] | None = None
    required_claims: list[NonEmpty] | None = None
    scope_claim: Claims | None = None
    client_id_claim: Claims | None = None
    leeway: Duration = 10.0
    max_token_lifetime: PositiveDuration | None = None
    refresh: RefreshFields = RefreshFields()
    allow_http: bool = False
    required: bool = True


class ClaimValueFields(_Mapping):
    """What one claim must be."""

    any_of: Annotated[list[ExpectedClaim], Field(min_length=1)] | None = None
    present: Literal[True] | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.any_of is None) == (self.present is None):
            message = "write either any_of or present: true"
            raise ValueError(message)
        return self


class RequirementFields(_Mapping):
    """The value of a method."""

    public: bool = False
    scopes: list[Scope] = []
    any_scope: Annotated[list[Scope], Field(min_length=1)] | None = None
    audience: Audiences | None = None
    claims: dict[Claim, Annotated[ClaimValueFields, BeforeValidator(_claim_value)]] = {}
    when: When | None = None
    optional: bool = False
    mode: Mode | None = None


class RouteFields(_Mapping):
    """An entry of `routes`."""

    path: Path
    audience: Audiences | None = None
    methods: dict[Method, Annotated[RequirementFields, BeforeValidator(_requirement)]]
    mode: Mode | None = None


class ResourceFields(_Mapping):
    """An entry of `resources`."""

    audience: Audiences
    name: Name | None = None
    issuers: Annotated[list[str], Field(min_length=1)] | None = None
    hosts: Annotated[list[Host], Field(min_length=1)] = [ANY_HOST]
    routes: list[RouteFields] = []
    encoded_slash: Literal["refuse", "keep"] = "refuse"
    path_parameters: Literal["refuse", "keep"] = "refuse"
    cors_preflight: Literal["refuse", "allow"] = "refuse"
    mode: Mode | None = None


class ForwardFields(_Mapping):
    """`forward`. A field that is left out has the default of `core.forward.ForwardRules`."""

    headers: dict[HeaderName, Claim] | None = None
    authorization: Literal["keep", "remove"] = "keep"
    strip: list[StripPattern] | None = None
    claims_header: HeaderName | None = None


class PolicyFields(_Mapping):
    """A whole policy file."""

    version: Version
    issuers: list[IssuerFields] = []
    resources: list[ResourceFields] = []
    forward: ForwardFields | None = None
    mode: Mode = "enforce"
