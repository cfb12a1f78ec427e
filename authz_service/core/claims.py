"""Claims of an access token (RFC 7519, RFC 9068): given their types, then held against a route."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_service.core.conditions import Condition, RequestAttributes
    from authz_service.core.jws import VerifiedPayload
    from authz_service.core.policy import Issuer, TokenRequirement
    from authz_service.core.strict_json import JsonObject, JsonValue
    from authz_service.core.verified import VerifiedToken


class AccessTokenClaims(NamedTuple):
    """A verified claims set with the claims that we judge by in their proper types.

    Times are NumericDates: seconds since the epoch (RFC 7519, section 2). *scopes* are in the
    token's order; *members* holds every claim as it was sent.
    """

    issuer: str
    audiences: tuple[str, ...]
    expires_at: float
    not_before: float | None
    issued_at: float | None
    subject: str | None
    client_id: str | None
    scopes: tuple[str, ...]
    members: JsonObject

    def __repr__(self) -> str:
        """Show what is judged by, and not every claim."""
        shown = zip(self._fields[:-1], self, strict=False)
        return f"AccessTokenClaims({', '.join(f'{name}={value!r}' for name, value in shown)})"

    @classmethod
    def parse(cls, payload: VerifiedPayload, issuer: Issuer) -> AccessTokenClaims:
        """Read the claims that *payload* must and may have by *issuer*'s profile.

        Raises AccessDenied: token_type_not_allowed for another token of the same issuer,
        missing_claim, or malformed_claim for a claim of the wrong type.
        """
        members = payload.members
        _refuse_other_tokens(members, issuer)
        _require(members, issuer)
        audiences = _audiences(members, issuer)
        _optional_string(members, "jti")
        return cls(  # by position, which takes half the time
            _string(members["iss"]),
            audiences,
            _numeric_date(members["exp"]),
            _optional_numeric_date(members, "nbf"),
            _optional_numeric_date(members, "iat"),
            _optional_string(members, "sub"),
            _client_id(members, issuer),
            _scopes(members, issuer),
            members,
        )


def _refuse_other_tokens(members: JsonObject, issuer: Issuer) -> None:
    """Refuse what its claims show to be an ID token, say. What is missing is told by `_require`."""
    for name, value in issuer.marks.values:
        if name in members and members[name] != value:
            raise AccessDenied(DenyReason.TOKEN_TYPE_NOT_ALLOWED)
    if not members.keys().isdisjoint(issuer.marks.never):
        raise AccessDenied(DenyReason.TOKEN_TYPE_NOT_ALLOWED)


def _require(members: JsonObject, issuer: Issuer) -> None:
    """Refuse a token without the claims that every access token of *issuer* has."""
    if not members.keys() >= issuer.needed_claims:
        raise AccessDenied(DenyReason.MISSING_CLAIM)
    for group in issuer.marks.one_of:
        if members.keys().isdisjoint(group):
            raise AccessDenied(DenyReason.MISSING_CLAIM)


def _string(value: object) -> str:
    """Every string claim that we read identifies something, so an empty one is malformed."""
    if not isinstance(value, str) or value == "":
        raise AccessDenied(DenyReason.MALFORMED_CLAIM)
    return value


def _optional_string(members: JsonObject, name: str) -> str | None:
    return _string(members[name]) if name in members else None


def _client_id(members: JsonObject, issuer: Issuer) -> str | None:
    """Read the first claim for it that is there; one of the wrong type hands on to no other."""
    for claim in issuer.client_id_claims:
        if (value := claim.find(members)) is not ABSENT:
            return _string(value)
    return None


def _present(members: JsonObject, claims: Iterable[ClaimReference]) -> list[object]:
    return [value for claim in claims if (value := claim.find(members)) is not ABSENT]


def _audiences(members: JsonObject, issuer: Issuer) -> tuple[str, ...]:
    """Read `aud`: one string or an array of strings (RFC 7519, section 4.1.3)."""
    if "aud" in members:
        value = members["aud"]
        return tuple(map(_string, value)) if isinstance(value, list) else (_string(value),)
    if issuer.audience_stand_in is None or issuer.audience_stand_in not in members:
        raise AccessDenied(DenyReason.MISSING_CLAIM)
    return (_string(members[issuer.audience_stand_in]),)


def _scopes(members: JsonObject, issuer: Issuer) -> tuple[str, ...]:
    """Gather the scopes of every claim for them, in order and each once."""
    values = _present(members, issuer.scope_claims)
    values = values or _present(members, issuer.fallback_scope_claims)
    scopes: dict[str, None] = {}
    for value in values:
        scopes.update(dict.fromkeys(_scopes_of(value)))
    return tuple(scopes)


def _scopes_of(value: object) -> Iterable[str]:
    """Read a space-separated string (RFC 8693, section 4.2) or, as some issuers send, an array.

    A space inside an item of an array would make two scopes of it further on.
    """
    if isinstance(value, str):
        return filter(None, value.split(" "))
    if not isinstance(value, list):
        raise AccessDenied(DenyReason.MALFORMED_CLAIM)
    scopes = list(map(_string, value))
    if any(" " in scope for scope in scopes):
        raise AccessDenied(DenyReason.MALFORMED_CLAIM)
    return scopes


def _numeric_date(value: JsonValue) -> float:
    """Read a NumericDate (RFC 7519, section 2). A boolean is an int to Python, but not to JSON."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise AccessDenied(DenyReason.MALFORMED_CLAIM)
    try:
        seconds = float(value)
    except OverflowError:
        raise AccessDenied(DenyReason.MALFORMED_CLAIM) from None
    if not isfinite(seconds):
        raise AccessDenied(DenyReason.MALFORMED_CLAIM)
    return seconds


def _optional_numeric_date(members: JsonObject, name: str) -> float | None:
    return _numeric_date(members[name]) if name in members else None


@dataclass(frozen=True, slots=True)
class ValidatedClaims:
    """Claims that met a requirement at a moment. Only `validate` makes one."""

    claims: AccessTokenClaims
    issuer: Issuer
    token: VerifiedToken = field(repr=False, compare=False)
    """What they are from: the same object again where the same token is known already."""


def validate(
    token: VerifiedToken,
    requirement: TokenRequirement,
    *,
    attributes: RequestAttributes,
    now: float,
) -> ValidatedClaims:
    """Hold *token*'s claims against *requirement*, for a request with *attributes*, at time *now*.

    *now* is in seconds since the epoch. That `iss` is one of the issuer's was settled before a key
    was selected, and the signature covers the value that was compared.

    Raises AccessDenied: expired, not_yet_valid, lifetime_too_long, wrong_audience,
    insufficient_scope, and the reason of the first condition that does not hold.
    """
    claims = token.claims
    validate_times(claims, token.issuer, now)
    validate_audience(claims, requirement, attributes)
    validate_scopes(claims, requirement)
    for condition in requirement.conditions:
        validate_condition(claims, condition, attributes)
    return ValidatedClaims(claims, token.issuer, token)


def validate_times(claims: AccessTokenClaims, issuer: Issuer, now: float) -> None:
    """Compare every time with the same leeway (RFC 7519, sections 4.1.4 to 4.1.6).

    Raises AccessDenied: expired, not_yet_valid, lifetime_too_long.
    """
    if claims.expires_at + issuer.leeway <= now:
        raise AccessDenied(DenyReason.EXPIRED)
    for starts_at in (claims.not_before, claims.issued_at):
        if starts_at is not None and starts_at > now + issuer.leeway:
            raise AccessDenied(DenyReason.NOT_YET_VALID)
    if (
        issuer.max_token_lifetime is not None
        and claims.expires_at > now + issuer.max_token_lifetime + issuer.leeway
    ):
        raise AccessDenied(DenyReason.LIFETIME_TOO_LONG)


def validate_audience(
    claims: AccessTokenClaims, requirement: TokenRequirement, attributes: RequestAttributes
) -> None:
    """One of the audiences must be the token's, exactly. Raises AccessDenied (wrong_audience)."""
    if requirement.audiences_for(attributes.variables).isdisjoint(claims.audiences):
        raise AccessDenied(DenyReason.WRONG_AUDIENCE)


def validate_scopes(claims: AccessTokenClaims, requirement: TokenRequirement) -> None:
    """Every scope must be granted, and one of those of which one is enough.

    Raises AccessDenied (insufficient_scope).
    """
    granted = frozenset(claims.scopes)
    if not granted.issuperset(requirement.scopes):
        raise AccessDenied(DenyReason.INSUFFICIENT_SCOPE)
    if requirement.any_scope and granted.isdisjoint(requirement.any_scope):
        raise AccessDenied(DenyReason.INSUFFICIENT_SCOPE)


def validate_condition(
    claims: AccessTokenClaims, condition: Condition, attributes: RequestAttributes
) -> None:
    """Raises AccessDenied with the *condition*'s reason where it does not hold."""
    if not condition.holds(claims.members, attributes):
        raise AccessDenied(condition.reason)


ABSENT: Final = object()

_STRAY_TILDE: Final = re.compile(r"~(?![01])")  # RFC 6901, section 3
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)  # RFC 6901, section 4


@dataclass(frozen=True, slots=True)
class ClaimReference:
    """Where a claim is: the name of a member, or a JSON Pointer (RFC 6901) for a nested one."""

    text: str
    path: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> ClaimReference:
        """Read a claim's name, or a pointer where *text* starts with `/`.

        Raises ValueError for nothing and for a `~` in a pointer that is not `~0` or `~1`.
        """
        if not text:
            message = "a claim needs a name"
            raise ValueError(message)
        if not text.startswith("/"):
            return cls(text, (text,))
        if _STRAY_TILDE.search(text):
            message = "in a JSON Pointer, write ~0 for ~ and ~1 for / (RFC 6901, section 3)"
            raise ValueError(message)
        tokens = text[1:].split("/")
        return cls(text, tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens))

    def find(self, members: JsonObject) -> object:
        """The claim's value in *members*, or `ABSENT`."""
        if len(self.path) == 1:
            return members.get(self.path[0], ABSENT)
        value: JsonValue = members
        for token in self.path:
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
                value = value[int(token)]
            else:
                return ABSENT
        return value
