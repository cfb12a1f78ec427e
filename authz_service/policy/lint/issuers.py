"""What is suspicious about an issuer: unused, over plain HTTP, laxer than its preset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service.core.policy import TokenTypes
from authz_service.core.urls import url_fault
from authz_service.policy.lint.walk import issuers
from authz_service.policy.presets import PRESETS
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.place import Place
    from authz_service.policy.schema import IssuerFields

_LONGEST_LEEWAY: Final = 300.0  # seconds


def unused_issuer(loaded: LoadedPolicy) -> Iterator[Problem]:
    """No route takes the issuer's tokens."""
    used = {issuer.identifiers for issuer in loaded.policy.used_issuers}
    for place, fields in issuers(loaded):
        if tuple(fields.issuer) not in used:
            message = (
                "no route takes this issuer's tokens: name it in the issuers of a resource,"
                " or remove it"
            )
            yield Problem(place.position, message)


def plain_http(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Keys may come over HTTP, from beyond this machine."""
    for place, fields in issuers(loaded):
        if fields.jwks_file is None and fields.allow_http:
            yield from _plain_http(place, fields)


def _plain_http(place: Place, fields: IssuerFields) -> Iterator[Problem]:
    """What `allow_http` admits: the URL itself, or one that the issuer's metadata may name."""
    url = fields.issuer[0] if fields.jwks_uri is None else fields.jwks_uri
    field = "issuer" if fields.jwks_uri is None else "jwks_uri"
    if url_fault(url, allow_http=False) is not None:
        message = (
            "keys come over http://, so whoever is on the way decides whose tokens are good:"
            " write https://"
        )
        yield Problem((place / field / 0).position, message)
    elif fields.jwks_uri is None:
        message = (
            "with this, the issuer's metadata may name a key set at http://, and whoever is on the"
            " way decides whose tokens are good: remove it"
        )
        yield Problem((place / "allow_http").position, message)


def weaker_algorithm(loaded: LoadedPolicy) -> Iterator[Problem]:
    """An accepted `alg` that the preset does not have."""
    for place, fields in issuers(loaded):
        preset = PRESETS[fields.preset].algorithms
        for number, name in enumerate(fields.algorithms or ()):
            if name not in preset:
                message = (
                    f"the preset {fields.preset} has {', '.join(preset)}: remove {name} unless"
                    " this issuer signs access tokens with it"
                )
                yield Problem((place / "algorithms" / number).position, message)


def weaker_type(loaded: LoadedPolicy) -> Iterator[Problem]:
    """An accepted `typ` that the preset does not have."""
    for place, fields in issuers(loaded):
        preset = PRESETS[fields.preset].token_types
        accepted = TokenTypes.of(
            *(typ for typ in preset if typ != "absent"), absent="absent" in preset
        )
        for number, typ in enumerate(fields.token_types or ()):
            if not accepted.accept(None if typ.lower() == "absent" else typ):
                message = (
                    f"the preset {fields.preset} has {', '.join(preset)}: with {typ}, an ID token"
                    " or another JWT of this issuer may pass for an access token (RFC 8725,"
                    " section 3.11): remove it unless its access tokens are made so"
                )
                yield Problem((place / "token_types" / number).position, message)


def weaker_claims(loaded: LoadedPolicy) -> Iterator[Problem]:
    """A claim that the preset requires, and the issuer's own list does not."""
    for place, fields in issuers(loaded):
        if fields.required_claims is None:
            continue
        preset = PRESETS[fields.preset].required_claims
        if missing := [name for name in preset if name not in fields.required_claims]:
            message = (
                f"the preset {fields.preset} also requires {', '.join(missing)}: add what this"
                " issuer's tokens have of it"
            )
            yield Problem((place / "required_claims").position, message)


def long_leeway(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Expired tokens pass for longer than clocks differ."""
    for place, fields in issuers(loaded):
        if fields.leeway > _LONGEST_LEEWAY:
            message = (
                f"a token is good for {fields.leeway:g} seconds after it has expired; leeway is for"
                " clocks that differ, a few minutes at most (RFC 7519, section 4.1.4)"
            )
            yield Problem((place / "leeway").position, message)
