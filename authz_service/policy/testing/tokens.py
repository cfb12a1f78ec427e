"""Tokens as a test describes them: what it does not say is filled in, and the result is signed.

The audience and the scopes are never filled in. They are what people get wrong, so a test that is
silent about them has a token without.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from authz_service.policy.duration import parse_duration
from authz_service.policy.testing.fields import NO_TOKEN
from authz_service.policy.throwaway import THROWAWAY_KID, ThrowawayIssuerKeys, cheapest_algorithm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Issuer, Policy
    from authz_service.policy.testing.fields import TokenFields

_LIFETIME: Final = 3600.0  # seconds
_TIMES: Final = ("exp", "nbf", "iat", "auth_time")
_NEVER_FILLED_IN: Final = frozenset({"aud", "scope", "scp"})
_MOST_LIKE: Final = 32
_RELATIVE: Final = re.compile(r"(?P<sign>[+-])(?P<duration>.+)")


class Keys:
    """The throwaway keys of a policy's issuers, by their names."""

    def __init__(self, policy: Policy) -> None:
        """Prepare for every issuer of *policy*."""
        self._issuers = {issuer.name: ThrowawayIssuerKeys() for issuer in policy.issuers}
        self._stranger = ThrowawayIssuerKeys()

    def sign(self, issuer: Issuer, header: bytes, payload: bytes, *, alg: object) -> str:
        """Sign with *issuer*'s key for *alg*."""
        return self._issuers[issuer.name].sign(header, payload, alg=alg, kid=THROWAWAY_KID)

    def forge(self, issuer: Issuer, header: bytes, payload: bytes, *, alg: object) -> str:
        """Sign with a key that is nobody's, where *issuer* has one for *alg* under the same id."""
        self.sign(issuer, header, payload, alg=alg)
        return self._stranger.sign(header, payload, alg=alg, kid=THROWAWAY_KID)

    def key_sets(self) -> dict[str, KeySet]:
        """What the issuers publish."""
        return {name: keys.key_set() for name, keys in self._issuers.items()}


@dataclass(frozen=True, slots=True)
class TokenWriter:
    """Writes the tokens of one file; *named* are those that it has names for."""

    policy: Policy
    keys: Keys
    named: Mapping[str, TokenFields]
    now: float
    _written: dict[str, str | None] = field(default_factory=dict)

    def write(self, token: TokenFields) -> str | None:
        """Write *token* as it goes after `Bearer `, or None for no token.

        Raises ValueError where it refers to what there is not.
        """
        if token.like is None or token.says_more:
            return self._write(self.described(token))
        if token.like not in self._written:
            self._written[token.like] = self._write(self.described(token))
        return self._written[token.like]

    def described(self, token: TokenFields, seen: tuple[str, ...] = ()) -> TokenFields | None:
        """Describe *token* with all that it takes over from others, or None for no token.

        Raises ValueError for a name that there is not, and for tokens that are like each other.
        """
        if token.like is None:
            return token
        if token.like == NO_TOKEN:
            return None
        if len(seen) == _MOST_LIKE:
            message = f"more than {_MOST_LIKE} tokens are each like the next: say more of one"
            raise ValueError(message)
        if token.like in seen:
            message = f"{' is like '.join((*seen, token.like))}"
            raise ValueError(message)
        other = self.described(self._named(token.like), (*seen, token.like))
        return None if other is None else _changed(other, token)

    def _named(self, name: str) -> TokenFields:
        if name in self.named:
            return self.named[name]
        raise ValueError(_unknown("token", name, (*self.named, NO_TOKEN)))

    def _write(self, token: TokenFields | None) -> str | None:
        if token is None or token.raw is not None:
            return None if token is None else token.raw
        issuer = self._issuer(token)
        header = _header(token, issuer)
        alg = header.get("alg", cheapest_algorithm(issuer.algorithms))
        sign = self.keys.forge if token.forged else self.keys.sign
        return sign(issuer, _json(header), _json(self._claims(token, issuer)), alg=alg)

    def _issuer(self, token: TokenFields) -> Issuer:
        """The issuer that is named, or whose `iss` it is, or the only one."""
        issuers = {issuer.name: issuer for issuer in self.policy.issuers}
        if token.issuer in issuers:
            return issuers[token.issuer]
        if token.issuer is not None:
            raise ValueError(_unknown("issuer", token.issuer, issuers))
        iss = token.claims.get("iss")
        chosen = [issuer for issuer in issuers.values() if iss in issuer.identifiers]
        chosen = chosen or list(issuers.values())
        if len(chosen) == 1 or (chosen and "iss" in token.claims):
            return chosen[0]
        why = (
            f"write issuer: one of {', '.join(issuers)}" if issuers else "the policy has no issuer"
        )
        raise ValueError(f"whose token is this? {why}")

    def _claims(self, token: TokenFields, issuer: Issuer) -> dict[str, Any]:
        lifetime = min(_LIFETIME, issuer.max_token_lifetime or _LIFETIME)
        claims: dict[str, Any] = {name: f"test-{name}" for name in _filled_in(token, issuer)}
        claims |= {name: self.now for name in issuer.required_claims if name in _TIMES}
        claims |= dict(issuer.marks.values)
        claims |= {"iss": issuer.identifiers[0], "iat": self.now, "exp": self.now + lifetime}
        claims |= token.claims
        claims |= {name: _moment(name, claims[name], self.now) for name in _TIMES if name in claims}
        return _without(claims, token.without, "without")


def _filled_in(token: TokenFields, issuer: Issuer) -> set[str]:
    """What a token of *issuer* has anyway; never what the policy asks for, audience and scopes."""
    of_scopes = {claim.text for claim in (*issuer.scope_claims, *issuer.fallback_scope_claims)}
    one_of = {group[0] for group in issuer.marks.one_of if token.claims.keys().isdisjoint(group)}
    return {*issuer.required_claims, *one_of} - of_scopes - {*_NEVER_FILLED_IN}


def _changed(token: TokenFields, by: TokenFields) -> TokenFields:
    """*token* with what *by* says of it."""
    if token.raw is not None and by.says_more:
        message = f"{by.like} is sent as it is: nothing else can be said of it"
        raise ValueError(message)
    return token.model_copy(
        update={
            "issuer": by.issuer or token.issuer,
            "header": token.header | by.header,
            "claims": token.claims | by.claims,
            "without": _left_out(token.without, by.claims, by.without),
            "without_header": _left_out(token.without_header, by.header, by.without_header),
            "forged": by.forged if "forged" in by.model_fields_set else token.forged,
        }
    )


def _left_out(names: Iterable[str], given: Iterable[str], more: Iterable[str]) -> list[str]:
    return [*(name for name in names if name not in given), *more]


def _header(token: TokenFields, issuer: Issuer) -> dict[str, Any]:
    header: dict[str, Any] = {"alg": cheapest_algorithm(issuer.algorithms), "kid": THROWAWAY_KID}
    names = issuer.token_types.names
    if names:
        header["typ"] = "at+jwt" if "at+jwt" in names else min(names)
    header |= token.header
    return _without(header, token.without_header, "without_header")


def _without(members: dict[str, Any], names: Iterable[str], field_name: str) -> dict[str, Any]:
    """Leave *names* out of *members*. Raises ValueError for one that is not there: a mistake."""
    for name in names:
        if name not in members:
            message = f"{field_name}: {_unknown('member', name, members)}"
            raise ValueError(message)
    return {name: value for name, value in members.items() if name not in names}


def _moment(name: str, value: object, now: float) -> object:
    """Read `-5m` and `+1h` as a NumericDate. What is no duration at all may be the point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)  # as issuers write it
    if not isinstance(value, str):
        return value
    match = _RELATIVE.fullmatch(value)
    try:
        seconds = parse_duration(match["duration"] if match else value)
    except ValueError:
        return value
    if match is None:
        message = f"{name}: write +{value} or -{value}, as counted from now"
        raise ValueError(message)
    return _moment(name, now + seconds if match["sign"] == "+" else now - seconds, now)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there is {', '.join(names) or 'none'}"
    return f'no {kind} is named "{name}": {hint}'


def _json(members: dict[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode("ascii")
