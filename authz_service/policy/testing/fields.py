"""The shape of a file of tests, one model for each kind of mapping in it.

What a value means beside others, such as a token that must have been named, is for `cases`.
"""

from __future__ import annotations

import datetime as dt
import difflib
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from authz_service.core.answers import ANSWERS
from authz_service.core.decision import DenyReason
from authz_service.policy.schema import NonEmpty, StrictMapping
from authz_service.policy.testing.requests import HEADER_NAME, RequestLine

NO_TOKEN: Final = "none"  # noqa: S105 - it says that there is none
_DECISIONS: Final = ("allow", "deny")
_REASONS: Final = tuple(reason.value for reason in DenyReason)
_STATUSES: Final = sorted({200} | {answer.http_status for answer in ANSWERS.values()})
_A_TOKEN: Final = "write the name of a token, none, or a mapping such as {claims: {scope: a}}"  # noqa: S105 - a sentence
_AN_EXPECTATION: Final = "write allow, deny, a reason, or a mapping such as {status: 403}"


def _token(value: object) -> object:
    """Bring the forms of a token to one: a name is a token like that one."""
    if isinstance(value, str) and value:
        return {"like": value}
    if isinstance(value, dict):
        return value
    raise ValueError(_A_TOKEN)


def _reason(value: object) -> object:
    if value in _REASONS:
        return value
    near = difflib.get_close_matches(str(value), (*_REASONS, *_DECISIONS), n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"write one of {', '.join(_REASONS)}"
    message = f'there is no reason "{value}": {hint}'
    raise ValueError(message)


def _expectation(value: object) -> object:
    """Bring the forms of what is expected to one: a decision and a reason are short ones."""
    if value in _DECISIONS:
        return {"decision": value}
    if isinstance(value, str):
        return {"reason": _reason(value)}
    if isinstance(value, dict) and value:
        return value
    raise ValueError(_AN_EXPECTATION)


def _status(value: object) -> object:
    if isinstance(value, int) and value in _STATUSES:
        return value
    message = f"write one of {', '.join(str(status) for status in _STATUSES)}"
    raise ValueError(message)


def _header(name: str, value: object) -> str:
    if not HEADER_NAME.fullmatch(name):
        message = f'"{name}" is not the name of an HTTP header in lower case'
        raise ValueError(message)
    if name == "host":
        message = "write the host into the URL, or into the field host"
        raise ValueError(message)
    if not isinstance(value, str):
        message = f"{name}: write a string (in quotes, where it looks like a number)"
        raise ValueError(message)  # noqa: TRY004 - pydantic asks for it
    return value


def _headers(value: object) -> object:
    """Give each header a list of values: one that occurs once is written without."""
    if not isinstance(value, dict):
        return value
    return {
        name: [_header(name, item) for item in (values if isinstance(values, list) else [values])]
        for name, values in value.items()
    }


def _upstream(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {name: None if item is None else _header(name, item) for name, item in value.items()}


def _now(value: object) -> object:
    """Read a moment as seconds since the epoch: a NumericDate, or RFC 3339 with its offset."""
    message = "write a time with its offset, such as 2026-01-01T00:00:00Z"
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise ValueError(message)  # noqa: TRY004 - as above
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(message) from None
    if moment.tzinfo is None:
        raise ValueError(message)
    return moment.timestamp()


def _request_line(value: object) -> object:
    if isinstance(value, str):
        return RequestLine.parse(value)
    message = "write a method and a URL: GET /products"
    raise ValueError(message)


def _row(value: object) -> object:
    """Bring the forms of a request in a table to one: `GET /products: allow` is a short one."""
    if (request := short_form(value)) is not None:
        return {"request": request, "expect": value[request]}  # type: ignore[index]
    if isinstance(value, dict) and any(" " in name for name in value):
        message = "write one request in each row, as in - GET /products: allow"
        raise ValueError(message)
    return value


def short_form(row: object) -> str | None:
    """The request, where *row* is nothing but that and what is expected of it."""
    match row:
        case dict() if (
            len(row) == 1 and (name := next(iter(row))) not in RequestFields.model_fields
        ):
            return str(name)
        case _:
            return None


def _file_name(text: str) -> str:
    if "\0" in text:
        message = "no file has a NUL in its name"
        raise ValueError(message)
    return text


def _one_or_several(value: object) -> object:
    return value if isinstance(value, list) else [value]


Request = Annotated[RequestLine, BeforeValidator(_request_line)]
FileName = Annotated[NonEmpty, AfterValidator(_file_name)]
Headers = Annotated[dict[str, list[str]], BeforeValidator(_headers)]


class TokenFields(StrictMapping):
    """A token: what is different from one that fits its issuer."""

    like: NonEmpty | None = None
    issuer: NonEmpty | None = None
    header: dict[str, Any] = Field(default_factory=dict)
    claims: dict[str, Any] = Field(default_factory=dict)
    without: list[NonEmpty] = Field(default_factory=list)
    without_header: list[NonEmpty] = Field(default_factory=list)
    forged: bool = False
    raw: NonEmpty | None = None

    @property
    def says_more(self) -> bool:
        """Whether this is not just another name for the token that it is like."""
        return not self.model_fields_set.isdisjoint(_MORE_THAN_LIKE)

    @model_validator(mode="after")
    def _raw_alone(self) -> Self:
        others = self.model_fields_set & (_MORE_THAN_LIKE | {"like"}) - {"raw"}
        if self.raw is not None and others:
            message = "a raw token is sent as it is: nothing else can be said of it"
            raise ValueError(message)
        if self.like == NO_TOKEN and self.says_more:
            message = "there is no token to be like: leave like out"
            raise ValueError(message)
        return self


_MORE_THAN_LIKE: Final = frozenset(TokenFields.model_fields) - {"like"}

Token = Annotated[TokenFields, BeforeValidator(_token)]


class ExpectedFields(StrictMapping):
    """What is expected; only what is given is compared."""

    decision: Literal["allow", "deny"] | None = None
    reason: Annotated[str, BeforeValidator(_reason)] | None = None
    mode: Literal["audit"] | None = None
    status: Annotated[int, BeforeValidator(_status)] | None = None
    resource: NonEmpty | None = None
    route: NonEmpty | None = None
    upstream: Annotated[dict[str, str | None], BeforeValidator(_upstream)] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.upstream and self.model_fields_set <= {"upstream"}:
            message = "nothing is expected here: write allow, deny, a reason, or some header"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.decision == "allow" and self.reason is not None:
            message = "a reason is one to deny: write decision: deny, or leave one of them out"
            raise ValueError(message)
        return self


Expected = Annotated[ExpectedFields, BeforeValidator(_expectation)]


class RequestFields(StrictMapping):
    """An entry of `requests`."""

    request: Request
    expect: Expected
    name: NonEmpty | None = None
    headers: Headers = Field(default_factory=dict)


class TokenRowFields(TokenFields):
    """An entry of `tokens` of a test: a token by its name, or a new one."""

    expect: Expected
    name: NonEmpty | None = None
    token: Token | None = None

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        new = self.model_fields_set - {"expect", "name", "token"}
        if (self.token is None) == (not new):
            message = "write either token: with a name or none, or a new one with claims:"
            raise ValueError(message)
        return self

    @property
    def of_row(self) -> TokenFields:
        """The token, whichever way it is given."""
        return self if self.token is None else self.token


class CaseFields(StrictMapping):
    """An entry of `tests`: one request with one token, or a table of either."""

    name: NonEmpty | None = None
    host: NonEmpty | None = None
    headers: Headers = Field(default_factory=dict)
    request: Request | None = None
    requests: (
        Annotated[list[Annotated[RequestFields, BeforeValidator(_row)]], Field(min_length=1)] | None
    ) = None
    token: Token | None = None
    tokens: Annotated[list[TokenRowFields], Field(min_length=1)] | None = None
    expect: Expected | None = None

    @model_validator(mode="after")
    def _one_table(self) -> Self:
        if (self.request is None) == (self.requests is None):
            message = "write either request: or a table requests:"
            raise ValueError(message)
        if self.requests is not None and self.tokens is not None:
            message = "write one table: requests with one token, or tokens with one request"
            raise ValueError(message)
        if self.token is not None and self.tokens is not None:
            message = "write either token: or a table tokens:"
            raise ValueError(message)
        rows = self.requests is not None or self.tokens is not None
        if rows == (self.expect is not None):
            message = "each row has its own expect" if rows else "write what to expect: allow"
            raise ValueError(message)
        return self


class FileFields(StrictMapping):
    """A whole file of tests."""

    model_config = ConfigDict(title="the file")

    policy: (
        Annotated[list[FileName], BeforeValidator(_one_or_several), Field(min_length=1)] | None
    ) = None
    now: Annotated[float, BeforeValidator(_now)] | None = None
    host: NonEmpty = "localhost"
    tokens: dict[str, TokenFields] = Field(default_factory=dict)
    tests: Annotated[list[CaseFields], Field(min_length=1)]
