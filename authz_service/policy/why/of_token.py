"""Refusals of a token before its claims are believed: its form, its issuer, its key."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, Final

from authz_service.core import base64url, strict_json
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.limits import MAX_TOKEN_BYTES
from authz_service.policy.why.wording import listed, literal, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.policy import Issuer
    from authz_service.policy.why.facts import Facts

_PARTS: Final = ("header", "payload", "signature")
_JWE_PARTS: Final = 5
_REFUSED_PARAMETERS: Final = ("crit", "b64", "enc")  # as in core.jws


def token_too_large(facts: Facts) -> str:
    """Name both sizes."""
    return f"the token has {len(facts.token)} bytes, and {MAX_TOKEN_BYTES} are allowed"


def malformed_token(facts: Facts) -> str:
    """Say which part is not as it must be."""
    parts = facts.token.split(".")
    if len(parts) == 1:
        return (
            "the token is no JWT: it may be an opaque token, as issuers give where the client does"
            " not ask for an API resource"
        )
    if len(parts) == _JWE_PARTS:
        return "the token has five parts: it is an encrypted one (JWE), and signed ones are taken"
    if len(parts) != len(_PARTS):
        return f"the token has {len(parts)} parts, and a signed JWT has three"
    for name, part in zip(_PARTS, parts, strict=True):
        if fault := _part_fault(name, part):
            return f"the token's {name} is {fault}"
    return _header_fault(strict_json.parse_object(base64url.decode(parts[0])))


def _part_fault(name: str, part: str) -> str | None:
    try:
        octets = base64url.decode(part)
    except ValueError:
        return "not canonical base64url without padding"
    if name == "signature":
        return None
    if not octets:
        return "empty"
    try:
        strict_json.parse_object(octets)
    except strict_json.NotStrictJson:
        return _json_fault(octets)
    return None


def _json_fault(octets: bytes) -> str:
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(value, dict):
        return "not a JSON object"
    return (
        "JSON that not every parser reads the same way: a member twice, NaN, half a character, or"
        f" more than {strict_json.MAX_DEPTH} levels"
    )


def _header_fault(header: dict[str, Any]) -> str:
    for name in _REFUSED_PARAMETERS:
        if name in header:
            return f"the token's header has {name}, an extension that is not understood here"
    if "alg" not in header:
        return "the token's header has no alg"
    name = next(
        (name for name in ("alg", "kid", "typ") if not isinstance(header.get(name, ""), str)), "alg"
    )
    return f"{name} in the token's header is {literal(header.get(name))}, and must be a string"


def algorithm_not_allowed(facts: Facts) -> str:
    """Name the algorithm and those that the issuer uses."""
    allowed = listed(sorted(facts.issuer.algorithms), "or")
    return (
        f"the token is signed with {shown(facts.jws.header.alg)}, and tokens of"
        f" {facts.issuer.name} with {allowed}"
    )


def token_type_not_allowed(facts: Facts) -> str:
    """Name the type and those that the issuer's access tokens have."""
    types = facts.issuer.token_types
    allowed = listed([*sorted(types.names), *(["absent"] if types.absent else [])], "or")
    typ = facts.jws.header.typ
    if facts.issuer.token_types.accept(typ):
        return _marked_as_another(facts)
    found = "the token has no typ" if typ is None else f"the token's typ is {shown(typ)}"
    hint = " (JWT may be an ID token)" if typ is not None and typ.lower() == "jwt" else ""
    return f"{found}, and that of access tokens of {facts.issuer.name} is {allowed}{hint}"


def _marked_as_another(facts: Facts) -> str:
    """Name the claim that shows the token to be another one of the same issuer, an ID token say."""
    payload, name = facts.jws.unverified_payload, facts.issuer.name
    for claim, value in facts.issuer.marks.values:
        if claim in payload and payload[claim] != value:
            found = f"the token's claim {claim} is {literal(payload[claim])}"
            return f"{found}, and that of access tokens of {name} is {literal(value)}"
    others = [claim for claim in facts.issuer.marks.never if claim in payload]
    return f"the token has {listed(others)}, which access tokens of {name} have not (an ID token?)"


def unknown_issuer(facts: Facts) -> str:
    """Name the issuer and those that the route takes tokens of."""
    iss = facts.jws.unverified_payload.get("iss")
    wanted = facts.requirement.issuers
    others: dict[str, Issuer] = {
        name: issuer for issuer in facts.policy.issuers for name in issuer.identifiers
    }
    found = f"the token's iss is {shown(iss)}"
    if isinstance(iss, str) and iss in others:
        found = f"{found} ({others[iss].name})"
    near = difflib.get_close_matches(str(iss)[:500], wanted, n=1, cutoff=0.9)
    hint = " (every character counts)" if near else ""
    return f"{found}, and {facts.route} takes tokens of {listed(wanted, 'or')}{hint}"


def unknown_key(facts: Facts) -> str:
    """Say whether no key fits, and why, or several."""
    header, name = facts.jws.header, facts.issuer.name
    key_set = facts.keys[name]
    named = [key for key in key_set.keys if header.kid is None or key.kid == header.kid]
    fitting = [key for key in named if header.alg in key.algorithms]
    if fitting:
        return (
            f"{len(fitting)} keys of {name} fit {shown(header.alg)}, and the token does not say"
            " by a kid of its own which of them it is"
        )
    if header.kid is None:
        return f"no key of {name} is for {shown(header.alg)}, which the token is signed with"
    if named:
        return f"the key {shown(header.kid)} of {name} is not for {shown(header.alg)}"
    ids = listed((key.kid or "one without an id" for key in key_set.keys), nothing="no key at all")
    return f"{name} has no key {shown(header.kid)}, which the token names: there is {ids}"


def bad_signature(facts: Facts) -> str:
    """Say whether the signature has the wrong length, or is another's."""
    header, name = facts.jws.header, facts.issuer.name
    try:
        key = facts.keys[name].select(alg=header.alg, kid=header.kid)
    except AccessDenied:  # pragma: no cover - it was selected when this was decided
        key = None
    length = len(facts.jws.signature)
    if key is not None and length != key.signature_bytes:
        return (
            f"the signature has {length} bytes, and one of this key with {header.alg} has"
            f" {key.signature_bytes}"
        )
    key_id = "" if header.kid is None else f" {shown(header.kid)}"
    return f"the key{key_id} of {name} did not make this signature: the token is forged or damaged"


def keys_unavailable(facts: Facts) -> str:
    """Name the issuer whose keys are missing."""
    return f"there are no keys of {facts.issuer.name} to verify the token with"


def missing_claim(facts: Facts) -> str:
    """Name every claim that is missing, and every one that is needed."""
    payload = facts.jws.unverified_payload
    if "iss" not in payload:
        return "the token has no iss, which says whose token it is"
    missing = [name for name, group in _needed(facts.issuer) if payload.keys().isdisjoint(group)]
    return (
        f"the token lacks {listed(missing, form=str)}; tokens of {facts.issuer.name} must have"
        f" {needed_claims(facts.issuer)}"
    )


def needed_claims(issuer: Issuer) -> str:
    """`iss, aud, exp and sub`: what every access token of *issuer* has."""
    return listed((name for name, _group in _needed(issuer)), form=str)


def _needed(issuer: Issuer) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What must be there, each as a name and the claims of which one is enough for it."""
    audience = ("aud",) if issuer.audience_stand_in is None else ("aud", issuer.audience_stand_in)
    first = ("iss", "exp", *issuer.required_claims)
    more = sorted(issuer.needed_claims.difference(first))
    groups = [("iss",), audience, *((name,) for name in (*first[1:], *more)), *issuer.marks.one_of]
    yield from ((" or ".join(group), group) for group in dict.fromkeys(groups))


REASONS: Final = {
    DenyReason.TOKEN_TOO_LARGE: token_too_large,
    DenyReason.MALFORMED_TOKEN: malformed_token,
    DenyReason.ALGORITHM_NOT_ALLOWED: algorithm_not_allowed,
    DenyReason.TOKEN_TYPE_NOT_ALLOWED: token_type_not_allowed,
    DenyReason.UNKNOWN_ISSUER: unknown_issuer,
    DenyReason.UNKNOWN_KEY: unknown_key,
    DenyReason.BAD_SIGNATURE: bad_signature,
    DenyReason.KEYS_UNAVAILABLE: keys_unavailable,
    DenyReason.MISSING_CLAIM: missing_claim,
}
