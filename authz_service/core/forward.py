"""Claims to request headers for the upstream, and what the client may not send in their place.

The upstream trusts these headers because no client can set them: every name that we might set is
either overwritten or removed, on every request that passes, public ones included.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from sys import getsizeof
from typing import TYPE_CHECKING, Final

from authz_service.core import base64url
from authz_service.core.claims import ABSENT, ClaimReference
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.request import has_control_character
from authz_service.core.verified import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.request import HttpRequest
    from authz_service.core.verified import VerifiedToken

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
    known_names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Every name to remove unless it is overwritten, whatever the request has."""
    _stripped_names: frozenset[str] = field(init=False, repr=False, compare=False)
    _stripped_beginnings: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _verdicts: dict[str, bool] = field(init=False, repr=False, compare=False)
    _anonymous: UpstreamHeaders = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Spell once what every field of every request is held against."""
        names = {name for name in self.strip if not name.endswith("*")}
        beginnings = (name[:-1] for name in self.strip if name.endswith("*"))
        whole = frozenset(map(_hyphened, names.union(self.identity_headers)))
        object.__setattr__(self, "_stripped_names", whole)
        object.__setattr__(self, "_stripped_beginnings", tuple(map(_hyphened, beginnings)))
        object.__setattr__(self, "_verdicts", {})
        object.__setattr__(self, "known_names", tuple(dict.fromkeys(_names_to_remove(self))))
        object.__setattr__(self, "_anonymous", _changes(self, None))

    @property
    def anonymous(self) -> UpstreamHeaders:
        """The changes in a request of nobody in particular, which sends nothing to strip."""
        return self._anonymous

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
        verdict = self._verdicts.get(name)
        return self._judge(name) if verdict is None else verdict

    def stripped(self, headers: Iterable[tuple[str, str]]) -> list[str]:
        """Every name in *headers* for which `strips` holds."""
        verdicts = self._verdicts
        stripped = []
        for name, _value in headers:
            if verdicts.get(name, True) and self.strips(name):
                stripped.append(name)
        return stripped

    def _judge(self, name: str) -> bool:
        """Work out what `strips` says. Requests have the same names again and again."""
        plain = _hyphened(name)
        verdict = plain in self._stripped_names or plain.startswith(self._stripped_beginnings)
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self._verdicts) >= _NAMES_REMEMBERED:  # a client may have made them all up
                self._verdicts.clear()
            self._verdicts[name] = verdict
        return verdict


_NAMES_REMEMBERED: Final = 512
_LONGEST_REMEMBERED: Final = 64
_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]")


def _hyphened(name: str) -> str:
    return _NOT_ALPHANUMERIC.sub("-", name.lower())


@dataclass(frozen=True, slots=True)
class UpstreamHeaders:
    """Fields to overwrite and names to remove. No name is in both: Envoy removes last.

    They are *usual* where the request had no name of its own to remove: then they are the same
    object for all requests with the same token, or without one.
    """

    overwrite: tuple[tuple[str, str], ...]
    remove: tuple[str, ...]
    usual: bool = field(default=False, compare=False)


def upstream_headers(
    rules: ForwardRules, claims: AccessTokenClaims | None, request: HttpRequest
) -> UpstreamHeaders:
    """What to change in *request* before the upstream sees it; *claims* are None if none are known.

    Raises AccessDenied: malformed_claim for a control character in a forwarded claim,
    claims_too_large above `MAX_HEADER_BYTES` for one field or `MAX_HEADERS_BYTES` for all.
    """
    usual = rules.anonymous if claims is None else _changes(rules, claims)
    return _without_impostors(usual, rules, request)


def upstream_headers_of(
    rules: ForwardRules, token: VerifiedToken, request: HttpRequest
) -> UpstreamHeaders:
    """What `upstream_headers` gives for *token*'s claims, worked out once for each token."""
    return _without_impostors(_USUAL.of(token, rules), rules, request)


def _without_impostors(
    usual: UpstreamHeaders, rules: ForwardRules, request: HttpRequest
) -> UpstreamHeaders:
    """Add to *usual* what only *request* has to be stripped of."""
    stripped = rules.stripped(request.headers)
    if not stripped:
        return usual
    settled = {*usual.remove, *(name for name, _value in usual.overwrite)}
    others = (name for name in dict.fromkeys(stripped) if name not in settled)
    unusual = [name for name in others if not name.startswith(":")]
    return UpstreamHeaders(usual.overwrite, (*usual.remove, *unusual)) if unusual else usual


def _changes(rules: ForwardRules, claims: AccessTokenClaims | None) -> UpstreamHeaders:
    """The changes in a request with *claims* that sends nothing to strip."""
    overwrite = tuple(_identity(rules, claims)) if claims is not None else ()
    sizes = [len(name) + len(value) for name, value in overwrite]
    if any(len(value) > MAX_HEADER_BYTES for _name, value in overwrite) or (
        sum(sizes) > MAX_HEADERS_BYTES
    ):
        raise AccessDenied(DenyReason.CLAIMS_TOO_LARGE)
    overwritten = {name for name, _value in overwrite}
    remove = tuple([name for name in rules.known_names if name not in overwritten])
    return UpstreamHeaders(overwrite, remove, usual=True)


def _taken(headers: UpstreamHeaders) -> int:
    """The bytes of *headers*, whose names are those of the rules."""
    pairs = sum(getsizeof(pair) + getsizeof(pair[1]) for pair in headers.overwrite)
    return getsizeof(headers.overwrite) + getsizeof(headers.remove) + pairs


_USUAL: Final[Prepared[ForwardRules, UpstreamHeaders]] = Prepared(
    lambda token, rules: _changes(rules, token.claims), _taken
)


def _names_to_remove(rules: ForwardRules) -> Iterator[str]:
    """Give what `ForwardRules.known_names` is made of.

    Envoy may be configured to show us only some of the request's fields, so the names that we know
    are removed whether we see them or not.
    """
    known = (*rules.identity_headers, *(name for name in rules.strip if not name.endswith("*")))
    for name in known:
        yield name
        if "-" in name:
            yield name.replace("-", "_")
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
