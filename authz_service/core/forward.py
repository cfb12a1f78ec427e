"""Claims to request headers for the upstream, and what the client may not send in their place.

The upstream trusts these headers because no client can set them: every name that we might set is
either overwritten or removed, on every request that passes, public ones included.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.core import base64url
from authz_service.core.claims import ABSENT, ClaimReference
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.request import has_control_character

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.request import HttpRequest

MAX_HEADER_BYTES: Final = 4 * 1024
MAX_HEADERS_BYTES: Final = 16 * 1024


def _default_headers() -> tuple[tuple[str, ClaimReference], ...]:
    defaults = {
        "x-auth-subject": "sub",
        "x-auth-client-id": "client_id",
        "x-auth-scope": "scope",
        "x-auth-issuer": "iss",
    }
    return tuple((name, ClaimReference.parse(claim)) for name, claim in defaults.items())


@dataclass(frozen=True, slots=True)
class ForwardRules:
    """What the upstream gets. Header names and *strip* patterns are in lower case.

    A pattern is a name, or the beginning of names and a final `*`. *claims_header* gets all
    claims, as base64url of a JSON object. `client_id` and `scope` are what the issuer's profile
    takes for them, whichever claim that is.
    """

    headers: tuple[tuple[str, ClaimReference], ...] = _default_headers()
    keep_authorization: bool = True
    strip: tuple[str, ...] = ("x-auth-*",)
    claims_header: str | None = None
    _stripped_names: frozenset[str] = field(init=False, repr=False, compare=False)
    _stripped_beginnings: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Spell once what every field of every request is held against."""
        names = {name for name in self.strip if not name.endswith("*")}
        beginnings = (name[:-1] for name in self.strip if name.endswith("*"))
        whole = frozenset(map(_hyphened, names.union(self.identity_headers)))
        object.__setattr__(self, "_stripped_names", whole)
        object.__setattr__(self, "_stripped_beginnings", tuple(map(_hyphened, beginnings)))

    @property
    def identity_headers(self) -> tuple[str, ...]:
        """Every name that we may set."""
        names = tuple(name for name, _claim in self.headers)
        return names if self.claims_header is None else (*names, self.claims_header)

    def strips(self, name: str) -> bool:
        """Whether a client's field *name* must not pass unless we overwrite it.

        Many servers hand `-` and `_` on as the same character (CGI's meta-variables, RFC 3875,
        section 4.1.18), some `.` too, so every spelling of a name is the name.
        """
        plain = _hyphened(name)
        return plain in self._stripped_names or plain.startswith(self._stripped_beginnings)


_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]")


def _hyphened(name: str) -> str:
    return _NOT_ALPHANUMERIC.sub("-", name.lower())


@dataclass(frozen=True, slots=True)
class UpstreamHeaders:
    """Fields to overwrite and names to remove. No name is in both: Envoy removes last."""

    overwrite: tuple[tuple[str, str], ...]
    remove: tuple[str, ...]


def upstream_headers(
    rules: ForwardRules, claims: AccessTokenClaims | None, request: HttpRequest
) -> UpstreamHeaders:
    """What to change in *request* before the upstream sees it; *claims* are None if none are known.

    Raises AccessDenied: malformed_claim for a control character in a forwarded claim,
    claims_too_large above `MAX_HEADER_BYTES` for one field or `MAX_HEADERS_BYTES` for all.
    """
    overwrite = tuple(_identity(rules, claims)) if claims is not None else ()
    sizes = [len(name) + len(value) for name, value in overwrite]
    if any(len(value) > MAX_HEADER_BYTES for _name, value in overwrite) or (
        sum(sizes) > MAX_HEADERS_BYTES
    ):
        raise AccessDenied(DenyReason.CLAIMS_TOO_LARGE)
    remove = dict.fromkeys(_names_to_remove(rules, request))
    for name, _value in overwrite:
        remove.pop(name, None)
    return UpstreamHeaders(overwrite, tuple(remove))


def _names_to_remove(rules: ForwardRules, request: HttpRequest) -> Iterator[str]:
    """Every name to remove unless it is overwritten.

    Envoy may be configured to show us only some of the request's fields, so the names that we know
    are removed whether we see them or not.
    """
    known = (*rules.identity_headers, *(name for name in rules.strip if not name.endswith("*")))
    for name in known:
        yield name
        if "-" in name:
            yield name.replace("-", "_")
    for name, _value in request.headers:
        if not name.startswith(":") and rules.strips(name):
            yield name
    if not rules.keep_authorization:
        yield "authorization"


def _identity(rules: ForwardRules, claims: AccessTokenClaims) -> Iterator[tuple[str, str]]:
    for name, claim in rules.headers:
        value = _header_value(_claim_value(claim, claims))
        if value:  # Envoy drops a field with an empty value, and would leave the client's in place
            yield name, value
    if rules.claims_header is not None:
        document = json.dumps(claims.members, separators=(",", ":"))
        yield rules.claims_header, base64url.encode(document.encode("ascii"))


def _claim_value(claim: ClaimReference, claims: AccessTokenClaims) -> object:
    if claim.text == "client_id":
        return claims.client_id
    if claim.text == "scope":
        return " ".join(claims.scopes)
    value = claim.find(claims.members)
    return None if value is ABSENT else value


_DISPLAYED_AS_IS: Final = frozenset(range(0x20, 0x7F)) - frozenset(b'%"')

# What HTTP carries unchanged: field values have no space at either end (RFC 9110, section 5.5).
# What looks like a Display String is not plain, or two claims would be told by one value.
_PLAIN_VALUE: Final = re.compile(r'(?! |%")[ -~]*(?<! )', re.ASCII)


def _header_value(value: object) -> str:
    """The text for a claim's *value*, the empty string for none."""
    if _holds_control_character(value):
        raise AccessDenied(DenyReason.MALFORMED_CLAIM)
    if value is None:
        return ""
    if isinstance(value, str):
        return value if _PLAIN_VALUE.fullmatch(value) else _display_string(value)
    return json.dumps(value, separators=(",", ":"))


def _holds_control_character(value: object) -> bool:
    """Whether a string in *value*, at whatever depth, holds one."""
    match value:
        case str():
            return not value.isprintable() and has_control_character(value)
        case list():
            return any(_holds_control_character(item) for item in value)
        case dict():
            return any(_holds_control_character(item) for pair in value.items() for item in pair)
        case _:
            return False


def _display_string(text: str) -> str:
    """Serialize *text* as a Display String (RFC 9651, section 4.1.11)."""
    octets = "".join(
        chr(octet) if octet in _DISPLAYED_AS_IS else f"%{octet:02x}"
        for octet in text.encode("utf-8")
    )
    return f'%"{octets}"'
